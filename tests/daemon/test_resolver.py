"""Names, versions and aliases over real workers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gateway.errors import NotReady, UnknownModel
from tests.daemon.declared_world import lived, model, settings_of, world


def test_a_model_answers_by_its_name_its_release_and_the_version_of_its_card(tmp_path: Path) -> None:
    async def test() -> None:
        folder = model(tmp_path, "motion", "2.0.0")
        async with world(tmp_path, settings_of({"motion": folder})) as made:
            for version in ("", "0", "2.0.0"):
                assert await made.version_of("motion", version) == "2.0.0"
            assert made.resolver.versions("motion") == ("2.0.0",)
            with pytest.raises(UnknownModel, match=r"has no version 7; 2\.0\.0 serves"):
                made.resolver.resolve("motion", "7", "")
            with pytest.raises(UnknownModel, match="Request for unknown model: no model is named 'other'"):
                made.resolver.resolve("other", "", "")

    lived(test)


def test_two_releases_of_one_model_serve_side_by_side_by_weight_and_by_number(tmp_path: Path) -> None:
    async def test() -> None:
        settings = settings_of(
            {"motion": model(tmp_path, "factory")}, aliases={"detector": {"motion@7": 75, "motion@8": 25}}
        )
        async with world(tmp_path, settings) as made:
            made.releases.folders["motion", "7"] = str(model(tmp_path, "seven", "7.0.0"))
            made.releases.folders["motion", "8"] = str(model(tmp_path, "eight", "8.0.0"))
            with pytest.raises(NotReady, match="has no version 7"):
                made.resolver.resolve("detector", "", "x")
            await made.switch("motion", "7")
            await made.settled()
            keys = [f"camera-{number}" for number in range(400)]
            led = Counter(made.resolver.resolve("detector", "", key).version for key in keys)
            assert led.keys() == {"7", "8"}
            assert 60 < led["8"] < 140
            answered = {await made.version_of("detector", "", key) for key in keys[:20]}
            assert answered == {"7.0.0", "8.0.0"}
            assert await made.version_of("motion") == "7.0.0"
            assert await made.version_of("motion", "8") == "8.0.0"
            assert await made.version_of("motion", "8.0.0") == "8.0.0"
            assert await made.version_of("detector", "8") == "8.0.0"
            assert made.resolver.versions("detector") == ("7", "8")
            assert made.resolver.versions("motion") == ("7.0.0", "8")

    lived(test)


def test_an_alias_names_a_version_once_that_two_of_its_models_have(tmp_path: Path) -> None:
    async def test() -> None:
        folders = {name: model(tmp_path, name, "2.0.0") for name in ("day", "night")}
        async with world(tmp_path, settings_of(folders, aliases={"either": {"day": 1, "night": 1}})) as made:
            await made.settled()
            assert made.resolver.versions("either") == ("2.0.0",)

    lived(test)
