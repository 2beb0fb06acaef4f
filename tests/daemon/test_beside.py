"""Releases beside those that names lead to: adopted, ended, started anew, on real workers."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.daemon.lane_costs import LaneCost
from gateway.errors import (
    NotReady,
)
from tests.daemon.declared_world import GIB, asking, lived, model, release, settings_of, targets, world


def test_what_an_update_replaces_goes_on_beside_it_if_an_alias_names_it(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, aliases={})
        async with world(tmp_path, settings) as made:
            for number in ("7", "8"):
                release(made, number, tmp_path)
            await made.switch("motion", "7")
            await made.wishes.set_alias("detector", targets({"motion@7": 90, "motion@8": 10}))
            seven = made.catalog.versions["motion"]
            over, asked, errors = asking(made, ["detector", "motion"])
            await made.switch("motion", "8")
            await made.settled()
            over.set()
            assert await asked > 0
            assert errors == []
            assert await made.version_of("motion") == "8.0.0"
            assert made.beside.versions == {("motion", "7"): seven}  # the very lanes that served
            assert await made.version_of("detector", "7") == "7.0.0"
            assert await made.version_of("detector", "8") == "8.0.0"
            await made.switch("motion", "7")
            await made.settled()
            assert made.beside.versions.keys() == {("motion", "8")}
            assert errors == []

    lived(test)


def test_a_release_that_was_rolled_back_answers_nobody_whatever_an_alias_says(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, aliases={})
        async with world(tmp_path, settings) as made:
            for number in ("7", "8"):
                release(made, number, tmp_path)
            await made.switch("motion", "8")
            await made.wishes.set_alias("detector", targets({"motion@7": 50, "motion@8": 50}))
            made.releases.bad.add(("motion", "8"))
            await made.switch("motion", "7")
            assert ("motion", "8") not in made.beside.versions  # from the very turn of the switch
            await made.settled()
            assert ("motion", "8") not in made.beside.versions
            answered = {await made.version_of("detector", key=f"k{number}") for number in range(12)}
            assert answered == {"7.0.0"}

    lived(test)


def test_a_release_that_does_not_fit_beside_another_leaves_the_alias_where_it_was(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, aliases={"detector": {"motion": 1}})
        async with world(tmp_path, settings) as made:
            release(made, "8", tmp_path)
            made.costs = {"motion": LaneCost(None, 100 << 20)}
            made.available((GIB * 15 // 100) + (50 << 20))
            with pytest.raises(NotReady, match="takes 100 MiB and 50 MiB of memory may be taken"):
                await made.wishes.set_alias("detector", targets({"motion@8": 1}))
            assert await made.version_of("detector") == "1.0.0"
            made.available(GIB)
            await made.settled()
            assert await made.version_of("detector") == "8.0.0"

    lived(test)


def test_a_release_beside_another_whose_workers_died_for_good_is_started_anew(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, aliases={"detector": {"motion": 1}})
        few = replace(settings.inference, crash_limit=1)
        async with world(tmp_path, replace(settings, inference=few)) as made:
            release(made, "8", tmp_path)
            await made.wishes.set_alias("detector", targets({"motion": 1, "motion@8": 1}))
            following = asyncio.ensure_future(made.wishes.run())
            old = made.beside.versions["motion", "8"]
            (lane,) = old.scheduler.pool.lanes
            os.kill(lane.pid, signal.SIGKILL)
            while made.beside.versions.get(("motion", "8"), old) is old:
                if old.watch.lost_because:  # meanwhile its share is answered by the other target
                    keys = [f"k{number}" for number in range(12)]
                    assert {await made.version_of("detector", key=key) for key in keys} <= {"1.0.0", "8.0.0"}
                await asyncio.sleep(0.01)
            assert await made.version_of("detector", "8") == "8.0.0"
            following.cancel()

    lived(test)
