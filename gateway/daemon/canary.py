"""Keeps asking every serving model whether it still answers; readiness rests on nothing else.

A lane that answered a batch lately has sung already; only quiet ones are asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gateway.errors import GatewayError
from gateway.inference.dataplane import DataPlane
from gateway.inference.scheduler import Scheduler
from gateway.operations.health import Health
from gateway.operations.log import log
from gateway.operations.metrics import Metrics


class Canaries:
    """Asks all serving models, once an interval."""

    def __init__(self, dataplane: DataPlane, health: Health, metrics: Metrics, interval_s: float) -> None:
        self.interval_s = interval_s
        self._dataplane = dataplane
        self._health = health
        self._metrics = metrics

    async def run(self, beat: Callable[[], None] = lambda: None) -> None:
        """Ask for ever, an interval from now on; ends by cancellation.

        A model that does not answer keeps neither the others from being asked nor the beat from coming.

        Args:
            beat: Called once an interval, in the same turn of the loop; must not wait.
        """
        asking: set[asyncio.Task[None]] = set()
        try:
            while True:
                await asyncio.sleep(self.interval_s)
                beat()
                task = asyncio.ensure_future(self.ask())
                asking.add(task)
                task.add_done_callback(asking.discard)
        finally:
            left = tuple(asking)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def ask(self) -> None:
        """Ask every serving model once."""
        serving = [(n, s) for n, s in self._dataplane.serving.items() if s.pool.in_service]
        beside = [(p, s) for p, s in self._dataplane.beside.items() if s.pool.in_service]
        await asyncio.gather(
            *(self._ask(name, scheduler) for name, scheduler in serving),
            *(self._ask_beside(*place, scheduler) for place, scheduler in beside),
        )

    async def _ask_beside(self, name: str, version: str, scheduler: Scheduler) -> None:
        """Ask a version beside another one: what it says does not count for the gateway's readiness."""
        try:
            await scheduler.pool.canary(time.monotonic() - self.interval_s)
        except GatewayError as error:
            self._metrics.canaries.add(1, name, "failed")
            log.event("canary_failed", model=f"{name}@{version}", error=error)
        else:
            self._metrics.canaries.add(1, name, "ok")

    async def _ask(self, name: str, scheduler: Scheduler) -> None:
        try:
            oldest_s = await scheduler.pool.canary(time.monotonic() - self.interval_s)
        except GatewayError as error:
            self._metrics.canaries.add(1, name, "failed")
            self._health.canary_failed(name, error.message)
            log.event("canary_failed", model=name, error=error)
            return
        if oldest_s is not None:
            self._metrics.canaries.add(1, name, "ok")
            self._health.canary_answered(name, oldest_s)
