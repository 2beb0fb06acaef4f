"""Models as they are wished: real catalogue and workers, releases in folders, memory as the test says."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.configuration.serving_settings import AliasSettings, AliasTarget
from gateway.configuration.settings import ModelSettings, PipelineSettings, ScalingSettings, Settings
from gateway.daemon.beside import Beside
from gateway.daemon.catalog import Catalog
from gateway.daemon.lane_costs import LaneCost
from gateway.daemon.loading import Loading
from gateway.daemon.model_version import Changed
from gateway.daemon.room import Room
from gateway.daemon.wishes import Wishes
from gateway.errors import GatewayError, UnknownModel
from gateway.inference.choosing import Chooser, Unheard
from gateway.inference.dataplane import DataPlane
from gateway.inference.proof_cache import ProofCache
from gateway.inference.request import InferRequest, Outcome
from gateway.inference.tensor_call import TENSORS, PlacedTensor, TensorLayout
from gateway.operations.metrics import Metrics
from gateway.scaling.sample import HOST, DeviceMemory, Source
from tests.inference.bench_of_lanes import DECLARED, Seen, payload
from tests.inference.model_folders import copy

GIB = 1 << 30


class FolderReleases:
    """Releases that lie in folders: what a store says of itself, without one."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self.folders: dict[tuple[str, str], str] = {}
        self.active: dict[str, str] = {}
        self.bad: set[tuple[str, str]] = set()
        self.held: dict[str, str] = {}
        self.fallen: list[str] = []
        self._settings = settings

    def folder_of(self, model: str) -> str | None:
        number = self.active.get(model)
        return self.folders[model, number] if number else None

    def number_of(self, model: str, folder: str) -> str:
        return next((n for (m, n), path in self.folders.items() if m == model and path == folder), "0")

    def kept(self, model: str) -> tuple[str, ...]:
        return ("0", *(number for name, number in self.folders if name == model))

    async def folder(self, model: str, number: str) -> str:
        if number == "0":
            return self._settings().models[model].path
        try:
            return self.folders[model, number]
        except KeyError:
            raise UnknownModel(f"model {model} has no version {number}") from None

    def is_bad(self, model: str, number: str) -> bool:
        return (model, number) in self.bad

    def busy(self, model: str) -> str:
        return self.held.get(model, "")

    def loaded(self) -> None:
        self.fallen.append("loaded")

    async def load_failed(self) -> None:
        self.fallen.append("asked")


class World:
    """A gateway's models without its doors.

    Attributes:
        settings: What is configured now.
        memory: What is available of the board's memory; None for a board that does not tell.
        costs: What a lane of each model was measured to take.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.settings = settings
        self.memory: DeviceMemory | None = None
        self.costs: dict[str, LaneCost] = {}
        self.metrics = Metrics()
        self.seen = Seen()
        self.dataplane = DataPlane()
        cache = ProofCache(folder / "cache")
        self.releases = FolderReleases(self._now)
        loaded: Any = None  # only asked for places in a file, of pipelines that do not fit
        self.catalog = Catalog(
            self.dataplane,
            (cache, Chooser(cache, None, Unheard())),
            self.seen,
            loaded,
            self.releases.folder_of,
        )
        room = Room(self.catalog.versions, self._now, self._memory, self._cost, self.releases.busy)
        self.loading = Loading(self.catalog, self.releases, self._now, room, self.metrics)
        self.beside = Beside(self.catalog, self.dataplane, self.releases, self._now, self.loading.room_for)
        self.wishes = Wishes(self._now, self.catalog, self.loading, self.beside, self.releases)
        self.resolver = self.wishes.resolver
        self.dataplane.waker = self.loading.wake

    def available(self, available_bytes: int, total_bytes: int = GIB) -> None:
        """Say what is available of the memory."""
        self.memory = DeviceMemory(HOST, Source.MEMINFO, "as the test says", total_bytes, available_bytes)

    async def change(self, settings: Settings) -> Changed:
        """Go over to other settings, as a reload does."""
        loaded: Any = None
        changed = await self.catalog.change(settings, loaded)
        self.settings = settings
        self.wishes.configured()
        await self.catalog.drain(changed.ending)
        return changed

    async def switch(self, model: str, number: str) -> None:
        """Let a release serve in place of what does, as an update does."""
        version = await self.catalog.candidate(model, self.releases.folders[model, number], self.settings)
        old = await self.catalog.exchange(version, self._now)
        self.releases.active[model] = number
        if old is not None:
            await self.catalog.drain([old.scheduler])

    async def infer(self, name: str, version: str = "", key: str = "k", patience_s: float = 30.0) -> Outcome:
        """Ask as a door does: resolve, have it ready, run."""
        deadline_s = time.monotonic() + patience_s
        place = self.resolver.resolve(name, version, key)
        place = await self.resolver.ready(place, deadline_s)
        return await self.dataplane.infer(window(place.model, deadline_s, key), place.scheduler)

    async def version_of(self, name: str, version: str = "", key: str = "k") -> str:
        """Return the card's version of what answered."""
        outcome = await self.infer(name, version, key)
        assert outcome.version is not None
        return outcome.version.version

    async def settled(self) -> None:
        """Let wishes come true as far as they do."""
        await self.wishes.open()

    def state(self, model: str) -> str:
        """Return where a model is."""
        return self.catalog.status[model].state.value

    def states(self) -> Mapping[tuple[str, str], tuple[str, str]]:
        """Return the index by name and version."""
        return {(e.name, e.version): (e.state, e.reason) for e in self.resolver.index()}

    def _now(self) -> Settings:
        return self.settings

    def _memory(self, _on_device: bool) -> DeviceMemory | None:
        return self.memory

    def _cost(self, model: str) -> LaneCost:
        return self.costs.get(model, LaneCost())


def window(model: str, deadline_s: float, stream: str = "s") -> InferRequest:
    """Return one window of a model's own numbers, as an application sends it."""
    layout = TensorLayout((PlacedTensor("window", "int8", (1, 100, 6), 0),))
    now_s = time.monotonic()
    return InferRequest(model, TENSORS, stream, bytes(600), layout.to_json(), now_s, deadline_s)


def frame(model: str, patience_s: float = 30.0, stream: str = "s") -> InferRequest:
    """Return one window of numbers for a model's pipeline, as a sensor sends it."""
    now_s = time.monotonic()
    return InferRequest(model, f"{model}-line", stream, payload(), DECLARED, now_s, now_s + patience_s)


def settings_of(
    models: Mapping[str, Path], *on_demand: str, aliases: Mapping[str, Mapping[str, int]] | None = None
) -> Settings:
    """Return settings with a pipeline for each model.

    Args:
        models: Folders by name.
        on_demand: Names of those that are loaded by their first request.
        aliases: Weights by target (``model`` or ``model@version``), by alias.
    """
    return Settings(
        models={
            name: ModelSettings(str(path), load="on_demand" if name in on_demand else "always")
            for name, path in models.items()
        },
        pipelines={f"{name}-line": PipelineSettings(name) for name in models},
        scaling=ScalingSettings(cooldown_s=0.0, reserve_bytes=0),
        aliases={name: AliasSettings(targets(weights)) for name, weights in (aliases or {}).items()},
    )


def targets(weights: Mapping[str, int]) -> tuple[AliasTarget, ...]:
    """Return an alias's targets from words such as ``motion@7``."""
    parted = {word: word.partition("@") for word in weights}
    return tuple(AliasTarget(parted[word][0], parted[word][2], weight) for word, weight in weights.items())


def model(folder: Path, name: str, version: str = "1.0.0") -> Path:
    """Return a folder of its own with the motion model, as a version."""
    return copy("motion-int8", folder / name, **{"version: 1.0.0": f"version: {version}"})


@contextlib.asynccontextmanager
async def world(folder: Path, settings: Settings) -> AsyncIterator[World]:
    """Serve, and end everything after."""
    made = World(folder, settings)
    try:
        await made.catalog.start(settings)
        await made.settled()
        yield made
    finally:
        deadline_s = time.monotonic() + 3.0
        await made.wishes.close(deadline_s)
        await made.catalog.close(deadline_s)


def lived(test: Callable[[], Any], limit_s: float = 180.0) -> None:
    """Run a test's coroutine function within a limit."""
    asyncio.run(asyncio.wait_for(test(), limit_s))


def release(made: World, number: str, folder: Path) -> None:
    """Put a release of the motion model where the store would have it."""
    made.releases.folders["motion", number] = str(model(folder, f"release-{number}", f"{number}.0.0"))


def asking(made: World, names: list[str]) -> tuple[asyncio.Event, asyncio.Future[int], list[GatewayError]]:
    """Ask names in turn until the event is set; returns how many were answered, and what was not."""
    over, errors = asyncio.Event(), list[GatewayError]()

    async def ask() -> int:
        count = 0
        while not over.is_set():
            for name in names:
                try:
                    await made.infer(name, key=f"c{count % 7}")
                    count += 1
                except GatewayError as error:
                    errors.append(error)
        return count

    return over, asyncio.ensure_future(ask()), errors
