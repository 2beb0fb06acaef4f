"""Watches a release in its bake: judges it once a second, and writes down now and then what was watched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from gateway.daemon.rollout_ports import RolloutPorts
from gateway.daemon.service_watch import ServiceWatch
from gateway.errors import BakeFailed
from gateway.inference.loaded import LoadSpec
from gateway.operations.log import log
from gateway.updates.bake import Gates, Summary, Verdict, judge
from gateway.updates.release import ReleaseRef
from gateway.updates.rollout_events import BakePassed, BakeTick, Failed

_JUDGE_S = 1.0
# Each tick is a durable write: a flash disk is not worn out by a bake.
_LEAST_TICK_S = 5.0
_MOST_TICKS = 20


class BakeWatch:
    """One bake.

    Args:
        model: The model.
        ports: The house.
        limits: What the release must keep to.
        before: What the release before did; None if that is not known.
    """

    def __init__(self, model: str, ports: RolloutPorts, limits: Gates, before: Summary | None) -> None:
        self._model = model
        self._ports = ports
        self._limits = limits
        self._before = before
        self._alarm = ""
        self._spec: LoadSpec | None = None
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def events(
        self, ref: ReleaseRef, done: tuple[float, int], may_pass: Callable[[], bool]
    ) -> AsyncIterator[BakeTick | BakePassed | Failed]:
        """Yield ticks, and at last how it ended.

        Args:
            ref: The release.
            done: Seconds and requests that count already.
            may_pass: Asked when all gates are green: whether nothing else stands in the way.
        """
        watch = self._watched()
        if watch is None:
            yield Failed(ref, BakeFailed.label, "nothing serves the model", int(time.time()))
            return
        baked_s, baked_requests = done
        seen_s, seen_requests = time.monotonic(), watch.window.requests
        untold_s, untold_requests = 0.0, 0
        while True:
            await asyncio.wait({self._lost}, timeout=min(_JUDGE_S, max(0.1, self._limits.seconds / 4)))
            if self._lost.done():  # perhaps by lanes that a reload has ended since
                self._lost = asyncio.get_running_loop().create_future()
            now_s, requests = time.monotonic(), watch.window.requests - seen_requests
            baked_s, baked_requests = baked_s + now_s - seen_s, baked_requests + requests
            untold_s, untold_requests = untold_s + now_s - seen_s, untold_requests + requests
            if watch.lost_because:
                reason = f"its workers died: {watch.lost_because}"
                yield Failed(ref, BakeFailed.label, reason, int(time.time()))
                return
            seen_s, seen_requests = now_s, watch.window.requests
            now = self._watched()
            if now is not None and now is not watch:
                watch, seen_requests = now, 0
            judged = judge(self._before, watch.window.summary(), self._limits, baked_s, baked_requests)
            self._tell_alarm(ref, judged.alarm)
            if judged.verdict is Verdict.FAILED:
                yield Failed(ref, BakeFailed.label, judged.reason, int(time.time()))
                return
            if judged.verdict is Verdict.PASSED and may_pass():
                yield BakePassed(ref)
                return
            if untold_s >= self._tick_s(baked_s):
                yield BakeTick(ref, untold_s, untold_requests)
                untold_s, untold_requests = 0.0, 0

    def _tick_s(self, baked_s: float) -> float:
        """Return how long to wait for the next tick: ever longer, so that a long bake writes little."""
        return max(_LEAST_TICK_S, self._limits.seconds / _MOST_TICKS, baked_s / _MOST_TICKS)

    def _watched(self) -> ServiceWatch | None:
        """Return the watch of what serves; a reload may have put other lanes in the place of those before."""
        version = self._ports.catalog.versions.get(self._model)
        if version is None:
            return None
        if self._spec not in (None, version.plan.spec):
            self._before = None  # it is asked to do something else than the release before was
        self._spec = version.plan.spec
        if version.watch.on_lost != self._on_lost:
            version.watch.on_lost = self._on_lost
        return version.watch

    def _on_lost(self, reason: str) -> None:
        if not self._lost.done():
            self._lost.set_result(reason)

    def _tell_alarm(self, ref: ReleaseRef, alarm: str) -> None:
        if alarm and not self._alarm:
            log.event("bake_alarm", model=self._model, release=ref.number, alarm=alarm)
        self._alarm = alarm
