"""Drop-in models among the settings: they are added, and never take a configured name."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.settings import ModelSettings, Settings
from gateway.daemon.drop_in_settings import advice_on, settings_of, with_drop_ins, with_one, without
from gateway.errors import CardMismatch, LoadFailed, WarmupFailed

NAMES = st.sets(st.sampled_from("abcdef"))


@given(NAMES, NAMES)
def test_what_is_configured_stays_and_the_rest_is_added(configured: set[str], dropped: set[str]) -> None:
    own = {name: ModelSettings(path=f"/own/{name}") for name in configured}
    found = {name: settings_of(Path("/copies") / name) for name in dropped}
    models = with_drop_ins(Settings(models=own), found).models
    assert models == {**found, **own}


@given(NAMES, st.sampled_from("abcdef"))
def test_one_model_comes_or_goes_alone(others: set[str], name: str) -> None:
    settings = Settings(models={each: ModelSettings(path=f"/own/{each}") for each in others})
    added = with_one(settings, name, settings_of(Path("/copy")))
    assert added.models[name].path == "/copy"
    assert without(added, name).models == {n: m for n, m in settings.models.items() if n != name}


def test_the_advice_fits_what_is_wrong() -> None:
    assert "card.yaml" in advice_on(LoadFailed("x"), has_card=True)
    assert "describe" in advice_on(WarmupFailed("x"), has_card=False)
    assert "describe" in advice_on(CardMismatch("x"), has_card=False)
    assert "export it again" in advice_on(LoadFailed("x"), has_card=False)
