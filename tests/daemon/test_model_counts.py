"""What versions did, as the doors tell it, over real workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.daemon.lane_costs import LaneCost
from gateway.daemon.model_counts import ModelCounts, ModelMemory
from gateway.errors import UnknownModel
from tests.daemon.declared_world import World, lived, model, settings_of, world


def _told(made: World, name: str = "", version: str = "") -> list[tuple[str, str, int]]:
    counts = ModelCounts(made.catalog.versions, made.wishes.beside, made.wishes.table.aliases)
    return [(each.name, each.version, each.success.count) for each in counts.of(name, version)]


def test_versions_go_by_the_whole_numbers_of_their_releases_or_as_they_were_asked_for(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        async with world(tmp_path, settings_of({"motion": model(tmp_path, "motion", "2.0.0-rc")})) as made:
            await made.version_of("motion")
            assert _told(made) == _told(made, "motion") == _told(made, "motion", "0") == [("motion", "0", 1)]
            assert _told(made, "motion", "2.0.0-rc") == [("motion", "2.0.0-rc", 1)]
            assert _told(made, "motion", "1") == []

    lived(test)


def test_under_an_alias_stands_what_each_of_its_models_did(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of(
            {"motion": model(tmp_path, "factory")}, aliases={"detector": {"motion": 75, "motion@8": 25}}
        )
        async with world(tmp_path, settings) as made:
            made.releases.folders["motion", "8"] = str(model(tmp_path, "eight", "8.0.0"))
            await made.settled()
            await made.version_of("motion", "8")
            assert _told(made, "detector") == [("detector", "0", 0), ("detector", "8", 1)]
            assert _told(made, "detector", "8") == [("detector", "8", 1)]
            assert _told(made) == [("motion", "0", 0), ("motion", "8", 1)]

    lived(test)


def test_models_of_an_alias_whose_versions_go_by_one_number_are_summed_up(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        folders = {name: model(tmp_path, name) for name in ("day", "night")}
        settings = settings_of(folders, aliases={"either": {"day": 1, "night": 1}})
        async with world(tmp_path, settings) as made:
            await made.settled()
            for name in ("day", "night", "night"):
                await made.version_of(name)
            counts = ModelCounts(made.catalog.versions, made.wishes.beside, made.wishes.table.aliases)
            (told,) = counts.of("either", "")
            apart = [counts.of(name, "")[0] for name in folders]
            assert (told.name, told.version, told.success.count) == ("either", "0", 3)
            assert told.success.ns == sum(each.success.ns for each in apart)
            assert told.inference_count == sum(each.inference_count for each in apart) == 3
            assert told.last_inference_ms == max(each.last_inference_ms for each in apart)
            assert [(each.rows, each.compute.count) for each in told.batches] == [(1, 3)]
            assert told.batches[0].compute.ns == sum(each.batches[0].compute.ns for each in apart)

    lived(test)


def test_a_model_takes_what_was_measured_and_until_then_what_its_proof_took(tmp_path: Path) -> None:
    async def test() -> None:
        folders = {"motion": model(tmp_path, "factory"), "other": model(tmp_path, "other")}
        async with world(tmp_path, settings_of(folders)) as made:
            choices = made.catalog.chooser.choices
            costs = {"motion": LaneCost()}
            memory = ModelMemory(made.catalog.versions, lambda name: costs[name], lambda: ["motion"], choices)
            assert memory.model_bytes("motion") == choices["motion"].proof.memory_bytes > 0
            costs["motion"] = LaneCost(None, 7)
            assert memory.model_bytes("motion") == 7
            costs["motion"] = LaneCost()
            assert ModelMemory({}, lambda _: LaneCost(), lambda: ["cold"], {}).model_bytes("cold") == 0
            with pytest.raises(UnknownModel):
                memory.model_bytes("other")

    lived(test)
