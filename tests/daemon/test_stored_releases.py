"""Releases of a real store as versions that could serve."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.configuration.settings import ModelSettings, Settings, UpdateSettings
from gateway.daemon.stored_releases import StoredReleases
from gateway.daemon.updates import Updates
from gateway.errors import ReleaseQuarantined, StoreFailed, UnknownModel
from gateway.inference.dataplane import DataPlane
from gateway.operations.health import Health
from gateway.operations.metrics import Metrics
from gateway.updates.state import Phase
from gateway.updates.store.store import Store
from tests.daemon.update_world import House, damage, write
from tests.updates.store.transaction import MODEL, ref_of, stage


@pytest.fixture(name="updates")
def _updates(store: Store) -> Updates:
    made = Updates(_settings, "test", (DataPlane(), Metrics(), Health(30.0)))
    made.store = store
    return made


def _settings() -> Settings:
    return Settings(models={MODEL: ModelSettings("/models/factory")}, updates=UpdateSettings())


def test_the_factory_model_is_release_0_and_there_even_without_a_store(updates: Updates) -> None:
    updates.store = None
    releases = StoredReleases(updates, _settings)
    assert releases.kept(MODEL) == ("0",)
    assert asyncio.run(releases.folder(MODEL, "0")) == "/models/factory"
    assert releases.number_of(MODEL, "/models/factory") == "0"
    assert not releases.is_bad(MODEL, "7")
    assert releases.busy(MODEL) == ""


def test_releases_of_the_store_are_found_by_number_and_known_by_folder(
    updates: Updates, store: Store
) -> None:
    for number in (2, 10):
        stage(store, number)
    releases = StoredReleases(updates, _settings)
    assert releases.kept(MODEL) == ("0", "2", "10")
    folder = asyncio.run(releases.folder(MODEL, "10"))
    assert Path(folder) == store.release_folder(MODEL, 10)
    assert releases.number_of(MODEL, folder) == "10"
    assert releases.number_of(MODEL, "/elsewhere/10") == "0"
    with pytest.raises(UnknownModel, match="no version 3: here are 0, 2, 10"):
        asyncio.run(releases.folder(MODEL, "3"))


def test_a_damaged_release_is_not_served(updates: Updates, store: Store) -> None:
    stage(store, 2)
    damage(store, 2)
    with pytest.raises(StoreFailed):
        asyncio.run(StoredReleases(updates, _settings).folder(MODEL, "2"))


def test_a_release_in_quarantine_is_not_served(updates: Updates, store: Store) -> None:
    release = stage(store, 2)
    store.quarantine(MODEL, ref_of(release), "update.bake", "it was slow", 1)
    with pytest.raises(ReleaseQuarantined, match="it was slow"):
        asyncio.run(StoredReleases(updates, _settings).folder(MODEL, "2"))


def test_a_bake_is_said_and_what_failed_is_bad(updates: Updates, store: Store) -> None:
    async def test() -> None:
        ref = ref_of(stage(store, 2))
        write(store, phase=Phase.BAKING, active=ref, candidate=ref)
        house = House(store)
        rollout = house.rollout()
        updates.board = house.board
        releases = StoredReleases(updates, _settings)
        assert releases.busy(MODEL) == "release 2 is in its bake"
        assert not releases.is_bad(MODEL, "2")
        store.quarantine(MODEL, ref, "update.bake", "it was slow", 1)
        await rollout.look_at_quarantine()
        assert releases.is_bad(MODEL, "2")

    asyncio.run(test())


def test_a_release_that_an_alias_names_is_not_collected(updates: Updates, store: Store) -> None:
    stage(store, 2)
    stage(store, 3)
    updates.board = House(store).board
    updates.named = lambda: [(MODEL, 2), (MODEL, 9)]
    store.collect(0, updates._spare())
    assert StoredReleases(updates, _settings).kept(MODEL) == ("0", "2")
