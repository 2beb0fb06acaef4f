"""What the service manager is told of a house: status, signs of life, and that the start takes time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from gateway.daemon.model_state import ModelState, ModelStatus
from gateway.inference.choosing import BUILD_LIMIT_S
from gateway.operations.log import log
from gateway.operations.notifier import Notifier
from gateway.operations.watchdog import LaneSign, Watchdog

if TYPE_CHECKING:
    from gateway.daemon.house import House

_EXTEND_EVERY_S: Final = 5.0
_EXTEND_BY_S: Final = 20.0
# For all that a start does besides models: the store is swept, the broker dialled.
_START_S: Final = 60.0
_ROUND_FROM_HZ: Final = 10


class Pulse:
    """Reads a house at every beat, and tells what has changed."""

    def __init__(self, house: House, manager: Notifier) -> None:
        self.note = ""
        """What is said besides, until it is taken back."""
        self._house = house
        self._manager = manager
        self._watchdog = Watchdog(manager.watchdog_s) if manager.watchdog_s is not None else None
        self._results: tuple[float, float] | None = None
        self._rate_hz = 0.0

    def beat(self) -> None:
        """Feed the watchdog if every model lives, and say what became different. Never waits."""
        if not self._manager.is_there:
            return
        now_s = time.monotonic()
        if self._watchdog is not None:
            dead = self._watchdog.turn(now_s, self._signs())
            if dead is None:
                self._manager.alive()
            else:
                log.event("watchdog_not_fed", models=list(dead))
        self._measure(now_s)
        self._manager.status(self.words())

    async def extend_start(self) -> None:
        """Ask for time while the house opens, as long as its models may take by their own limits."""
        started_s = time.monotonic()
        while self._manager.is_there and time.monotonic() < started_s + self._start_limit_s():
            self._manager.extend(_EXTEND_BY_S)
            self._manager.status(self.starting_words())
            await asyncio.sleep(_EXTEND_EVERY_S)

    def words(self) -> str:
        """Say how the gateway fares, in a line."""
        house = self._house
        verdict = house.health.judge(time.monotonic())
        serving = len(house.dataplane.serving)
        models = max(serving, len(house.wishes.expected()))
        sensors = house.sensing.snapshot() if house.sensing is not None else ()
        online = sum(1 for seen in sensors if seen.presence == "online")
        count = f"{serving} models" if serving == models else f"{serving} of {models} models"
        said = [f"{count} serving", f"{online} sensors online", f"{self._rate_words()} results/s"]
        against = f" ({', '.join(verdict.reasons)})" if verdict.reasons else ""
        return f"{'Ready' if verdict.ready else 'Not ready'}{against}: {', '.join(said)}{self.note}"

    def starting_words(self) -> str:
        """Say how far the start is."""
        house = self._house
        unknown = ModelStatus(ModelState.PROVING)
        states = {name: house.catalog.status.get(name, unknown).state for name in house.wishes.expected()}
        waited = [
            f"{name} ({state.value})" for name, state in states.items() if state is not ModelState.SERVING
        ]
        done = len(states) - len(waited)
        return f"Starting: {done} of {len(states)} models serving" + (
            f", then {', '.join(waited)}" if waited else ""
        )

    def _start_limit_s(self) -> float:
        house = self._house
        # A model is loaded twice: in the process that proves it, and in a lane.
        limit_s = sum(2 * model.load_timeout_s for model in house.settings.models.values())
        return _START_S + limit_s + BUILD_LIMIT_S * len(house.building)

    def _signs(self) -> dict[str, list[LaneSign]]:
        models = self._house.settings.models
        return {
            name: [
                LaneSign(
                    lane.serial,
                    lane.answered_s,
                    lane.in_flight[0].started_s + models[name].run_timeout_s if lane.in_flight else None,
                )
                for lane in scheduler.pool.ready_lanes
            ]
            for name, scheduler in self._house.dataplane.serving.items()
            if scheduler.pool.in_service and name in models
        }

    def _measure(self, now_s: float) -> None:
        total = float(sum(count for _, count in self._house.metrics.results.values()))
        if self._results is not None and now_s > self._results[0]:
            self._rate_hz = (total - self._results[1]) / (now_s - self._results[0])
        self._results = (now_s, total)

    def _rate_words(self) -> str:
        return f"{self._rate_hz:.0f}" if self._rate_hz >= _ROUND_FROM_HZ else f"{self._rate_hz:.1f}"
