"""One worker as the front end sees it: start it, hand it batches, notice its end.

A lane never decides anything about requests: it tells its owner what came back
and what was lost. At most two batches are in flight: one running, one waiting
in shared memory, so that a lane need not idle while an answer travels.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import itertools
import os
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from gateway.error_words import from_wire
from gateway.errors import EngineFailed, WorkerCrashed
from gateway.inference.body import Body, ProcessBody
from gateway.inference.division import DividedBody
from gateway.inference.flight import Batch, MemberAnswer, WorkerFacts
from gateway.inference.loaded import LoadSpec
from gateway.inference.model_shape import ModelShape
from gateway.inference.pages import Page
from gateway.inference.request import TensorBytes, Ticket
from gateway.inference.wire import Head, Splitter, encode
from gateway.model import ModelVersion

POLITE = 15
_END_WAIT_S = 0.5
_KILL_WAIT_S = 5.0


class LaneState(enum.Enum):
    """Where a lane is in its life."""

    STARTING = "starting"
    READY = "ready"
    RETIRING = "retiring"
    GONE = "gone"


class LaneOwner(Protocol):
    """Who is told what happens to a lane; called in the event loop."""

    def batch_done(self, lane: Lane, batch: Batch, answers: Sequence[MemberAnswer], took_s: float) -> None:
        """A batch came back."""
        ...

    def lane_lost(self, lane: Lane, batches: Sequence[Batch], reason: str) -> None:
        """The worker ended unasked; the first of ``batches`` was running, the rest waited."""
        ...

    def lane_answered(self) -> None:
        """A question is done with, however it ended: a lane may take batches again."""
        ...


@dataclass(slots=True, eq=False)
class Lane:
    """One worker. Made by ``start``; ended by ``close``.

    Attributes:
        index: Number of this lane in its pool; never used twice.
        owner: Who is told.
        body: What it lives in.
        state: Where it is in its life.
        facts: What the worker said when it was ready.
        in_flight: Batches that it holds, the running one first.
        answered_s: When a batch or canary came back last, monotonic seconds.
        serial: Tells lanes apart for as long as the process lives, whatever their pool and process.
    """

    index: int
    owner: LaneOwner
    body: Body = field(default_factory=ProcessBody)
    state: LaneState = LaneState.STARTING
    facts: WorkerFacts | None = None
    in_flight: deque[Batch] = field(default_factory=deque)
    answered_s: float = 0.0
    serial: int = field(default_factory=itertools.count(1).__next__)
    _batches: int = 0
    _pages: list[Page] = field(default_factory=list)
    _transport: asyncio.Transport | None = None
    _replies: dict[str, asyncio.Future[Head]] = field(default_factory=dict)
    _lost_because: str = ""
    _is_spared: bool = False
    _is_retired: bool = False

    @property
    def pid(self) -> int:
        """Process id of the worker; 0 before it was started."""
        return self.body.pid

    async def start(
        self, spec: LoadSpec, timeout_s: float, politeness: int = POLITE, niceness: int = 0
    ) -> WorkerFacts:
        """Start the worker and have it load the model, unless its body has it.

        Args:
            spec: What to load.
            timeout_s: Longest load.
            politeness: Nice value of the load, 0 to 19.
            niceness: Nice value of a process of its own once it serves, above our own.

        Raises:
            EngineFailed: The worker could not load it, or not in time.
            WorkerCrashed: The worker cannot be started, died while loading, or gave a senseless answer.

        Cancel-safe: the worker is killed and everything it held is freed.
        """
        try:
            await self._begin()
            weight = {"politeness": politeness, "niceness": niceness}
            load = None if self.body.loaded else {"t": "load", "spec": spec.to_json(), **weight}
            head = await self._ask("ready", load, timeout_s)
            self.facts = _facts(head)
        except OSError as error:
            await self.close()
            raise WorkerCrashed(f"model {spec.name}: a worker cannot be started: {error}") from error
        except (KeyError, TypeError) as error:
            await self.close()
            raise WorkerCrashed(f"model {spec.name}: a worker gave a senseless answer: {error}") from error
        except BaseException:
            await self.close()
            raise
        self.body.quiet()
        self.state = LaneState.READY
        return self.facts

    async def set_pipelines(self, spec: LoadSpec, timeout_s: float) -> WorkerFacts:
        """Give the worker other pipelines; return what is true of it from then on.

        Raises:
            PipelineMisfit: They do not compile; the worker keeps the old ones.
            EngineFailed: It did not answer in time; it is then killed.
            WorkerCrashed: The worker died.
        """
        head = await self._ask("pipelines", {"t": "pipelines", "spec": spec.to_json()}, timeout_s)
        assert self.facts is not None
        self.facts = replace(self.facts, stateful=frozenset(head["stateful"]), kinds=head["kinds"])
        return self.facts

    def child_body(self, timeout_s: float) -> DividedBody | None:
        """Return a body for another lane that this one's worker makes by dividing; None if it cannot."""
        divides = self.facts is not None and self.facts.divides
        if self.state is not LaneState.READY or self.body.kin is None or not divides:
            return None
        return DividedBody(lambda fds: self._ask("divided", {"t": "divide"}, timeout_s, fds))

    async def canary(self, timeout_s: float) -> None:
        """Have the worker run its model once, after whatever it already holds.

        Raises:
            EngineFailed: The model failed, or did not answer in time; the worker is then killed.
            WorkerCrashed: The worker died.
        """
        await self._ask("canary", {"t": "canary"}, timeout_s)
        self.answered_s = time.monotonic()

    def run(self, tickets: Sequence[Ticket], states: Sequence[bytes], now_s: float) -> Batch:
        """Copy the payloads into shared memory and tell the worker; never waits.

        Raises:
            OSError: The system has no memory left for the page; nothing was sent.
        """
        assert self._transport is not None
        which = self._batches & 1
        page = self._pages[which]
        offsets = page.write([ticket.request.payload for ticket in tickets])
        members = [
            [
                t.request.pipeline,
                offset,
                len(t.request.payload),
                t.request.declared,
                len(state),
                t.request.deadline_s,
            ]
            for t, offset, state in zip(tickets, offsets, states, strict=True)
        ]
        head = {"t": "run", "n": self._batches, "page": which, "size": page.size_bytes, "members": members}
        batch = Batch(self._batches, tuple(tickets), now_s, now_s)
        self._transport.write(encode(head, b"".join(states), is_finite=True))
        self._batches += 1
        self.in_flight.append(batch)
        return batch

    def retire(self) -> None:
        """Take no more batches; ``close`` it when nothing is in flight."""
        if self.state is LaneState.READY:
            self.state = LaneState.RETIRING
            self._is_retired = True

    def kill(self, reason: str) -> None:
        """End the worker at once; its owner is told through ``lane_lost``."""
        self.retire()
        self._lost_because = self._lost_because or reason
        self.body.kill()

    @property
    def is_spared(self) -> bool:
        """Whether its worker ends for another lane's fault; it takes no more batches."""
        return self._is_spared or self.body.is_spared

    @property
    def is_killed(self) -> bool:
        """Whether it was killed: its owner is told by ``lane_lost``, whatever still comes back."""
        return bool(self._lost_because)

    @property
    def is_let_go(self) -> bool:
        """Whether it was retired, and not because it failed: what it was asked may never be answered."""
        return self._is_retired and not self.is_killed

    async def close(self) -> None:
        """End the worker and free everything; its owner is not told. Idempotent.

        Cancel-safe: a second call finishes what the first began.
        """
        self.state = LaneState.GONE
        self._fail_questions("the lane was closed")
        if self._transport is not None:
            self._transport.close()
        ended = asyncio.ensure_future(self.body.ended())
        try:
            await asyncio.wait({ended}, timeout=_END_WAIT_S)
            self.body.leave()
            await asyncio.wait({ended}, timeout=_KILL_WAIT_S)
        finally:
            ended.cancel()
        self._free_pages()

    async def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as ours_on_failure, contextlib.ExitStack() as theirs:
            ours, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            ours_on_failure.callback(ours.close)
            theirs.callback(other.close)
            fds = [other.fileno()]
            for name in ("gateway-page-0", "gateway-page-1"):
                page = Page(name)
                self._pages.append(page)
                fds.append(page.open_for_reading())
                theirs.callback(os.close, fds[-1])
            await self.body.begin(fds)
            if self.state is LaneState.GONE:  # closed meanwhile, when there was nothing yet to end
                raise WorkerCrashed("the lane was closed while its worker was started")
            self._transport, _ = await loop.create_unix_connection(lambda: _Channel(self), sock=ours)
            ours_on_failure.pop_all()

    async def _ask(self, reply: str, head: Head | None, timeout_s: float, fds: Sequence[int] = ()) -> Head:
        """Send a question, if there is one, and return the answer; who gives none in time is killed."""
        while (other := self._replies.get(reply)) is not None:  # one question of a kind at a time
            await asyncio.wait({other}, timeout=timeout_s)
        if self._transport is None or self._transport.is_closing():
            raise WorkerCrashed("the worker has ended")
        future: asyncio.Future[Head] = asyncio.get_running_loop().create_future()
        self._replies[reply] = future
        try:
            if fds and self.body.kin is not None:
                socket.send_fds(self.body.kin, [b"+"], fds)
            if head is not None:  # at once, so that what was sent belongs to it
                self._transport.write(encode(head))
            # Not wait_for: before Python 3.12 it swallows a cancellation that comes with the answer.
            await asyncio.wait({future}, timeout=timeout_s)
            if not future.done():
                if self.state is not LaneState.STARTING:  # else `start` closes it, and nobody is hurt
                    self.kill(f"{reply} took longer than {timeout_s:g} s")
                raise EngineFailed(f"the worker took longer than {timeout_s:g} s to be done with: {reply}")
            return future.result()
        finally:
            self._replies.pop(reply, None)
            self.owner.lane_answered()
            future.cancel()  # whoever waits for its turn to ask need not wait for an answer to nobody

    def receive(self, head: Head, tail: bytes) -> None:
        """Take one message from the worker."""
        kind = head["t"]
        if kind == "done":
            self._receive_batch(head, tail)
        elif kind == "spared":
            self._is_spared = True
        elif kind == "failed":
            if (asked := self._replies.get(head["of"])) and not asked.done():
                asked.set_exception(from_wire(head["label"], head["message"]))
        elif (asked := self._replies.get(kind)) and not asked.done():
            asked.set_result(head)

    def _receive_batch(self, head: Head, tail: bytes) -> None:
        """Take a batch's answers; if they are wrong, the batch stays in flight for ``lane_lost``."""
        batch = self.in_flight[0]
        if batch.number != head["n"] or len(head["members"]) != len(batch.tickets):
            raise ValueError(f"an answer to batch {head['n']} of {len(head['members'])} members")
        started_s, ended_s = float(head["started"]), float(head["ended"])
        batch.major_faults = int(head["faults"])
        answers: list[MemberAnswer] = []
        offset = 0
        for prediction, error, state_bytes, stages_ms, forms in head["members"]:
            state = tail[offset : offset + state_bytes]
            offset += state_bytes
            tensors: list[TensorBytes] = []
            for name, dtype, shape, size in forms:
                tensors.append(TensorBytes(name, dtype, tuple(shape), tail[offset : offset + size]))
                offset += size
            answers.append(
                MemberAnswer(
                    prediction, from_wire(*error) if error else None, state, stages_ms, tuple(tensors)
                )
            )
        self.in_flight.popleft()
        if self.in_flight:
            self.in_flight[0].started_s = ended_s
        self.answered_s = ended_s
        self.owner.batch_done(self, batch, answers, ended_s - started_s)

    @property
    def is_asked(self) -> bool:
        """Whether a question (a canary, new pipelines) is on its way, or its end: a batch would not run."""
        return bool(self._replies) or self.is_spared

    def channel_closed(self) -> None:
        """Notice that the worker's end of the socket is gone."""
        if self.state is LaneState.GONE:
            return
        was_loading = self.state is LaneState.STARTING
        self.state = LaneState.GONE
        self.body.leave()
        task = asyncio.get_running_loop().create_task(
            self._report_loss(was_loading), name=f"lane[{self.pid}].loss"
        )
        _LOSSES.add(task)
        task.add_done_callback(_LOSSES.discard)

    async def _report_loss(self, was_loading: bool) -> None:
        reason = self._describe_end(await self.body.ended())
        self._free_pages()
        self._fail_questions(f"the worker {reason}")
        batches = tuple(self.in_flight)
        for batch in batches:
            batch.is_spared = self.is_spared
        self.in_flight.clear()
        if not was_loading:
            self.owner.lane_lost(self, batches, reason)

    def _fail_questions(self, why: str) -> None:
        for future in self._replies.values():
            if not future.done():
                future.set_exception(WorkerCrashed(why))

    def _describe_end(self, how: str) -> str:
        if not self._lost_because:
            return how
        what, colon, said = how.partition(": ")
        return f"{what} ({self._lost_because}){colon}{said}"

    def _free_pages(self) -> None:
        for page in self._pages:
            page.close()


def _facts(head: Head) -> WorkerFacts:
    return WorkerFacts(
        ModelVersion(**head["version"]),
        head["max_rows"],
        frozenset(head["stateful"]),
        head["kinds"],
        head["mapped"],
        head["pinned"],
        head["mapping_note"],
        head["confined"],
        head["divides"],
        ModelShape.from_plain(head["shape"]),
    )


_LOSSES: set[asyncio.Task[None]] = set()  # the loop keeps only weak references to tasks


class _Channel(asyncio.Protocol):
    """Cuts what the worker sends into messages for its lane."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._splitter = Splitter()

    def data_received(self, data: bytes) -> None:
        try:
            for head, tail in self._splitter.feed(data):
                self._lane.receive(head, tail)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            self._lane.kill(f"sent what is no message: {error}")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._lane.channel_closed()
