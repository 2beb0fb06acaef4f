"""Paths of the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.settings import Settings, UpdateSettings
from gateway.errors import ManifestRefused
from gateway.updates.store.layout import Layout, digest_of_part, model_of, number_of, store_folder

LAYOUT = Layout(Path("/store"))


@given(st.text())
def test_no_name_leads_out_of_its_folder(name: str) -> None:
    for build, folder in (
        (LAYOUT.record, LAYOUT.state),
        (LAYOUT.floor, LAYOUT.state),
        (LAYOUT.model, LAYOUT.releases),
        (LAYOUT.link, LAYOUT.current),
        (LAYOUT.blob, LAYOUT.blobs),
        (LAYOUT.part, LAYOUT.partial),
    ):
        try:
            path = build(name)
        except ManifestRefused:
            continue
        assert path.parent == folder
        assert ".." not in path.parts


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/etc", "-rf", ".hidden", "a\0b", "a\n", "x" * 64, "ä"]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    for build in (LAYOUT.record, LAYOUT.model, LAYOUT.link, LAYOUT.blob):
        with pytest.raises(ManifestRefused):
            build(name)


@pytest.mark.parametrize("number", [0, -1])
def test_a_release_counter_begins_at_one(number: int) -> None:
    with pytest.raises(ManifestRefused):
        LAYOUT.release("door", number)


def test_file_names_say_what_they_are_for() -> None:
    assert model_of("door.json") == model_of("door.floor") == "door"
    assert [model_of(name) for name in (".reserve", "door.json.bad-1", ".tmp-door.json", "..json")] == [
        None
    ] * 4
    assert digest_of_part("ab" * 32 + ".part") == "ab" * 32
    assert [digest_of_part(name) for name in ("ab" * 32, "../x.part", "AB" * 32 + ".part")] == [None] * 3
    assert number_of("17") == 17
    assert [number_of(name) for name in ("0", "01", "-1", "", "1.5", "²", "9" * 20)] == [None] * 7


def test_the_folder_is_the_configured_one_else_the_state_directorys_else_the_users() -> None:
    settings = Settings()
    named = replace(settings, updates=replace(UpdateSettings(), store_dir="/data/models"))
    everything = {"STATE_DIRECTORY": "/var/lib/gateway:/var/lib/other", "HOME": "/users/me"}
    assert store_folder(named, everything) == Path("/data/models")
    assert store_folder(settings, everything) == Path("/var/lib/gateway/models")
    assert store_folder(settings, {"HOME": "/users/me"}) == Path("/users/me/.local/state/gateway/models")
