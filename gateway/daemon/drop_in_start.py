"""From files that were dropped to a version that serves: copied, proven, started beside, switched to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from gateway.configuration.settings import Settings
from gateway.daemon.background import in_background
from gateway.daemon.catalog import Catalog
from gateway.daemon.drop_in_settings import settings_of, with_one
from gateway.daemon.dropped import Dropped
from gateway.daemon.made_folders import Made, MadeFolders
from gateway.daemon.model_state import ModelState
from gateway.daemon.model_version import Version
from gateway.errors import LostRace, NotReady, WarmupFailed
from gateway.inference.scheduler import Scheduler

FAILED_STATES: Final = (ModelState.FAILED, ModelState.OUT_OF_SERVICE)
_RACES: Final = 5
# Many models run on no axis of 1: these are tried where the file leaves sizes open.
_TRIAL_SIZES: Final = (224, 640, 32)


class Host(Protocol):
    """The gateway as drop-in models see it.

    Attributes:
        settings: What is in effect: the configuration, and the drop-in models.
        catalog: Proves, starts and swaps versions.
        changing: Held while settings change.
    """

    settings: Settings
    catalog: Catalog
    changing: asyncio.Lock

    def is_configured(self, name: str) -> bool:
        """Return whether the configuration itself names a model."""
        ...

    def is_alias(self, name: str) -> bool:
        """Return whether an alias has a name."""
        ...

    def take(self, settings: Settings) -> None:
        """Let other settings be in effect, which differ in drop-in models alone."""
        ...


@dataclass(slots=True, eq=False)
class Place:
    """Where a drop-in model serves from. Mutable.

    Attributes:
        folder: The gateway's copy; None if it does not serve.
        missing: What its card should say more.
    """

    folder: Path | None = None
    missing: tuple[str, ...] = ()


class DropInStart:
    """Starts drop-in models of one gateway."""

    def __init__(self, copies: MadeFolders, host: Host) -> None:
        self._copies = copies
        self._host = host

    async def serve(self, dropped: Dropped, place: Place) -> Made | None:
        """Let a model serve as its files are now; return its copy, None if it serves like that already.

        Args:
            dropped: The model.
            place: Where it serves from; changed at the moment of the switch.

        Raises:
            GatewayError: It cannot be copied, proven or started; what served before goes on.

        Cancel-safe: what was started is ended.
        """
        first: WarmupFailed | None = None
        for size in (0, *_TRIAL_SIZES):
            made = await in_background(lambda size=size: self._copies.make(dropped, size))  # type: ignore[misc]
            if place.folder == made.folder and self._serves(dropped.name):
                return None
            try:
                await self._start(dropped.name, made, place)
            except WarmupFailed as error:
                first = first or error
                if not made.open_sizes:
                    break
            else:
                return made
            finally:
                if place.folder != made.folder:
                    await in_background(lambda made=made: self._copies.discard(made.folder))  # type: ignore[misc]
        assert first is not None
        raise first

    async def end(self, scheduler: Scheduler, folder: Path | None) -> None:
        """Let what serves no longer finish what it holds; then its copy is of no use."""
        await self._host.catalog.drain([scheduler])
        if folder is not None:
            await in_background(lambda: self._copies.discard(folder))

    async def _start(self, name: str, made: Made, place: Place) -> None:
        """Prove and start a copy, let it take over, and end what served before.

        Raises:
            GatewayError: It cannot be proven or started, or others changed it too often; what serves goes on.
        """
        model, catalog = settings_of(made.folder), self._host.catalog
        for _ in range(_RACES):
            version = await catalog.candidate(name, model.path, with_one(self._host.settings, name, model))
            try:
                old, was = await self._exchange(version, made, place)
            except LostRace:  # the configuration changed meanwhile: begin anew with what it is now
                await version.scheduler.close()
                continue
            except BaseException:
                await version.scheduler.close()
                raise
            if old is not None:
                catalog.standing.spawn(self.end(old.scheduler, was if was != made.folder else None))
            return
        raise LostRace(f"model {name}: the configuration changed {_RACES} times while it started", model=name)

    async def _exchange(
        self, version: Version, made: Made, place: Place
    ) -> tuple[Version | None, Path | None]:
        """Let a version take over; return what served before, and the copy from which it did.

        Raises:
            NotReady: The configuration names the model now, or an alias has its name.
            LostRace: The model's settings changed since the version was started.
        """
        host, name = self._host, version.name
        async with host.changing:
            if host.is_configured(name):
                raise NotReady(f"model {name}: the configuration names it now", model=name)
            if host.is_alias(name):
                raise NotReady(f"model {name}: an alias has this name now", model=name)
            wanted = with_one(host.settings, name, settings_of(made.folder))
            old = await host.catalog.exchange(version, lambda: wanted)
            host.take(wanted)
            was, place.folder, place.missing = place.folder, made.folder, made.missing
        return old, was

    def _serves(self, name: str) -> bool:
        status = self._host.catalog.status.get(name)
        return status is not None and status.state not in FAILED_STATES
