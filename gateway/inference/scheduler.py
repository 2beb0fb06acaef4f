"""Carries out what the batcher decides for one model version: queue, lanes, deadlines, answers.

No task and no lock: everything happens in event-loop callbacks (a request
came, a batch came back, a worker died, a timer fired), each of which ends by
asking the batcher again. One timer serves every deadline of the model.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from contextvars import Context

from gateway.errors import (
    DeadlineExceeded,
    DeadlineQueued,
    DeadlineRunning,
    Draining,
    GatewayError,
    NotReady,
    OutOfMemory,
    Overloaded,
    Quarantined,
    WorkerCrashed,
)
from gateway.inference.batching import BatchLimits, Entry
from gateway.inference.carry import CarriedStates
from gateway.inference.cost import BatchCost
from gateway.inference.flight import Batch, MemberAnswer, WorkerFacts
from gateway.inference.lane import Lane, LaneState
from gateway.inference.levels import Levels
from gateway.inference.limits import SchedulerLimits
from gateway.inference.loaded import LoadSpec
from gateway.inference.observer import SchedulerObserver
from gateway.inference.pool import MakeBody, Pool, process_body
from gateway.inference.quarantine import Quarantine
from gateway.inference.request import (
    CancelReason,
    InferRequest,
    OnDone,
    Outcome,
    RequestEvent,
    RequestState,
    Ticket,
    Timings,
)

_IDS = itertools.count(1)
_LONG_S = 3600.0
_FAILED = (RequestEvent.FAIL, RequestState.FAILED)
_EXPIRED = (RequestEvent.EXPIRE, RequestState.EXPIRED)


class Scheduler:
    """Runs the requests of one model version."""

    def __init__(
        self,
        spec: LoadSpec,
        *,
        lanes: int,
        limits: SchedulerLimits,
        observer: SchedulerObserver,
        make_body: MakeBody = process_body,
    ) -> None:
        self.name = spec.name
        self.pool = Pool(spec, lanes, limits.pool, self, make_body)
        self.facts: WorkerFacts | None = None
        self.limits = limits.batch
        self._observer = observer
        self._cost = BatchCost()
        self._batcher = Levels(limits.batch, self._cost)
        self._quarantine = Quarantine(limits.quarantined_payloads)
        self._states = CarriedStates()
        self._waiting: dict[int, Ticket] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._pumping = self._again = False
        self._refusal: GatewayError | None = None
        self._drained: asyncio.Event | None = None

    @property
    def queued(self) -> int:
        """Requests that wait for a lane."""
        return len(self._batcher)

    @property
    def queued_rows(self) -> int:
        """Rows of the requests that wait for a lane."""
        return self._batcher.rows

    @property
    def oldest_arrived_s(self) -> float | None:
        """When the oldest request that waits for a lane came, monotonic seconds; None if none waits."""
        return min((ticket.request.arrived_s for ticket in self._waiting.values()), default=None)

    @property
    def in_flight(self) -> int:
        """Requests that lanes hold."""
        return sum(len(batch.tickets) for lane in self.pool.lanes for batch in lane.in_flight)

    @property
    def quarantined(self) -> int:
        """Payloads that are refused."""
        return len(self._quarantine)

    async def start(self, *, gently: bool = False) -> WorkerFacts:
        """Start the lanes; ``gently`` as ``Pool.start`` has it.

        Raises:
            GatewayError: A worker could not load the model; none is left running.

        Cancel-safe: what was started is ended.
        """
        self.facts = await self.pool.start(gently=gently)
        if self.facts.max_rows is not None and self.facts.max_rows < self.limits.max_rows:
            self.limits = BatchLimits(self.facts.max_rows, self.limits.max_queued_rows)
            self._batcher = Levels(self.limits, self._cost)
        return self.facts

    def submit(self, request: InferRequest, on_done: OnDone, context: object = None) -> Ticket:
        """Take a request; ``on_done`` is called once, perhaps before this returns."""
        ticket = Ticket(next(_IDS), request, on_done, context=context)
        refusal = self._refusal or self._refused(request)
        old: Entry | None = None
        if refusal is None:
            try:
                old = self._batcher.add(_entry(ticket))
            except Overloaded as error:
                refusal = error
        if refusal is not None:
            self._end(ticket, RequestEvent.REFUSE, Outcome(RequestState.FAILED, error=refusal))
            return ticket
        ticket.step(RequestEvent.ADMIT)
        self._waiting[ticket.id] = ticket
        if old is not None:
            replaced = self._waiting.pop(old.id)
            self._end(replaced, RequestEvent.CANCEL, Outcome.withdrawn(CancelReason.SUPERSEDED))
        self.pump()
        return ticket

    def cancel(self, ticket: Ticket, reason: CancelReason = CancelReason.CALLER) -> bool:
        """Take a request back; False if it has ended. A lane that runs it runs on."""
        if ticket.ended:
            return False
        if self._batcher.cancel(ticket.id):
            del self._waiting[ticket.id]
        self._end(ticket, RequestEvent.CANCEL, Outcome.withdrawn(reason))
        self._note_if_drained()
        return True

    async def drain(self, deadline_s: float) -> None:
        """Refuse new requests, wait for those taken until ``deadline_s``, fail the rest, end the lanes."""
        self._refusal = Draining(f"model {self.name}: the gateway is stopping or has a newer version")
        self._drained = asyncio.Event()
        self._note_if_drained()
        waiting = asyncio.ensure_future(self._drained.wait())
        try:
            await asyncio.wait({waiting}, timeout=max(0.0, deadline_s - time.monotonic()))
        finally:
            waiting.cancel()
            await self.close()

    async def close(self) -> None:
        """Fail whatever is left and end the lanes. Idempotent."""
        self._refusal = self._refusal or Draining(f"model {self.name}: the gateway is stopping")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._fail_all(self._refusal)
        await self.pool.close()

    async def set_pipelines(self, spec: LoadSpec) -> None:
        """Use other pipelines from now on; carried state starts anew.

        Raises:
            GatewayError: They do not compile.
        """
        facts = await self.pool.set_pipelines(spec)
        self._states.clear()
        self.facts = facts or self.facts

    # What the pool tells.

    def batch_done(self, lane: Lane, batch: Batch, answers: Sequence[MemberAnswer], took_s: float) -> None:
        """Answer the members of a batch that came back."""
        now_s = time.monotonic()
        rows = batch.rows
        self._cost.observe(rows, took_s)
        self._observer.batch_ran(self.name, rows, took_s)
        if batch.major_faults:
            self._observer.faulted(self.name, batch.major_faults)
        version = lane.facts.version if lane.facts else None
        wait_ms = max(0.0, (batch.started_s - batch.dispatched_s) * 1e3)
        for ticket, answer in zip(batch.tickets, answers, strict=True):
            request = ticket.request
            self._batcher.returned(request.queue_key)
            if request.ordered and answer.error is None:
                self._states.put(request.pipeline, request.stream, request.arrived_s, answer.state)
            if ticket.ended:
                continue
            if answer.error is not None:
                event, state = _EXPIRED if isinstance(answer.error, DeadlineExceeded) else _FAILED
                self._end(ticket, event, Outcome(state, error=answer.error))
                continue
            self._quarantine.acquit(request.pipeline, request.payload)
            timings = Timings(
                (ticket.dispatched_s - request.arrived_s) * 1e3,
                {"wait": wait_ms, **answer.stages_ms},
                (now_s - request.arrived_s) * 1e3,
            )
            said = (answer.prediction, None, None, timings, version, rows, answer.tensors)
            self._end(ticket, RequestEvent.COMPLETE, Outcome(RequestState.DONE, *said))
        self.pump()

    def lane_lost(self, lane: Lane, batches: Sequence[Batch], reason: str) -> None:
        """Answer or retry what a dead worker held."""
        self._observer.worker_lost(self.name, lane.pid, reason, sum(len(b.tickets) for b in batches))
        for position, batch in enumerate(batches):
            for ticket in batch.tickets:
                self._batcher.returned(ticket.request.queue_key)
                if ticket.ended:
                    continue
                if position > 0 or batch.is_spared:
                    self._retry(ticket, alone=ticket.alone)
                elif len(batch.tickets) > 1:
                    self._retry(ticket, alone=True)
                else:
                    self._blame(ticket, reason)
        self.pump()

    def lanes_changed(self) -> None:
        """Note that a lane is ready or gone."""
        for lane in self.pool.lanes:
            if lane.state is LaneState.READY and lane.facts is not None:
                self.facts = lane.facts
        self._observer.lanes_changed(self.name, self.pool.ready, self.pool.wanted)
        self.pump()

    def out_of_service(self, reason: str) -> None:
        """Refuse everything from now on, and end the lanes that are left."""
        if self._drained is not None:  # it serves no longer: its successor is not concerned
            return
        self._refusal = NotReady(f"model {self.name} is out of service: {reason}; reload to try again")
        self._observer.out_of_service(self.name, self._refusal)
        self._fail_queued(self._refusal)
        self.pool.resize(0)

    # The pump.

    def pump(self) -> None:
        """Give lanes what waits, and answer what is due; needed whenever either may have changed."""
        self._again = True
        if self._pumping:  # a caller's on_done submitted: the loop below will see it
            return
        self._pumping = True
        due_s: list[float | None] = []
        try:
            while self._again:
                self._again = False
                due_s = self._turn(time.monotonic())
        finally:
            self._pumping = False
        self._arm(due_s)
        self._note_if_drained()

    def _turn(self, now_s: float) -> list[float | None]:
        """Do what is due; return when there may be more."""
        lanes, open_s = self.pool.open_lanes(now_s, self._cost)
        polled = self._batcher.poll(now_s, len(lanes))
        for entry in polled.expired:
            self._expire(self._waiting.pop(entry.id))
        for lane, entries in zip(lanes, polled.batches, strict=False):
            self._dispatch(lane, entries, now_s)
        waiting_s = self._batcher.next_wakeup_s()
        if waiting_s is not None and polled.batches:
            open_s = self.pool.open_lanes(now_s, self._cost)[1]  # the lanes just filled open again
        running_s = self._expire_running(now_s)
        return [self.pool.end_hung(now_s), running_s, waiting_s, None if waiting_s is None else open_s]

    def _dispatch(self, lane: Lane, entries: Sequence[Entry], now_s: float) -> None:
        tickets = [self._waiting.pop(entry.id) for entry in entries]
        states: list[bytes] = []
        for ticket in tickets:
            ticket.step(RequestEvent.DISPATCH)
            ticket.dispatched_s = now_s
            states.append(self._carried(ticket.request))
        try:
            lane.run(tickets, states, now_s)
        except OSError as error:
            for ticket in tickets:
                self._batcher.returned(ticket.request.queue_key)
                self._fail(ticket, OutOfMemory(f"no shared memory for a batch: {error}", model=self.name))

    def _carried(self, request: InferRequest) -> bytes:
        if not request.ordered:
            return b""
        return self._states.take(request.pipeline, request.stream, request.arrived_s, request.reset_gap_s)

    def _expire_running(self, now_s: float) -> float | None:
        """Answer requests whose deadline passes while a lane holds them; return the next such time."""
        next_s: float | None = None
        for lane in self.pool.lanes:
            for batch in lane.in_flight:
                for ticket in batch.tickets:
                    if ticket.ended:
                        continue
                    deadline_s = ticket.request.deadline_s
                    if deadline_s <= now_s:
                        self._expire(ticket)
                    elif next_s is None or deadline_s < next_s:
                        next_s = deadline_s
        return next_s

    def _arm(self, times_s: Sequence[float | None]) -> None:
        due_s = min((t for t in times_s if t is not None), default=None)
        if self._timer is not None:
            # An early alarm is cheaper than moving it at every frame.
            if due_s is not None and self._timer.when() <= due_s and self._timer.when() > self._loop.time():
                return
            self._timer.cancel()
            self._timer = None
        if due_s is not None:
            # In a context of nobody's: what it finds due is not about the request that armed it.
            due_s = min(due_s, self._loop.time() + _LONG_S)
            self._timer = self._loop.call_at(due_s, self._on_timer, context=Context())

    def _on_timer(self) -> None:
        self._timer = None
        self.pump()

    # How requests end.

    def _refused(self, request: InferRequest) -> GatewayError | None:
        if (digest := self._quarantine.refuses(request.pipeline, request.payload)) is None:
            return None
        return Quarantined(f"payload sha256 {digest[:16]} crashed a worker twice and is not run again")

    def _retry(self, ticket: Ticket, *, alone: bool) -> None:
        ticket.step(RequestEvent.RETRY)
        ticket.alone = alone
        if self._batcher.put_back(_entry(ticket)):
            self._waiting[ticket.id] = ticket
        else:
            self._end(ticket, RequestEvent.CANCEL, Outcome.withdrawn(CancelReason.SUPERSEDED))

    def _blame(self, ticket: Ticket, reason: str) -> None:
        """Fail the only member of a batch whose worker died, and remember its payload."""
        request = ticket.request
        digest, refused = self._quarantine.strike(request.pipeline, request.payload)
        if ticket.alone and not refused:  # it died in company first: that was the first strike
            digest, refused = self._quarantine.strike(request.pipeline, request.payload)
        if refused:
            self._observer.payload_quarantined(request, digest)
        self._fail(ticket, WorkerCrashed(f"the worker {reason}", model=self.name, payload_sha256=digest))

    def _expire(self, ticket: Ticket) -> None:
        waits = ticket.state is RequestState.QUEUED
        kind, what = (DeadlineQueued, "waited") if waits else (DeadlineRunning, "ran")
        age_ms = (time.monotonic() - ticket.request.arrived_s) * 1e3
        error = kind(f"{age_ms:.0f} ms after arrival the deadline passed while it {what}")
        self._end(ticket, RequestEvent.EXPIRE, Outcome(RequestState.EXPIRED, error=error))

    def _fail(self, ticket: Ticket, error: GatewayError) -> None:
        self._end(ticket, RequestEvent.FAIL, Outcome(RequestState.FAILED, error=error))

    def _fail_queued(self, error: GatewayError) -> None:
        for entry in self._batcher.queued():
            self._batcher.cancel(entry.id)
            self._fail(self._waiting.pop(entry.id), error)

    def _fail_all(self, error: GatewayError) -> None:
        self._fail_queued(error)
        for lane in self.pool.lanes:
            for batch in lane.in_flight:
                for ticket in batch.tickets:
                    if not ticket.ended:
                        self._fail(ticket, error)

    def _end(self, ticket: Ticket, event: RequestEvent, outcome: Outcome) -> None:
        ticket.step(event)
        self._observer.request_ended(ticket, outcome)
        try:
            ticket.on_done(ticket, outcome)
        except Exception as error:  # noqa: BLE001 - one caller's bug must not cost the others their answers
            self._observer.caller_failed(self.name, error)

    def _note_if_drained(self) -> None:
        if self._drained is not None and not self.queued and not self.in_flight:
            self._drained.set()


def _entry(ticket: Ticket) -> Entry:
    request = ticket.request
    how = (request.latest, request.ordered, ticket.alone, request.rows, request.level)
    return Entry(ticket.id, request.queue_key, request.deadline_s, *how)
