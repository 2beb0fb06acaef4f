"""The house around a rollout, as small as it can be: the store is real, what serves is a note."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from gateway.configuration.settings import UpdateSettings
from gateway.daemon.model_rollout import ModelRollout
from gateway.daemon.rollout_ports import RolloutPorts
from gateway.daemon.service_watch import ServiceWatch
from gateway.daemon.update_board import UpdateBoard
from gateway.errors import GatewayError
from gateway.inference.dataplane import DataPlane
from gateway.inference.request import InferRequest, Outcome, Ticket
from gateway.operations.metrics import Metrics
from gateway.updates.rollout_step import Rules
from gateway.updates.state import ModelRecord
from gateway.updates.store.store import Store
from tests.updates.store.transaction import MODEL

FACTORY = "/models/factory"


class Silent:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def request_ended(self, ticket: Ticket, outcome: Outcome) -> None:
        self.told.append("request_ended")

    def batch_ran(self, model: str, rows: int, took_s: float) -> None:
        self.told.append("batch_ran")

    def faulted(self, model: str, count: int) -> None:
        self.told.append("faulted")

    def worker_lost(self, model: str, pid: int, reason: str, requests: int) -> None:
        self.told.append("worker_lost")

    def lanes_changed(self, model: str, ready: int, wanted: int) -> None:
        self.told.append("lanes_changed")

    def payload_quarantined(self, request: InferRequest, digest: str) -> None:
        self.told.append("payload_quarantined")

    def caller_failed(self, model: str, error: Exception) -> None:
        self.told.append("caller_failed")

    def out_of_service(self, model: str, error: GatewayError) -> None:
        self.told.append("out_of_service")


def version(folder: str, spec: object = None) -> Any:
    """Return a version that serves from a folder: what rollouts look at, and no lanes."""
    spec = spec or SimpleNamespace(folder=folder)
    return SimpleNamespace(plan=SimpleNamespace(spec=spec), watch=ServiceWatch(Silent()))


class House:
    """Ports whose catalogue switches at once, or when it is let."""

    def __init__(self, store: Store, **updates: Any) -> None:
        self.store = store
        self.told: list[dict[str, Any]] = []
        self.rings = 0
        self.let = asyncio.Event()
        self.let.set()
        self.settings = SimpleNamespace(
            updates=UpdateSettings(**updates), models={MODEL: SimpleNamespace(path=FACTORY, lanes=1)}
        )
        self.catalog: Any = SimpleNamespace(versions={MODEL: version(FACTORY)}, start_at=self._start_at)
        self.catalog.candidate, self.catalog.exchange = self._candidate, self._exchange
        self.board = UpdateBoard("board-1", ("x86_64",), self.settings.updates)
        self.on_ring: Callable[[], None] = lambda: None
        self.ports = RolloutPorts(
            store=store,
            catalog=cast("Any", self.catalog),
            dataplane=DataPlane(),
            metrics=Metrics(),
            settings=lambda: self.settings,  # type: ignore[arg-type,return-value]
            tell=self.told.append,
            changed=lambda: None,
            consider=self._consider,
            connected=lambda: True,
            spare=self.board.spare,
            may_commit=self.board.may_commit,
        )

    def rollout(self, model: str = MODEL) -> ModelRollout:
        """Return the rollout of a model as a start of the process makes it."""
        rules = Rules(max_boots=3)
        rollout = self.board.rollouts[model] = ModelRollout(self.store.record(model), rules, self.ports)
        return rollout

    @property
    def serves(self) -> str:
        """Folder of what serves."""
        folder: str = self.catalog.versions[MODEL].plan.spec.folder
        return folder

    def _consider(self) -> None:
        self.rings += 1
        self.on_ring()

    async def _start_at(self, name: str, folder: str, _settings: object) -> None:
        await self.let.wait()
        self.catalog.versions[name] = version(folder)

    async def _candidate(self, name: str, folder: str, _settings: object) -> Any:
        await self.let.wait()
        made = version(folder)
        made.name = name
        made.scheduler = SimpleNamespace(close=_nothing)
        return made

    async def _exchange(self, made: Any, _settings: object) -> None:
        self.catalog.versions[made.name] = made


async def _nothing() -> None:
    """Stand in for the end of lanes that are not there."""


def write(store: Store, **changes: Any) -> ModelRecord:
    """Commit a record of ``MODEL`` with these facts."""
    held = store.record(MODEL)
    record = replace(held, seq=held.seq + 1, **changes)
    store.commit(record)
    return record


def damage(store: Store, number: int) -> None:
    """Change a byte of a release's card behind the store's back."""
    card = Path(store.release_folder(MODEL, number)) / "card.yaml"
    data = bytearray(card.read_bytes())
    data[0] ^= 1
    card.chmod(0o644)
    card.write_bytes(data)
    card.chmod(0o444)


async def turned(holds: Callable[[], object]) -> None:
    """Let the event loop turn until something holds."""
    for _ in range(2000):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come to hold")
