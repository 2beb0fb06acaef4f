"""Serves what is dropped into a folder: each model by itself, so that a bad one harms no other.

A model that comes or changes is copied, proven in a throw-away process and started
beside what serves; then it takes over between two requests. One that fails changes
nothing and is told once, with what to do; it is tried again when its files change,
or later if the board was at fault. One that goes finishes what it holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.configuration.settings import ModelSettings
from gateway.daemon.background import in_background
from gateway.daemon.drop_in_settings import advice_on, settings_of, without
from gateway.daemon.drop_in_start import FAILED_STATES, DropInStart, Host, Place
from gateway.daemon.dropped import Dropped, Look, Signature, look
from gateway.daemon.made_folders import Made, MadeFolders
from gateway.errors import (
    GatewayError,
    LostRace,
    OutOfMemory,
    Unavailable,
)
from gateway.model import CARD_FILE
from gateway.operations.folder_watch import FolderWatch
from gateway.operations.log import log

_COPIES: Final = "drop-in"
_OWN_DIGITS: Final = 12
_AT_ONCE: Final = 4
# A start waits no longer for what was dropped: nobody can keep the gateway from getting ready.
_START_LIMIT_S: Final = 20.0
_AGAIN_S: Final = 5.0
_AGAIN_MOST_S: Final = 900.0
_WHEN_MENDED: Final = "it is tried again when the file changes"


@dataclass(slots=True, eq=False)
class _Entry(Place):
    """What is known of one drop-in model. Mutable.

    Attributes:
        path: What its owner put there.
        signature: What was seen of it when it was last tried.
        task: The attempt that is under way.
        retry: When it is tried again, where the board was at fault.
        again_s: Pause before that.
    """

    path: Path = field(default_factory=Path)
    signature: Signature = ()
    task: asyncio.Task[None] | None = None
    retry: asyncio.TimerHandle | None = None
    again_s: float = _AGAIN_S


class DropIns:
    """The drop-in models of one gateway; off without a folder."""

    def __init__(self, folder: str, copies: Path, host: Host) -> None:
        """Prepare.

        Args:
            folder: Where models are dropped, an absolute path; empty for nowhere.
            copies: Under which the gateway keeps its own copies of them.
            host: The gateway.
        """
        self._folder = Path(folder) if folder else None
        # Gateways that share a cache leave each other's copies alone.
        own = hashlib.sha256(folder.encode()).hexdigest()[:_OWN_DIGITS]
        self._copies = MadeFolders(copies / _COPIES / own)
        self._start = DropInStart(self._copies, host)
        self._host = host
        self._entries: dict[str, _Entry] = {}
        self._told: dict[Path, tuple[str, str]] = {}
        self._stir = asyncio.Event()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._watch: FolderWatch | None = None
        self._running: list[asyncio.Task[None]] = []
        self._trouble = ""
        self._is_swept = False

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What runs for ever; its end is a bug that the owner must see."""
        return [*self._running]

    def models(self) -> dict[str, ModelSettings]:
        """Return the drop-in models that serve now and could be started again from what is on the disk."""
        status = self._host.catalog.status
        return {
            name: settings_of(entry.folder)
            for name, entry in self._entries.items()
            if entry.folder is not None
            and name in status
            and status[name].state not in FAILED_STATES
            and (entry.folder / CARD_FILE).is_file()
        }

    def facts_of(self, name: str) -> Mapping[str, str]:
        """Return what is known of a drop-in model besides: its file, and what its card should say more."""
        entry = self._entries.get(name)
        if entry is None or entry.folder is None:
            return {}
        missing = {"missing": ", ".join(entry.missing)} if entry.missing else {}
        return {"file": str(entry.path), **missing}

    async def open(self) -> None:
        """Watch the folder, and serve what lies there; returns when all of it was tried, or after a while.

        Never raises for what the folder holds. Cancel-safe: ``close`` ends what was begun.
        """
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
        self._watch = await FolderWatch(self._folder).__aenter__()
        log.event("drop_in_watched", folder=str(self._folder), slow=self._watch.slow)
        await self._look()
        tasks = {entry.task for entry in self._entries.values() if entry.task is not None}
        if tasks:
            await asyncio.wait(tasks, timeout=_START_LIMIT_S)
        loop = asyncio.get_running_loop()
        self._running = [
            loop.create_task(self._listen(self._watch), name="drop-in.watch"),
            loop.create_task(self._follow(), name="drop-in"),
        ]
        await self._sweep()

    def ring(self) -> None:
        """Look again soon: the configuration changed. What failed is tried again."""
        for entry in self._entries.values():
            if entry.folder is None and entry.task is None:
                entry.signature = ()
        self._stir.set()

    async def close(self) -> None:
        """End every attempt and the watch; what serves is the catalogue's to end. Idempotent."""
        tasks = [entry.task for entry in self._entries.values() if entry.task is not None]
        for entry in self._entries.values():
            if entry.retry is not None:
                entry.retry.cancel()
        tasks += self._running
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running = []
        watch, self._watch = self._watch, None
        if watch is not None:
            await watch.__aexit__(None, None, None)

    async def _listen(self, watch: FolderWatch) -> None:
        async for _ in watch:
            self._stir.set()

    async def _follow(self) -> None:
        while True:
            await self._stir.wait()
            self._stir.clear()
            await self._look()
            await self._sweep()

    async def _sweep(self) -> None:
        """Delete once what an earlier life of the process left, when nothing is being copied."""
        entries = self._entries.values()
        if self._is_swept or self._trouble or any(entry.task is not None for entry in entries):
            return
        self._is_swept = True
        kept = frozenset(entry.folder for entry in entries if entry.folder is not None)
        await in_background(lambda: self._copies.sweep(kept))

    async def _look(self) -> None:
        """Compare what lies there with what was tried, and begin what follows from it."""
        assert self._folder is not None
        # Copied whole, in one step of the interpreter: threads add to it.
        folder, companions = self._folder, self._copies.companions.copy()
        try:
            seen = await in_background(lambda: look(folder, companions))
        except OSError as error:
            self._note_trouble(error.strerror or str(error))
            return
        self._trouble = ""
        self._tell_refused(seen)
        for name, dropped in seen.found.items():
            entry = self._entries.get(name)
            if self._host.is_configured(name):
                self._give_way(name, dropped)
            elif self._host.is_alias(name):
                await self._give_way_to_alias(name, dropped)
            elif self._is_busy(dropped.path):
                continue
            elif entry is None or entry.signature != dropped.signature or entry.path != dropped.path:
                self._try(dropped)
        for name in self._entries.keys() - seen.found.keys():
            if not self._is_busy(self._entries[name].path):
                await self._remove(name)

    def _try(self, dropped: Dropped) -> None:
        """Begin an attempt; one that is under way for an older state of the files ends first."""
        entry = self._entries.setdefault(dropped.name, _Entry(path=dropped.path))
        older, entry.path, entry.signature = entry.task, dropped.path, dropped.signature
        if entry.retry is not None:
            entry.retry.cancel()
            entry.retry = None
        attempt = self._attempt(dropped, entry, older)
        entry.task = asyncio.get_running_loop().create_task(attempt, name=f"drop-in[{dropped.name}]")

    async def _attempt(self, dropped: Dropped, entry: _Entry, older: asyncio.Task[None] | None) -> None:
        await _ended(older)
        began_s = time.monotonic()
        try:
            async with self._slots:
                made = await self._start.serve(dropped, entry)
                entry.signature = self._signature_now(dropped)
        except GatewayError as error:
            entry.signature = self._signature_now(dropped)
            self._refused(dropped, error, entry)
        except Exception as error:  # noqa: BLE001 - one model's bug must not be the others'
            log.event("task_failed", task=f"drop-in {dropped.name}", error=error)
        else:
            entry.again_s = _AGAIN_S
            self._told.pop(dropped.path, None)
            if made is not None:
                self._tell_serves(dropped, made, round(time.monotonic() - began_s, 3))
        finally:
            if entry.task is asyncio.current_task():
                entry.task = None

    def _signature_now(self, dropped: Dropped) -> Signature:
        """Return the signature that the next look finds if nothing changes: with what is needed beside."""
        if dropped.file != dropped.path:
            return dropped.signature
        beside = self._copies.companions.get(dropped.path, {})
        return (*dropped.own, *sorted(beside.items()))

    async def _remove(self, name: str) -> None:
        """Let a model go whose files have gone."""
        entry = self._entries.pop(name)
        if entry.retry is not None:
            entry.retry.cancel()
        await _ended(entry.task)
        self._copies.companions.pop(entry.path, None)
        self._told.pop(entry.path, None)
        if entry.folder is None:
            return
        async with self._host.changing:
            if self._host.is_configured(name):
                return
            scheduler = self._host.catalog.standing.remove(name)
            self._host.take(without(self._host.settings, name))
            self._host.catalog.standing.on_change()
        log.event("drop_in_gone", model=name, file=str(entry.path))
        if scheduler is not None:
            self._host.catalog.standing.spawn(self._start.end(scheduler, entry.folder))

    def _give_way(self, name: str, dropped: Dropped) -> None:
        """Leave a name to the configuration; it has taken it over already if the file served."""
        entry = self._entries.pop(name, None)
        if entry is not None and entry.task is not None:
            entry.task.cancel()
        self._refuse_once(dropped.path, "the configuration names a model of this name", "rename the file")

    async def _give_way_to_alias(self, name: str, dropped: Dropped) -> None:
        """Leave a name to an alias: its callers want what it leads to, and no file that is called like it."""
        if name in self._entries:
            await self._remove(name)
        self._refuse_once(dropped.path, "an alias has this name", "rename the file")

    def _is_busy(self, path: Path) -> bool:
        """Return whether somebody is writing it, or something in it."""
        writing = self._watch.writing if self._watch is not None else frozenset()
        return any(each.is_relative_to(path) for each in writing)

    def _refused(self, dropped: Dropped, error: GatewayError, entry: _Entry) -> None:
        temporary = isinstance(error, (Unavailable, OutOfMemory, LostRace))
        if temporary:
            loop = asyncio.get_running_loop()
            entry.retry = loop.call_later(entry.again_s, self._again, entry)
            entry.again_s = min(2 * entry.again_s, _AGAIN_MOST_S)
        mended = f"{advice_on(error, has_card=dropped.file is None)}; {_WHEN_MENDED}"
        self._refuse_once(dropped.path, error.message, "it is tried again soon" if temporary else mended)

    def _again(self, entry: _Entry) -> None:
        entry.retry, entry.signature = None, ()
        self._stir.set()

    def _tell_refused(self, seen: Look) -> None:
        for each in seen.refused:
            if not self._is_busy(each.path):
                self._refuse_once(each.path, each.reason, each.advice)
        there = {dropped.path for dropped in seen.found.values()} | {each.path for each in seen.refused}
        self._told = {path: told for path, told in self._told.items() if path in there}

    def _refuse_once(self, path: Path, reason: str, advice: str) -> None:
        if self._told.get(path) != (reason, advice):
            self._told[path] = reason, advice
            log.event("drop_in_refused", file=str(path), reason=reason, advice=advice)

    def _tell_serves(self, dropped: Dropped, made: Made, took_s: float) -> None:
        version = self._host.catalog.versions.get(dropped.name)
        called = version.scheduler.facts.version if version and version.scheduler.facts else None
        log.event(
            "drop_in_serves",
            model=dropped.name,
            file=str(dropped.path),
            version=called.version if called else "",
            took_s=took_s,
            missing=list(made.missing),
        )

    def _note_trouble(self, reason: str) -> None:
        if self._trouble != reason:
            self._trouble = reason
            log.event("drop_in_trouble", folder=str(self._folder), reason=reason)


async def _ended(task: asyncio.Task[None] | None) -> None:
    """Cancel a task and wait for its end."""
    if task is not None:
        task.cancel()
        await asyncio.wait({task})
