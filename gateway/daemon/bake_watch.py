"""Watches a release in its bake: judges it once a second, and writes down now and then what was watched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from gateway.daemon.rollout_ports import RolloutPorts
from gateway.errors import BakeFailed
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
        version = self._ports.catalog.versions.get(self._model)
        if version is None:
            yield Failed(ref, BakeFailed.label, "nothing serves the model", int(time.time()))
            return
        version.watch.on_lost = self._on_lost
        tick_s = max(_LEAST_TICK_S, self._limits.seconds / _MOST_TICKS)
        baked_s, baked_requests = done
        ticked_s = seen_s = time.monotonic()
        told_requests = seen_requests = version.watch.window.requests
        while True:
            await asyncio.wait({self._lost}, timeout=min(_JUDGE_S, max(0.1, self._limits.seconds / 4)))
            now_s, requests = time.monotonic(), version.watch.window.requests
            baked_s, baked_requests = baked_s + now_s - seen_s, baked_requests + requests - seen_requests
            seen_s, seen_requests = now_s, requests
            if self._lost.done() or version.watch.lost_because:
                reason = f"its workers died: {version.watch.lost_because}"
                yield Failed(ref, BakeFailed.label, reason, int(time.time()))
                return
            judged = judge(
                self._before, version.watch.window.summary(), self._limits, baked_s, baked_requests
            )
            self._tell_alarm(ref, judged.alarm)
            if judged.verdict is Verdict.FAILED:
                yield Failed(ref, BakeFailed.label, judged.reason, int(time.time()))
                return
            if judged.verdict is Verdict.PASSED and may_pass():
                yield BakePassed(ref)
                return
            if now_s - ticked_s >= tick_s:
                yield BakeTick(ref, now_s - ticked_s, requests - told_requests)
                ticked_s, told_requests = now_s, requests

    def _on_lost(self, reason: str) -> None:
        if not self._lost.done():
            self._lost.set_result(reason)

    def _tell_alarm(self, ref: ReleaseRef, alarm: str) -> None:
        if alarm and not self._alarm:
            log.event("bake_alarm", model=self._model, release=ref.number, alarm=alarm)
        self._alarm = alarm
