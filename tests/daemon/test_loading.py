"""Models that are loaded on demand, by order, and unloaded: real workers, memory as the test says."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.configuration.settings import ScalingSettings
from gateway.daemon.autoscaler import Autoscaler
from gateway.daemon.demand_watch import DemandWatch
from gateway.daemon.fleet import Fleet
from gateway.daemon.lane_costs import Footprint, LaneCost, LaneCosts
from gateway.errors import DeadlineQueued, GatewayError, NotReady, Overloaded, UnknownModel
from gateway.inference.request import Outcome, RequestState, Ticket
from gateway.scaling.sample import HOST, DeviceMemory, Sample, Source
from tests.daemon.declared_world import GIB, World, frame, lived, model, settings_of, window, world

_MIB = 1 << 20


def test_the_first_request_loads_a_cold_model_and_one_load_serves_all_who_wait(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, "motion")
        async with world(tmp_path, settings) as made:
            assert made.state("motion") == "cold"
            assert made.states()["motion", ""] == ("UNAVAILABLE", "not loaded; its first request loads it")
            assert made.dataplane.serving == {}
            said = await asyncio.gather(*(made.infer("motion", key=f"c{n}") for n in range(12)))
            assert {each.state for each in said} == {RequestState.DONE}
            assert list(made.metrics.model_loads.values()) == [(("motion", "loaded"), 1.0)]
            assert made.states()["motion", "1.0.0"] == ("READY", "")

    lived(test)


def test_frames_wait_for_a_cold_model_as_calls_do_and_keep_their_order(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, "motion")
        async with world(tmp_path, settings) as made:
            ended: list[object] = []
            all_ended = asyncio.Event()

            def on_done(ticket: Ticket, outcome: Outcome) -> None:
                assert outcome.state is RequestState.DONE, outcome.error
                ended.append(ticket.context)
                if len(ended) == 5:
                    all_ended.set()

            for number in range(5):
                made.dataplane.submit(frame("motion"), on_done, number)
            assert ended == []
            await all_ended.wait()
            assert ended == [0, 1, 2, 3, 4]
            assert (await made.dataplane.infer(frame("motion"))).state is RequestState.DONE

    lived(test)


def test_a_deadline_is_kept_while_the_load_goes_on_for_others(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, "motion")
        async with world(tmp_path, settings) as made:
            patient = asyncio.ensure_future(made.infer("motion"))
            gone = asyncio.ensure_future(made.infer("motion"))
            await asyncio.sleep(0)
            gone.cancel()
            with pytest.raises(DeadlineQueued, match="while model motion was being loaded"):
                await made.infer("motion", patience_s=0.02)
            outcomes: list[Outcome] = []
            made.dataplane.submit(frame("motion", 0.02), lambda _, outcome: outcomes.append(outcome))
            assert (await patient).state is RequestState.DONE
            assert gone.cancelled()
            assert [(o.state, type(o.error)) for o in outcomes] == [(RequestState.EXPIRED, DeadlineQueued)]
            assert list(made.metrics.model_loads.values()) == [(("motion", "loaded"), 1.0)]

    lived(test)


def test_no_more_wait_than_may_be_queued(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, "motion")
        small = replace(settings.models["motion"], max_queued_rows=2)
        async with world(tmp_path, replace(settings, models={"motion": small})) as made:
            waiting = [asyncio.ensure_future(made.infer("motion")) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded, match="2 requests wait for it to be loaded"):
                await made.infer("motion")
            assert {each.state for each in await asyncio.gather(*waiting)} == {RequestState.DONE}

    lived(test)


def test_what_does_not_load_says_why_and_is_tried_again_after_a_while(tmp_path: Path) -> None:
    async def test() -> None:
        folder = model(tmp_path, "motion")
        (folder / "motion_int8.tflite").write_bytes(b"no model")
        async with world(tmp_path, settings_of({"motion": folder}, "motion")) as made:
            with pytest.raises(GatewayError):
                await made.infer("motion")
            assert made.state("motion") == "failed"
            state, reason = made.states()["motion", ""]
            assert state == "UNAVAILABLE"
            assert "sha256" in reason
            with pytest.raises(NotReady, match="tried again in"):
                await made.infer("motion")
            assert list(made.metrics.model_loads.values()) == [(("motion", "failed"), 1.0)]
            assert made.releases.fallen == ["asked"]  # for a release before
            good = model(tmp_path, "good")
            await made.change(settings_of({"motion": good}, "motion"))
            assert made.state("motion") == "cold"
            await made.wishes.load("motion", {})
            assert (await made.infer("motion")).state is RequestState.DONE

    lived(test)


def test_the_least_recently_used_idle_models_make_room_and_come_back(tmp_path: Path) -> None:
    async def test() -> None:
        folders = {name: model(tmp_path, name) for name in ("a", "b", "c")}
        async with world(tmp_path, settings_of(folders, *folders)) as made:
            made.costs = {name: LaneCost(None, 100 * _MIB) for name in folders}
            made.available(GIB)
            for name in ("a", "b"):
                await made.infer(name)
            for name in ("a", "b"):  # a was asked for last, long ago
                made.catalog.versions[name].since_s -= 60
            made.catalog.versions["a"].watch.asked_s = time.monotonic() - 10
            made.catalog.versions["b"].watch.asked_s = time.monotonic() - 20
            made.available(int(0.15 * GIB) + 50 * _MIB)
            await made.infer("c")
            assert made.dataplane.serving.keys() == {"a", "c"}
            assert made.state("b") in ("unloading", "cold")
            made.available(GIB)
            await made.infer("b")
            assert made.dataplane.serving.keys() == {"a", "b", "c"}

    lived(test)


def test_a_model_that_does_not_fit_is_refused_and_nothing_is_unloaded_for_it(tmp_path: Path) -> None:
    async def test() -> None:
        folders = {name: model(tmp_path, name) for name in ("a", "b")}
        async with world(tmp_path, settings_of(folders, *folders)) as made:
            made.costs = {"a": LaneCost(None, 100 * _MIB), "b": LaneCost(None, 900 * _MIB)}
            made.available(GIB)
            await made.infer("a")
            made.catalog.versions["a"].since_s -= 60
            made.catalog.versions["a"].watch.asked_s -= 60
            made.available(int(0.15 * GIB) + 50 * _MIB)
            with pytest.raises(NotReady, match="takes 900 MiB and 50 MiB of memory may be taken"):
                await made.infer("b")
            assert made.dataplane.serving.keys() == {"a"}

    lived(test)


def test_what_is_in_use_or_was_loaded_only_now_is_not_unloaded(tmp_path: Path) -> None:
    async def test() -> None:
        folders = {name: model(tmp_path, name) for name in ("a", "b")}
        settings = settings_of(folders, "a")
        held = replace(settings, scaling=replace(settings.scaling, cooldown_s=1000.0))
        async with world(tmp_path, held) as made:
            await made.infer("a")
            assert made.loading.may_go("a") is None  # loaded only now
            assert made.loading.may_go("b") is None  # not loaded on demand
            made.settings = settings
            version = made.catalog.versions["a"]
            version.since_s -= 60
            version.watch.asked_s -= 60
            assert made.loading.may_go("a") is not None
            running = asyncio.ensure_future(made.dataplane.infer(window("a", time.monotonic() + 30)))
            await asyncio.sleep(0)
            assert not version.is_idle
            assert made.loading.may_go("a") is None
            assert not made.loading.unload_idle("a", "memory")
            assert (await running).state is RequestState.DONE
            assert not made.loading.unload_idle("b", "memory")
            assert made.loading.unload_idle("a", "memory")
            assert "a" not in made.dataplane.serving

    lived(test)


def test_a_model_is_loaded_anew_while_it_answers_every_request(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path, settings_of({"motion": model(tmp_path, "motion")})) as made:
            before = made.catalog.versions["motion"]
            over, errors = asyncio.Event(), list[GatewayError]()
            asked = asyncio.ensure_future(_ask_until(made, over, errors))
            await made.wishes.load("motion", {})
            over.set()
            assert await asked > 0
            assert errors == []
            assert made.catalog.versions["motion"] is not before

    lived(test)


def test_an_unloaded_model_stays_known_and_comes_back_by_order_alone(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path, settings_of({"motion": model(tmp_path, "motion")})) as made:
            assert made.wishes.expected() == ["motion"]
            await made.wishes.unload("motion")
            assert made.state("motion") == "unloaded"
            assert made.states()["motion", ""] == ("UNAVAILABLE", "unloaded by order; load it to use it")
            assert made.wishes.expected() == []
            await made.wishes.unload("motion")
            with pytest.raises(NotReady, match="unloaded by order"):
                await made.infer("motion")
            with pytest.raises(NotReady, match="unloaded by order"):
                await made.dataplane.infer(frame("motion"))
            await made.change(replace(made.settings, aliases={}))
            assert made.state("motion") == "unloaded"
            await made.wishes.load("motion", {})
            assert made.releases.fallen == ["loaded"]  # an update may have waited
            assert (await made.infer("motion")).state is RequestState.DONE
            assert made.wishes.expected() == ["motion"]
            with pytest.raises(UnknownModel):
                await made.wishes.unload("other")

    lived(test)


def test_requests_under_way_are_answered_by_a_model_that_is_unloaded(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, "motion")
        async with world(tmp_path, settings) as made:
            await made.infer("motion")
            running = [asyncio.ensure_future(made.infer("motion", key=f"c{n}")) for n in range(20)]
            await asyncio.sleep(0)
            await made.wishes.unload("motion")
            assert {each.state for each in await asyncio.gather(*running)} == {RequestState.DONE}
            assert made.state("motion") == "cold"
            assert (await made.infer("motion")).state is RequestState.DONE

    lived(test)


def test_a_load_gives_as_many_lanes_as_it_is_asked_for(tmp_path: Path) -> None:
    async def test() -> None:
        async with world(tmp_path, settings_of({"motion": model(tmp_path, "motion")})) as made:
            await made.wishes.load("motion", {"config": '{"instance_group": [{"count": 2}]}'})
            assert made.catalog.versions["motion"].scheduler.pool.wanted == 2

    lived(test)


def test_a_model_that_failed_at_the_start_comes_by_order_once_it_is_mended(tmp_path: Path) -> None:
    async def test() -> None:
        folder = model(tmp_path, "motion")
        good = (folder / "motion_int8.tflite").read_bytes()
        (folder / "motion_int8.tflite").write_bytes(b"no model")
        async with world(tmp_path, settings_of({"motion": folder})) as made:
            assert made.state("motion") == "failed"
            with pytest.raises(GatewayError, match="sha256"):
                await made.wishes.load("motion", {})
            (folder / "motion_int8.tflite").write_bytes(good)
            await made.wishes.load("motion", {})
            assert (await made.infer("motion")).state is RequestState.DONE

    lived(test)


def test_a_stop_tells_those_who_wait_for_a_load(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, "motion")
        async with world(tmp_path, settings) as made:
            waiting = asyncio.ensure_future(made.infer("motion"))
            await asyncio.sleep(0.05)
            await made.wishes.close(time.monotonic())
            with pytest.raises(GatewayError, match="stopping"):
                await waiting

    lived(test)


async def _ask_until(made: World, over: asyncio.Event, errors: list[GatewayError]) -> int:
    """Ask one request after the other; return how many were answered."""
    count = 0
    while not over.is_set():
        try:
            await made.infer("motion")
        except GatewayError as error:
            errors.append(error)
        count += 1
    return count


def test_where_memory_is_short_an_idle_model_is_unloaded_before_a_busy_one_loses_lanes(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        folders = {name: model(tmp_path, name) for name in ("early", "late", "stays")}
        async with world(tmp_path, settings_of(folders, "early", "late")) as made:
            for name in ("early", "late"):
                await made.infer(name)
                made.catalog.versions[name].since_s -= 60
            made.catalog.versions["early"].watch.asked_s -= 30
            made.catalog.versions["late"].watch.asked_s -= 10
            watch = DemandWatch(made.seen)
            costs = LaneCosts(lambda _pid: Footprint(300 * _MIB, 300 * _MIB))
            fleet = Fleet(made.dataplane.serving, watch, costs, lambda: made.settings)
            fleet.on_demand = made.loading
            samples: Any = None  # the test looks by itself
            scaling = ScalingSettings(sample_interval_s=1000.0, cooldown_s=0.0, reserve_bytes=0)
            autoscaler = Autoscaler(samples, fleet, watch, made.metrics, scaling)
            at_s, left = time.monotonic(), []
            for _ in range(9):
                at_s += 1000.0
                memory = DeviceMemory(HOST, Source.MEMINFO, "", 8 * GIB, int(0.14 * 8 * GIB))
                await autoscaler.look(Sample(at_s, {HOST: memory}))
                left.append(sorted(made.dataplane.serving))
            assert left[1] == ["early", "late", "stays"]
            assert left[2] == ["late", "stays"]
            assert left[5] == ["stays"]
            assert left[8] == ["stays"]
            decisions = dict(made.metrics.scaling_decisions.values())
            assert decisions["early", "unload", "above_mark"] == 1
            assert made.catalog.versions["stays"].scheduler.pool.wanted == 1
            assert (await made.infer("early")).state is RequestState.DONE

    lived(test)
