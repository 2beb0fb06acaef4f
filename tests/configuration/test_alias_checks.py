"""Aliases that lead nowhere are found before the gateway starts."""

from __future__ import annotations

from gateway.configuration.alias_checks import check_aliases
from gateway.configuration.serving_settings import AliasSettings, AliasTarget, ServingSettings
from gateway.configuration.settings import ModelSettings, Settings


def found(alias: str, *targets: AliasTarget, models_dir: str = "") -> list[tuple[str, bool]]:
    settings = Settings(
        models={"detector": ModelSettings("/models/detector")},
        aliases={alias: AliasSettings(targets)},
        serving=ServingSettings(models_dir=models_dir),
    )
    return [(finding.path, finding.is_warning) for finding in check_aliases(settings)]


def test_an_alias_with_a_share_for_each_of_two_releases_is_sound() -> None:
    assert found("door", AliasTarget("detector", "7", 90), AliasTarget("detector", "8", 10)) == []
    assert found("door", AliasTarget("detector"), AliasTarget("detector", "8", 0)) == []


def test_an_alias_needs_a_name_that_no_model_has() -> None:
    assert found("detector", AliasTarget("detector")) == [("aliases.detector", False)]


def test_an_alias_needs_a_target_with_weight() -> None:
    assert found("door") == [("aliases.door.targets", False)]
    assert found("door", AliasTarget("detector", weight=0)) == [("aliases.door.targets", False)]


def test_a_target_is_a_model_that_is_there_or_may_come_with_a_file() -> None:
    unknown = AliasTarget("detektor")
    assert found("door", unknown) == [("aliases.door.targets[0].model", False)]
    assert found("door", unknown, models_dir="/srv/models") == [("aliases.door.targets[0].model", True)]


def test_a_target_is_there_once() -> None:
    twice = AliasTarget("detector", "7"), AliasTarget("detector", "7", 5)
    assert found("door", *twice) == [("aliases.door.targets[1]", False)]
