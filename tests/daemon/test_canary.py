"""Canaries ask what serves and what serves beside it; readiness rests on the former alone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from gateway.daemon.canary import Canaries
from gateway.operations.health import Health, Reason
from tests.daemon.declared_world import lived, model, settings_of, world


def test_every_loaded_version_is_asked_and_a_cold_model_is_not(tmp_path: Path) -> None:
    async def test() -> None:
        folders = {name: model(tmp_path, name) for name in ("motion", "cold")}
        settings = settings_of(folders, "cold", aliases={"old": {"motion@8": 1}})
        async with world(tmp_path, settings) as made:
            made.releases.folders["motion", "8"] = str(model(tmp_path, "eight", "8.0.0"))
            await made.settled()
            health = Health(30.0)
            health.clear(Reason.STARTING)
            health.expect(made.wishes.expected())
            canaries = Canaries(made.dataplane, health, made.metrics, 0.0)
            await canaries.ask()
            assert dict(made.metrics.canaries.values()) == {("motion", "ok"): 2.0}
            assert health.judge(time.monotonic()).ready
            (lane,) = made.beside.versions["motion", "8"].scheduler.pool.lanes
            os.kill(lane.pid, signal.SIGKILL)
            await canaries.ask()
            counted = dict(made.metrics.canaries.values())
            assert counted["motion", "ok"] >= 3.0
            assert health.judge(time.monotonic()).ready  # what leads answers

    lived(test)
