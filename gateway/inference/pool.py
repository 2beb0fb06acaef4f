"""The lanes of one model version: started, retired, replaced with back-off, resized while running.

The pool hides what a lane is; the scheduler asks it which lanes are open and is
told what came back. A worker that dies or hangs is replaced after a pause that
doubles; too many deaths in a row take the model out of service.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Protocol

from gateway.errors import EngineFailed, GatewayError, OutOfMemory, WorkerCrashed
from gateway.inference.body import Body, ProcessBody
from gateway.inference.cost import BatchCost
from gateway.inference.flight import Batch, MemberAnswer, WorkerFacts
from gateway.inference.lane import POLITE, Lane, LaneState
from gateway.inference.limits import PoolLimits
from gateway.inference.loaded import LoadSpec
from gateway.operations.gentle import GENTLE, PATIENCE
from gateway.operations.restart import GiveUp, Restart

_LEAST_LEAD_S = 0.001  # an event loop's timers are good to about a millisecond
_LEAD_SHARE = 0.12
_STABLE_BATCHES = 16

# Makes what a new lane lives in.
MakeBody = Callable[[LoadSpec, PoolLimits], Body]


def process_body(_spec: LoadSpec, _limits: PoolLimits) -> Body:
    """Return a process of its own."""
    return ProcessBody()


class PoolOwner(Protocol):
    """Who is told what the pool's lanes do; called in the event loop."""

    def batch_done(self, lane: Lane, batch: Batch, answers: Sequence[MemberAnswer], took_s: float) -> None:
        """A batch came back."""
        ...

    def lane_lost(self, lane: Lane, batches: Sequence[Batch], reason: str) -> None:
        """A worker died; the first of ``batches`` was running, the rest waited."""
        ...

    def lanes_changed(self) -> None:
        """A lane became ready or has gone."""
        ...

    def pump(self) -> None:
        """A lane may take batches again that was asked something."""
        ...

    def out_of_service(self, reason: str) -> None:
        """Workers died too often: no more are started."""
        ...


class Pool:
    """Keeps ``wanted`` lanes of one model alive."""

    def __init__(
        self,
        spec: LoadSpec,
        wanted: int,
        limits: PoolLimits,
        owner: PoolOwner,
        make_body: MakeBody = process_body,
    ) -> None:
        self.spec = spec
        self.wanted = wanted
        self.lanes: list[Lane] = []
        self.restarts = 0
        self._limits = limits
        self._owner = owner
        self._make_body = make_body
        self._fate: object | None = None
        self._restart = Restart(limits.restart)
        self._answered = 0
        self._starting: set[asyncio.Task[None]] = set()
        self._loads: dict[Lane, asyncio.Task[None]] = {}  # of `_starting`, by the lane that each starts
        self._ending: set[asyncio.Task[None]] = set()
        self._next_index = 0
        self._closing = False

    @property
    def ready(self) -> int:
        """Lanes that take batches."""
        return len(self.ready_lanes)

    @property
    def ready_lanes(self) -> list[Lane]:
        """The lanes that take batches, the oldest first."""
        return [lane for lane in self.lanes if lane.state is LaneState.READY]

    @property
    def pids(self) -> list[int]:
        """Processes of the lanes; a lane that is about to get one has none, and 0 would mean everybody."""
        return [lane.pid for lane in self.lanes if lane.pid]

    @property
    def in_service(self) -> bool:
        """Whether lanes are still started."""
        return not self._restart.given_up

    async def start(self, *, gently: bool = False) -> WorkerFacts:
        """Start all wanted lanes and wait until they are ready: one loads, others come of it if they can.

        Args:
            gently: True to start them with hardly any weight against what serves, and to give them the
                time that this takes.

        Raises:
            GatewayError: A worker could not load the model; none is left running.

        Cancel-safe: what was started is ended.
        """
        try:
            first = await self._add_lane(gently=gently)
            if first.divides or gently:
                for _ in range(self.wanted - 1):
                    await self._add_lane(gently=gently)
            else:
                await self._add_together(self.wanted - 1)
        except BaseException:
            await self.close()
            raise
        return first

    async def _add_together(self, count: int) -> None:
        tasks = [asyncio.ensure_future(self._add_lane()) for _ in range(count)]
        try:
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    def resize(self, wanted: int) -> None:
        """Grow or shrink to ``wanted`` lanes; returns at once, lanes follow.

        Idle lanes go first, the youngest of them first of all; a busy one finishes what it holds. One that
        still starts in a process of its own ends at once: what it loads may be the memory that is short.
        """
        self.wanted = wanted
        live = self._live()
        ready = self.ready_lanes
        for lane in sorted(ready, key=_least_missed)[: max(0, len(ready) - wanted)]:
            lane.retire()
            # Not now: whoever asks may be told of an answer while this lane is about to be given a batch.
            asyncio.get_running_loop().call_soon(self._close_if_done, lane)
        # In the GPU owner a load cannot be broken off: that lane sees in the end that it is one too many.
        loads = [lane for lane in self._loads if lane in live and lane.body.fate is None]
        for lane in loads[::-1][: max(0, len(live) - max(wanted, len(ready)))]:
            self._loads.pop(lane).cancel()
        for _ in range(wanted - len(live)):
            self._spawn(self._replace(0.0), self._starting)

    def open_lanes(self, now_s: float, cost: BatchCost) -> tuple[list[Lane], float | None]:
        """Return the lanes that take a batch now, idle ones first, and when the next one may.

        A busy lane takes one more batch shortly before its running one should
        end: early enough that it need not idle, late enough that what it takes
        is fresh and what comes meanwhile can join.
        """
        idle: list[Lane] = []
        nearly: list[Lane] = []
        next_s: float | None = None
        for lane in self.lanes:
            if lane.state is not LaneState.READY or lane.is_asked:
                continue
            if not lane.in_flight:
                idle.append(lane)
            elif len(lane.in_flight) == 1 and cost.known:
                running = lane.in_flight[0]
                expected_s = cost.expect_s(running.rows)
                open_s = running.started_s + expected_s - max(_LEAST_LEAD_S, expected_s * _LEAD_SHARE)
                if open_s <= now_s:
                    nearly.append(lane)
                elif next_s is None or open_s < next_s:
                    next_s = open_s
        return idle + nearly, next_s

    def end_hung(self, now_s: float) -> float | None:
        """Kill workers whose batch runs too long; return when to look again."""
        next_s: float | None = None
        for lane in self.lanes:
            if not lane.in_flight or lane.state is LaneState.GONE:
                continue
            due_s = lane.in_flight[0].started_s + self._limits.run_timeout_s
            if due_s <= now_s:
                lane.kill(f"a batch ran longer than {self._limits.run_timeout_s:g} s")
            elif next_s is None or due_s < next_s:
                next_s = due_s
        return next_s

    def batch_done(self, lane: Lane, batch: Batch, answers: Sequence[MemberAnswer], took_s: float) -> None:
        """Pass a batch on; a retired lane ends once it holds nothing."""
        self._answered += 1
        if self._answered == _STABLE_BATCHES:
            self._restart.stable(time.monotonic())
        self._owner.batch_done(lane, batch, answers, took_s)
        self._close_if_done(lane)

    def lane_answered(self) -> None:
        """Pass on that what came meanwhile, and found the lane taken, may run."""
        self._owner.pump()

    def lane_lost(self, lane: Lane, batches: Sequence[Batch], reason: str) -> None:
        """Note a death, plan the replacement, pass it on."""
        if lane in self.lanes:
            self.lanes.remove(lane)
        self._owner.lane_lost(lane, batches, reason)
        self._owner.lanes_changed()
        fate, self._fate = self._fate, lane.body.fate
        if lane.is_spared or (fate is not None and fate is self._fate):
            # It went with others: one crash, which counts against whose fault it was, and once.
            self._replace_uncounted(self._limits.restart.min_s)
        else:
            self._plan_replacement(reason)

    async def set_pipelines(self, spec: LoadSpec) -> WorkerFacts | None:
        """Give every lane other pipelines; return what is true of them; None if there is no lane now.

        A lane that dies of it is no failure: its replacement starts with the new ones.

        Raises:
            PipelineMisfit: They do not compile in a worker.
        """
        self.spec = spec
        ready = self.ready_lanes
        timeout_s = self._limits.load_timeout_s
        said = await asyncio.gather(
            *(lane.set_pipelines(spec, timeout_s) for lane in ready), return_exceptions=True
        )
        for answer in said:
            if isinstance(answer, BaseException) and not isinstance(answer, (WorkerCrashed, EngineFailed)):
                raise answer
        return next((answer for answer in said if isinstance(answer, WorkerFacts)), None)

    async def canary(self, fresh_s: float) -> float | None:
        """Have every lane that answered nothing since ``fresh_s`` run its model once.

        Returns:
            When the lane that answered least recently did, monotonic seconds; None without a ready lane.

        Raises:
            GatewayError: A lane failed; one that did not answer in time is killed and replaced.
        """
        ready = self.ready_lanes
        # One that is asked already is in good hands: who asked first ends it when it does not answer.
        quiet = [lane for lane in ready if lane.answered_s < fresh_s and not lane.is_asked]
        await asyncio.gather(*(self._sing(lane) for lane in quiet))
        # One that is asked for the first time by somebody else has not answered yet.
        return min((lane.answered_s for lane in ready if lane.answered_s), default=None)

    async def _sing(self, lane: Lane) -> None:
        try:
            await lane.canary(self._limits.run_timeout_s)
        except WorkerCrashed:
            if not lane.is_let_go:
                raise

    async def close(self) -> None:
        """End every worker. Idempotent; cancel-safe: a second call finishes the first."""
        self._closing = True
        for task in tuple(self._starting):
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        lanes, self.lanes = self.lanes, []
        await asyncio.gather(*(lane.close() for lane in lanes), *self._ending)

    async def _add_lane(self, *, gently: bool = False) -> WorkerFacts:
        body = self._divided() or self._make_body(self.spec, self._limits)
        try:
            return await self._add_lane_in(body, gently=gently)
        except (WorkerCrashed, OutOfMemory):
            # Whoever was to divide has died or could not, or the owner of the GPU ended for another lane's
            # fault: load once more, if it is wanted still.
            if not (body.loaded or body.is_spared) or self._closing or len(self._live()) >= self.wanted:
                raise
        return await self._add_lane_in(self._make_body(self.spec, self._limits), gently=gently)

    def _divided(self) -> Body | None:
        """Return a body that a lane makes by dividing, the one with the least to do; None if none can."""
        lanes = sorted(self.lanes, key=lambda lane: (lane.is_asked, len(lane.in_flight)))
        bodies = (lane.child_body(self._limits.load_timeout_s) for lane in lanes)
        return next((body for body in bodies if body is not None), None)

    async def _add_lane_in(self, body: Body, *, gently: bool) -> WorkerFacts:
        limit_s = self._limits.load_timeout_s * (PATIENCE if gently else 1)
        lane = Lane(self._next_index, self, body)
        self._next_index += 1
        self.lanes.append(lane)
        task = asyncio.current_task()
        if task in self._starting:
            self._loads[lane] = task
        try:
            spec = self.spec
            politeness = GENTLE if gently else POLITE
            facts = await lane.start(spec, limit_s, politeness, self._limits.niceness)
            # Pipelines may change while a lane starts, and one that came of another has what that one had.
            told = None if body.loaded else spec
            while told is not self.spec:
                told = self.spec
                facts = await lane.set_pipelines(told, self._limits.load_timeout_s)
        except BaseException as error:
            if lane in self.lanes:
                self.lanes.remove(lane)
            await lane.close()
            if isinstance(error, WorkerCrashed) and body.is_spared:
                error.attributes["spared"] = True
            elif isinstance(error, GatewayError) and task in self._starting and not lane.is_let_go:
                # Else whoever asked is told, or it was let go before it had answered all that it was asked.
                self._owner.lane_lost(lane, (), f"did not start: {error.message}")
            raise
        finally:
            self._loads.pop(lane, None)
        if len(self._live()) > self.wanted:  # shrunk while it started
            lane.retire()
            self._close_if_done(lane)
        self._owner.lanes_changed()
        return facts

    def _live(self) -> list[Lane]:
        return [lane for lane in self.lanes if lane.state in (LaneState.STARTING, LaneState.READY)]

    async def _replace(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        if len(self._live()) >= self.wanted:
            return
        try:
            await self._add_lane()
        except asyncio.CancelledError:
            if not self._closing:
                self._owner.lanes_changed()
                if len(self._live()) < self.wanted:  # wanted again meanwhile
                    self._spawn(self._replace(0.0), self._starting)
            raise
        except GatewayError as error:
            if len(self._live()) >= self.wanted:
                return  # nobody misses it
            if error.attributes.get("spared"):
                self._replace_uncounted(self._limits.restart.min_s)
            elif self.ready:
                # Those that serve go on serving, however often another one cannot be started beside them.
                self._replace_uncounted(self._limits.restart.max_s)
            else:
                self._plan_replacement(error.message)

    def _plan_replacement(self, reason: str) -> None:
        if self._closing:
            return
        self.restarts += 1
        self._answered = 0
        verdict = self._restart.failed(time.monotonic(), random.random())
        if isinstance(verdict, GiveUp):
            how_often = f"{verdict.crashes} crashes within {verdict.window_s:g} s"
            self._owner.out_of_service(f"{how_often}, the last: {reason}")
        else:
            self._spawn(self._replace(verdict.delay_s), self._starting)

    def _replace_uncounted(self, delay_s: float) -> None:
        if not self._closing and self.in_service:
            self.restarts += 1
            self._spawn(self._replace(delay_s), self._starting)

    def _close_if_done(self, lane: Lane) -> None:
        # One that was killed is replaced when its end is noticed, whatever came back just before.
        is_done = lane.state is LaneState.RETIRING and not lane.in_flight and not lane.is_killed
        if is_done and lane in self.lanes:
            self.lanes.remove(lane)
            self._spawn(lane.close(), self._ending)
            self._owner.lanes_changed()

    def _spawn(self, coroutine: Coroutine[None, None, None], group: set[asyncio.Task[None]]) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(coroutine, name=f"pool[{self.spec.name}]")
        group.add(task)
        task.add_done_callback(group.discard)


def _least_missed(lane: Lane) -> tuple[int, int]:
    return len(lane.in_flight), -lane.index
