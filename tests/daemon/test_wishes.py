"""Aliases that are changed while they are used, and where the configuration, orders and updates meet."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.configuration.serving_settings import AliasSettings
from gateway.daemon.alias_table import AliasState
from gateway.errors import (
    AlreadyThere,
    GatewayError,
    LostRace,
    Malformed,
    NotReady,
    NotSupported,
    UnknownModel,
)
from tests.daemon.declared_world import asking, lived, model, release, settings_of, targets, world


def test_an_alias_moves_once_its_new_target_serves_and_no_request_is_lost(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, aliases={"detector": {"motion": 1}})
        async with world(tmp_path, settings) as made:
            release(made, "8", tmp_path)
            over, asked, errors = asking(made, ["detector", "motion"])
            moving = asyncio.ensure_future(
                made.wishes.set_alias("detector", targets({"motion@8": 1}), targets({"motion": 1}))
            )
            await asyncio.sleep(0)
            alias = made.wishes.table.aliases["detector"]
            assert (alias.state, alias.active) == (AliasState.TRANSITIONING, targets({"motion": 1}))
            assert made.states()["detector", ""] == ("READY", "transitioning to motion@8")
            moved = await moving
            assert (moved.state, moved.active) == (AliasState.DEFINED, targets({"motion@8": 1}))
            assert await made.version_of("detector") == "8.0.0"
            over.set()
            assert await asked > 0
            assert errors == []
            assert made.states()["detector", "8"] == ("READY", "")
            assert made.states()["motion", "8"] == ("READY", "")
            assert made.wishes.kept_releases() == {("motion", 8)}

    lived(test)


def test_an_alias_of_the_run_gives_its_name_to_a_model_of_the_configuration(tmp_path: Path) -> None:
    async def test() -> None:
        folders = {"motion": model(tmp_path, "motion"), "late": model(tmp_path, "late", "3.0.0")}
        async with world(tmp_path, settings_of({"motion": folders["motion"]})) as made:
            await made.wishes.set_alias("late", targets({"motion": 1}))
            await made.change(settings_of(folders))
            made.wishes.configured()
            assert made.wishes.table.aliases == {}
            assert await made.version_of("late") == "3.0.0"

    lived(test)


def test_a_change_that_expected_something_else_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, aliases={"detector": {"motion": 1}})
        async with world(tmp_path, settings) as made:
            now = made.wishes.table.aliases["detector"]
            with pytest.raises(LostRace, match="should lead to motion, not to motion@8"):
                await made.wishes.set_alias("detector", targets({"motion@0": 1}), targets({"motion@8": 1}))
            with pytest.raises(LostRace, match="not to nothing"):
                await made.wishes.set_alias("detector", targets({"motion@0": 1}), ())
            assert made.wishes.table.aliases["detector"] == now
            fresh = await made.wishes.set_alias("fresh", targets({"motion": 1}), ())
            assert fresh.state is AliasState.DEFINED
            with pytest.raises(AlreadyThere):
                await made.wishes.set_alias("motion", targets({"motion": 1}))
            with pytest.raises(UnknownModel, match="'other'"):
                await made.wishes.set_alias("fresh", targets({"other": 1}))
            with pytest.raises(UnknownModel, match="no release 9"):
                await made.wishes.set_alias("fresh", targets({"motion@9": 1}))
            with pytest.raises(Malformed, match="no target has any weight"):
                await made.wishes.set_alias("fresh", targets({"motion": 0}))
            made.wishes.remove_alias("fresh")
            with pytest.raises(UnknownModel):
                made.resolver.resolve("fresh", "", "")

    lived(test)


def test_an_alias_stays_where_it_was_if_its_new_target_does_not_load(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, aliases={"detector": {"motion": 1}})
        async with world(tmp_path, settings) as made:
            release(made, "8", tmp_path)
            broken = Path(made.releases.folders["motion", "8"]) / "motion_int8.tflite"
            good = broken.read_bytes()
            broken.write_bytes(b"no model")
            with pytest.raises(GatewayError, match="sha256"):
                await made.wishes.set_alias("detector", targets({"motion@8": 1}))
            alias = made.wishes.table.aliases["detector"]
            assert alias.state is AliasState.TRANSITION_FAILED
            assert alias.active == targets({"motion": 1})
            assert "sha256" in alias.reason
            assert await made.version_of("detector") == "1.0.0"
            state, reason = made.states()["detector", ""]
            assert state == "READY"
            assert reason.startswith("transition-failed to motion@8: ")
            assert made.states()["motion", "8"][0] == "UNAVAILABLE"
            broken.write_bytes(good)
            await made.settled()
            assert await made.version_of("detector") == "8.0.0"

    lived(test)


def test_by_force_an_alias_leads_to_what_does_not_serve(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, aliases={"detector": {"motion": 1}})
        async with world(tmp_path, settings) as made:
            moved = await made.wishes.set_alias("detector", targets({"motion@8": 1}), force=True)
            assert moved.active == targets({"motion@8": 1})
            with pytest.raises(NotReady, match=r"alias detector: .*no version 8"):
                made.resolver.resolve("detector", "", "x")

    lived(test)


def test_of_two_changes_under_way_the_later_one_counts(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, aliases={"detector": {"motion": 1}})
        async with world(tmp_path, settings) as made:
            release(made, "8", tmp_path)
            first = asyncio.ensure_future(made.wishes.set_alias("detector", targets({"motion@8": 1})))
            await asyncio.sleep(0)
            await made.wishes.set_alias("detector", targets({"motion@0": 1}))
            with pytest.raises(LostRace):
                await first
            assert made.wishes.table.aliases["detector"].active == targets({"motion@0": 1})
            await made.settled()
            assert made.beside.versions == {}

    lived(test)


def test_a_change_of_the_run_lasts_until_the_file_says_something_else_of_that_alias(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, aliases={"detector": {"motion": 1}})
        async with world(tmp_path, settings) as made:
            await made.wishes.set_alias("detector", targets({"motion@0": 1}))
            other = {**settings.aliases, "another": AliasSettings(targets({"motion": 1}))}
            await made.change(replace(settings, aliases=other))
            await made.settled()
            assert made.wishes.table.aliases["detector"].active == targets({"motion@0": 1})
            assert made.wishes.table.aliases["another"].state is AliasState.DEFINED
            said = {"detector": AliasSettings(targets({"motion": 7}))}
            await made.change(replace(settings, aliases=said))
            await made.settled()
            assert made.wishes.table.aliases["detector"].active == targets({"motion": 7})
            assert made.wishes.table.aliases.keys() == {"detector"}

    lived(test)


@pytest.mark.parametrize(
    ("name", "parameters", "kind"),
    [
        ("other", {}, UnknownModel),
        ("motion", {"config": "{"}, Malformed),
        ("motion", {"config": '{"max_batch_size":16}'}, NotSupported),
    ],
)
def test_an_order_to_load_that_is_refused_says_so_in_the_words_that_clients_look_for(
    tmp_path: Path, name: str, parameters: dict[str, object], kind: type[GatewayError]
) -> None:
    async def test() -> None:
        async with world(tmp_path, settings_of({"motion": model(tmp_path, "motion")})) as made:
            with pytest.raises(kind, match=f"failed to load '{name}'"):
                await made.wishes.load(name, parameters)

    lived(test)


def test_an_alias_to_a_cold_model_loads_it_first_or_leaves_that_to_its_first_request(tmp_path: Path) -> None:
    async def test() -> None:
        folders = {name: model(tmp_path, name) for name in ("motion", "other")}
        async with world(tmp_path, settings_of(folders, "motion", "other")) as made:
            await made.wishes.set_alias("lazy", targets({"motion": 1}), load_now=False)
            assert made.state("motion") == "cold"
            assert made.resolver.resolve("lazy", "", "x").scheduler is None
            await made.wishes.set_alias("eager", targets({"other": 1}))
            assert made.state("other") == "serving"
            assert await made.version_of("lazy") == "1.0.0"
            assert made.state("motion") == "serving"

    lived(test)


def test_a_share_whose_model_is_unloaded_goes_to_the_others(tmp_path: Path) -> None:
    async def test() -> None:
        folders = {name: model(tmp_path, name) for name in ("a", "b")}
        async with world(tmp_path, settings_of(folders, aliases={"both": {"a": 50, "b": 50}})) as made:
            keys = [f"k{number}" for number in range(60)]
            before = {key: made.resolver.resolve("both", "", key).model for key in keys}
            assert set(before.values()) == {"a", "b"}
            await made.wishes.unload("b")
            assert {made.resolver.resolve("both", "", key).model for key in keys} == {"a"}
            assert made.states()["both", ""] == ("READY", "b: model b: unloaded by order; load it to use it")
            with pytest.raises(NotSupported, match="both is an alias"):
                await made.wishes.load("both", {})
            await made.wishes.load("b", {})
            assert {key: made.resolver.resolve("both", "", key).model for key in keys} == before

    lived(test)


# Where updates and the rest meet.


def test_a_load_by_order_does_not_undo_an_update_that_came_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        async with world(tmp_path, settings_of({"motion": model(tmp_path, "motion")})) as made:
            release(made, "8", tmp_path)
            choose, began, go_on = made.catalog.maker.choose, asyncio.Event(), asyncio.Event()

            async def slow(plan: object) -> object:
                choice = await choose(plan)  # type: ignore[arg-type]
                if not began.is_set():
                    began.set()
                    await go_on.wait()
                return choice

            monkeypatch.setattr(made.catalog.maker, "choose", slow)
            loading = asyncio.ensure_future(made.wishes.load("motion", {}))
            await began.wait()
            await made.switch("motion", "8")
            eight = made.catalog.versions["motion"]
            go_on.set()
            await loading
            assert await made.version_of("motion") == "8.0.0"
            assert made.catalog.versions["motion"] is not eight  # it was loaded anew, from the new release

    lived(test)


def test_an_order_meets_a_bake_and_is_told_so(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, "motion")
        async with world(tmp_path, settings) as made:
            await made.infer("motion")
            made.releases.held["motion"] = "release 8 is in its bake"
            with pytest.raises(LostRace, match="in its bake"):
                await made.wishes.unload("motion")
            made.catalog.versions["motion"].since_s -= 60
            made.catalog.versions["motion"].watch.asked_s = time.monotonic() - 60
            assert made.loading.may_go("motion") is None
            assert not made.loading.unload_idle("motion", "memory")
            assert made.state("motion") == "serving"

    lived(test)


def test_a_reload_meets_a_load_on_demand_and_the_new_settings_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")}, "motion")
        async with world(tmp_path, settings) as made:
            start, began, go_on = made.catalog.maker.choose, asyncio.Event(), asyncio.Event()

            async def slow(plan: object) -> object:
                choice = await start(plan)  # type: ignore[arg-type]
                if not began.is_set():
                    began.set()
                    await go_on.wait()
                return choice

            monkeypatch.setattr(made.catalog.maker, "choose", slow)
            waiting = asyncio.ensure_future(made.infer("motion"))
            await began.wait()
            changed = replace(settings.models["motion"], max_batch_rows=3)
            await made.change(replace(settings, models={"motion": changed}))
            go_on.set()
            await waiting
            assert made.catalog.versions["motion"].plan.limits.batch.max_rows == 3

    lived(test)


def test_a_model_that_is_taken_out_of_the_file_while_it_loads_is_not_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        folders = {name: model(tmp_path, name) for name in ("motion", "other")}
        async with world(tmp_path, settings_of(folders, "motion", "other")) as made:
            start, began, go_on = made.catalog.maker.choose, asyncio.Event(), asyncio.Event()

            async def slow(plan: object) -> object:
                choice = await start(plan)  # type: ignore[arg-type]
                began.set()
                await go_on.wait()
                return choice

            monkeypatch.setattr(made.catalog.maker, "choose", slow)
            waiting = asyncio.ensure_future(made.infer("motion"))
            await began.wait()
            await made.change(settings_of({"other": folders["other"]}, "other"))
            go_on.set()
            with pytest.raises(UnknownModel):
                await waiting
            assert made.dataplane.serving == {}
            assert ("motion", "") not in made.states()

    lived(test)


def test_a_cold_model_that_is_to_serve_always_is_started_by_a_reload(tmp_path: Path) -> None:
    async def test() -> None:
        folders = {"motion": model(tmp_path, "motion")}
        async with world(tmp_path, settings_of(folders, "motion")) as made:
            await made.change(settings_of(folders))
            assert made.state("motion") == "serving"
            assert made.wishes.expected() == ["motion"]
            serving = made.catalog.versions["motion"]
            await made.change(settings_of(folders, "motion"))
            assert made.catalog.versions["motion"] is serving  # it is loaded, and may go now
            assert made.wishes.expected() == []

    lived(test)


def test_an_order_ends_every_release_of_a_model_and_another_brings_them_back(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of({"motion": model(tmp_path, "motion")})
        async with world(tmp_path, settings) as made:
            release(made, "8", tmp_path)
            await made.wishes.set_alias("detector", targets({"motion@0": 1, "motion@8": 1}))
            assert made.beside.versions.keys() == {("motion", "8")}
            await made.wishes.unload("motion")
            await made.settled()
            assert made.beside.versions == {}
            with pytest.raises(NotReady, match="unloaded by order"):
                made.resolver.resolve("detector", "", "x")
            with pytest.raises(NotReady, match="unloaded by order"):
                await made.wishes.set_alias("other", targets({"motion@8": 1}), load_now=False)
            await made.wishes.set_alias("other", targets({"motion@8": 1}))
            assert await made.version_of("other") == "8.0.0"
            assert await made.version_of("motion") == "1.0.0"

    lived(test)
