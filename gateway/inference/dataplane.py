"""The one way to an answer: every door hands its requests to ``DataPlane`` and nothing else.

It knows which model version serves a name now; a request is pinned to that
version when it comes, so a switch never changes one under way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from gateway.errors import DeadlineExceeded, GatewayError, NotReady, UnknownModel
from gateway.inference.request import (
    CancelReason,
    InferRequest,
    OnDone,
    Outcome,
    RequestEvent,
    RequestState,
    Ticket,
)
from gateway.inference.scheduler import Scheduler

# Sees a request on its way, and returns who is to be told of its outcome: the
# given callable, perhaps inside another one.
Onlooker = Callable[[InferRequest, OnDone], OnDone]


# Has a model loaded that its first request loads, and returns once it serves; raises what a request is to be
# told. Bounds how many wait. Cancel-safe: the load goes on for the others.
Waker = Callable[[str, float], Awaitable[None]]


class DataPlane:
    """Routes requests to the scheduler of the version now serving their model.

    Attributes:
        waker: Told the model and the deadline of a request for a model that is loaded on demand.
    """

    def __init__(self) -> None:
        self.waker: Waker | None = None
        self._serving: dict[str, Scheduler] = {}
        self._beside: dict[tuple[str, str], Scheduler] = {}
        self._absent: dict[str, str] = {}
        self._asleep: set[str] = set()
        self._waking: set[asyncio.Task[None]] = set()
        self._onlookers: dict[str, Onlooker] = {}

    @property
    def serving(self) -> Mapping[str, Scheduler]:
        """Schedulers by model name; a live view."""
        return self._serving

    @property
    def beside(self) -> Mapping[tuple[str, str], Scheduler]:
        """Schedulers of versions beside those that their names lead to, by model and version; a live view."""
        return self._beside

    def serve(self, name: str, scheduler: Scheduler) -> Scheduler | None:
        """Let ``scheduler`` take new requests for ``name``; return the one that did before."""
        self._absent.pop(name, None)
        self._asleep.discard(name)
        old = self._serving.get(name)
        self._serving[name] = scheduler
        return old

    def serve_beside(self, name: str, version: str, scheduler: Scheduler | None) -> Scheduler | None:
        """Let ``scheduler``, or nobody, take who asks for a version of ``name``; return who did before."""
        old = self._beside.pop((name, version), None)
        if scheduler is not None:
            self._beside[name, version] = scheduler
        return old

    def withdraw(self, name: str, reason: str | None = None, *, wakes: bool = False) -> Scheduler | None:
        """Stop serving ``name``; a reason keeps it known, as not ready, or as loaded by the next request."""
        self._asleep.discard(name)
        if reason is None:
            self._absent.pop(name, None)
        else:
            self._absent[name] = reason
            if wakes:
                self._asleep.add(name)
        return self._serving.pop(name, None)

    def watch(self, name: str, onlooker: Onlooker | None) -> None:
        """Let ``onlooker`` see every request for ``name`` from now on; None for nobody."""
        if onlooker is None:
            self._onlookers.pop(name, None)
        else:
            self._onlookers[name] = onlooker

    def submit(
        self,
        request: InferRequest,
        on_done: OnDone,
        context: object = None,
        scheduler: Scheduler | None = None,
    ) -> Ticket:
        """Take a request; ``on_done`` is called exactly once, perhaps before this returns.

        Args:
            request: What is asked.
            on_done: Told how it ended.
            context: Whatever the caller wants back with the outcome.
            scheduler: Who is to run it; the version now serving its model if None.

        Never raises for what is wrong with the request: the outcome says it.
        """
        serving = self._serving.get(request.model)
        scheduler = scheduler or serving
        if scheduler is not None:
            if scheduler is not serving:
                return scheduler.submit(request, on_done, context)
            onlooker = self._onlookers.get(request.model)
            if onlooker is not None:
                on_done = onlooker(request, on_done)
            return scheduler.submit(request, on_done, context)
        ticket = Ticket(0, request, on_done, context=context)
        if self.waker is not None and request.model in self._asleep:
            task = asyncio.ensure_future(self._submit_later(ticket, self.waker))
            self._waking.add(task)
            task.add_done_callback(self._waking.discard)
            return ticket
        ticket.step(RequestEvent.REFUSE)
        reason = self._absent.get(request.model)
        error = (
            NotReady(f"model {request.model}: {reason}", model=request.model)
            if reason is not None
            else UnknownModel(f"no model is named {request.model!r}", model=request.model)
        )
        on_done(ticket, Outcome(RequestState.FAILED, error=error))
        return ticket

    async def _submit_later(self, ticket: Ticket, waker: Waker) -> None:
        """Submit a request once its model is loaded; requests keep their order."""
        request = ticket.request
        try:
            await waker(request.model, request.deadline_s)
        except DeadlineExceeded as error:
            ticket.step(RequestEvent.ADMIT)
            ticket.step(RequestEvent.EXPIRE)
            ticket.on_done(ticket, Outcome(RequestState.EXPIRED, error=error))
        except GatewayError as error:
            ticket.step(RequestEvent.REFUSE)
            ticket.on_done(ticket, Outcome(RequestState.FAILED, error=error))
        else:
            facts = self._serving[request.model].facts if request.model in self._serving else None
            if facts is not None and request.pipeline in facts.stateful:  # nobody could know before
                request = request._replace(ordered=True)
            self.submit(request, ticket.on_done, ticket.context)

    async def infer(self, request: InferRequest, scheduler: Scheduler | None = None) -> Outcome:
        """Run one request and return its DONE outcome.

        Args:
            request: What is asked.
            scheduler: Who is to run it; the version now serving its model if None.

        Raises:
            RequestRefused: The request is wrong.
            Unavailable: The queue is full, the model is not ready, or its worker died.
            DeadlineExceeded: The deadline passed, queued or running.
            EngineFailed: The model failed on it.

        Cancel-safe: the request leaves its queue; batch-mates are not disturbed.
        """
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        scheduler = scheduler or self._serving.get(request.model)
        if scheduler is None and self.waker is not None and request.model in self._asleep:
            await self.waker(request.model, request.deadline_s)
            scheduler = self._serving.get(request.model)
        ticket = self.submit(
            request,
            lambda _, outcome: None if future.done() else future.set_result(outcome),
            scheduler=scheduler,
        )
        try:
            outcome = await future
        except asyncio.CancelledError:
            if scheduler is not None:
                scheduler.cancel(ticket, CancelReason.CALLER)
            raise
        if outcome.error is not None:
            raise outcome.error
        if outcome.state is RequestState.CANCELLED:
            raise NotReady(f"model {request.model}: the request was withdrawn", model=request.model)
        return outcome
