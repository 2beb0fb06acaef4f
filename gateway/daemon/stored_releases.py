"""The releases that the model store keeps, as versions that can serve beside one another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from gateway.configuration.settings import Settings
from gateway.daemon.updates import Updates
from gateway.errors import ReleaseQuarantined, StoreFailed, UnknownModel
from gateway.updates.release import ReleaseRef, manifest_digest
from gateway.updates.state import Phase

FACTORY = "0"


class Releases(Protocol):
    """What is known of releases; called in the event loop."""

    def number_of(self, model: str, folder: str) -> str:
        """Return the number of the release that lies in ``folder``; ``0`` for the factory model."""
        ...

    def kept(self, model: str) -> tuple[str, ...]:
        """Return the numbers of the releases that could serve."""
        ...

    async def folder(self, model: str, number: str) -> str:
        """Return the folder of a release, after looking at every byte of it.

        Raises:
            UnknownModel: There is no such release here.
            ReleaseQuarantined: It failed here before.
            StoreFailed: It is damaged, or the disk cannot be read.
        """
        ...

    def is_bad(self, model: str, number: str) -> bool:
        """Return whether a release failed here and must not serve."""
        ...

    def busy(self, model: str) -> str:
        """Return what an update does to a model that nothing else should meet; empty for nothing."""
        ...

    def loaded(self) -> None:
        """Note that a model was loaded by order: a release may have waited for that."""
        ...

    async def load_failed(self) -> None:
        """Fall back from releases that could not be loaded."""
        ...


class StoredReleases:
    """``Releases`` of the store of one gateway's updates."""

    def __init__(self, updates: Updates, settings: Callable[[], Settings]) -> None:
        self._updates = updates
        self._settings = settings

    def number_of(self, model: str, folder: str) -> str:
        """Return the number of a release by its folder; see ``Releases``."""
        store, path = self._updates.store, Path(folder)
        if store is not None and path.name.isdecimal() and path.parent == store.layout.model(model):
            return path.name
        return FACTORY

    def kept(self, model: str) -> tuple[str, ...]:
        """Return the numbers of the releases that could serve; see ``Releases``."""
        store = self._updates.store
        if store is None:
            return (FACTORY,)
        try:
            names = [path.name for path in store.layout.model(model).iterdir()]
        except OSError:
            names = []
        return (FACTORY, *sorted((name for name in names if name.isdecimal()), key=int))

    async def folder(self, model: str, number: str) -> str:
        """Return the folder of a release, after looking at every byte of it; see ``Releases``."""
        if number == FACTORY:
            return self._settings().models[model].path
        kept = self.kept(model)
        if number not in kept:
            raise UnknownModel(
                f"model {model} has no version {number}: here are {', '.join(kept)} (0: the factory's)",
                model=model,
            )
        return await asyncio.to_thread(self._verified, model, int(number))

    def is_bad(self, model: str, number: str) -> bool:
        """Return whether a release failed here; see ``Releases``."""
        rollout = self._updates.board.rollouts.get(model) if self._updates.board is not None else None
        return rollout is not None and number.isdecimal() and int(number) in rollout.quarantined

    def busy(self, model: str) -> str:
        """Return what an update does to a model; see ``Releases``."""
        rollout = self._updates.board.rollouts.get(model) if self._updates.board is not None else None
        if rollout is None or rollout.record.phase is not Phase.BAKING or rollout.record.candidate is None:
            return ""
        return f"release {rollout.record.candidate.number} is in its bake"

    def loaded(self) -> None:
        """Note that a model was loaded by order; see ``Releases``."""
        self._updates.model_loaded()

    async def load_failed(self) -> None:
        """Fall back from releases that could not be loaded; see ``Releases``."""
        await self._updates.check_started()

    def _verified(self, model: str, number: int) -> str:
        """Return the folder of a release.

        Raises:
            ReleaseQuarantined: It failed here before.
            StoreFailed: It is damaged, or the disk cannot be read.
        """
        store = self._updates.store
        if store is None:
            raise StoreFailed("the model store is not open")
        ref = ReleaseRef(number, manifest_digest(store.manifest(model, number)))
        why = store.quarantined(model, ref, int(time.time()), self._settings().updates.quarantine_s)
        if why is not None:
            raise ReleaseQuarantined(f"release {number} of {model} failed here: {why}", model=model)
        store.verify(model, ref)
        return str(store.release_folder(model, number))
