"""What the updater child does: looks at the repository, and brings releases into the store. Blocking."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.errors import FetchFailed, FetchRefused, ManifestRefused, UpdateRefused
from gateway.updates.assignment_json import read_assignment
from gateway.updates.manifest import read_manifest
from gateway.updates.release import ReleaseRef, manifest_digest
from gateway.updates.store.store import Store
from gateway.updates.transport.acquire import Acquirer, DeltaPolicy, Goal, PatchRules
from gateway.updates.transport.download import Downloader
from gateway.updates.transport.folder import FolderSource
from gateway.updates.transport.open_source import open_source
from gateway.updates.transport.source import Source
from gateway.updates.trust.client import TrustClient, TrustReport
from gateway.updates.updater_wire import UpdaterOptions

Answer = TypeVar("Answer")


@dataclass
class Look:
    """What a look at the repository brought.

    Attributes:
        report: What is believed now.
        assignment: The group's, as signed; None if there is none.
        manifests: By model: that of the release it should run, as signed.
        refused: By model: why there is none.
        trouble: What went wrong beside: a repository or an inbox that could not be used, in words.
    """

    report: TrustReport
    assignment: bytes | None = None
    manifests: dict[str, bytes] = field(default_factory=dict)
    refused: dict[str, UpdateRefused] = field(default_factory=dict)
    trouble: tuple[str, ...] = ()


class UpdaterWork:
    """One store, one repository, and perhaps an inbox and a broker.

    Args:
        options: Where they are.
        store: Opened with the lock that was handed over.
        stop: Set when what is being done shall end.
    """

    def __init__(self, options: UpdaterOptions, store: Store, stop: threading.Event) -> None:
        self._options = options
        self._store = store
        self._stop = stop
        self._manifests: dict[tuple[str, int], bytes] = {}

    def refresh(self, models: Sequence[str]) -> Look:
        """Look at what is signed now: the assignment, and the manifests of what it wants of ``models``.

        The repository and an inbox that is ready are both looked at; whose
        versions are newer, counts.

        Raises:
            UpdateRefused: Neither could be believed; the repository's reason.
        """
        with self._sources() as sources:
            clients, report, trouble = self._believed(sources)
            data = _first(clients, lambda client: client.assignment(self._options.group))
            look = Look(report, data, trouble=trouble)
            wishes = {} if data is None else read_assignment(data).models
            for model in models:
                if model in wishes:
                    self._look_up(clients, look, (model, wishes[model].release))
        return look

    def fetch(self, model: str, number: int, told: Callable[[int, int], None]) -> ReleaseRef:
        """Bring a release into the store and stage it.

        Raises:
            UpdateRefused: It is not signed, does not fit, or does not come.
        """
        manifest = self._manifests.get((model, number))
        with self._sources() as sources:
            if manifest is None:
                clients, _, _ = self._believed(sources)
                manifest = self._signed(clients, model, number)
            release = read_manifest(manifest)
            rules = PatchRules(DeltaPolicy(self._options.deltas), self._options.delta_memory_bytes)
            with self._blob_sources(sources) as asked:
                acquirer = Acquirer(self._store, Downloader(asked), rules)
                goal = Goal(time.monotonic() + self._options.fetch_s, self._stop, told)
                acquirer.acquire(release, manifest, goal)
        return ReleaseRef(number, manifest_digest(manifest))

    def _believed(
        self, sources: Mapping[str, Source]
    ) -> tuple[list[TrustClient], TrustReport, tuple[str, ...]]:
        """Refresh from every source in turn; the one that was believed last comes first: it is no older."""
        deadline_s = time.monotonic() + self._options.refresh_s
        clients: list[TrustClient] = []
        report: TrustReport | None = None
        errors: dict[str, UpdateRefused] = {}
        for name, source in sources.items():
            if self._stop.is_set():
                raise FetchFailed("the refresh was stopped", stopped=1)
            client = TrustClient(
                self._store.trust_folder,
                self._options.root,
                source,
                now_unix_s=time.time(),
                build_unix_s=self._options.build_unix_s,
                deadline_s=deadline_s,
            )
            try:
                report = client.refresh()
            except UpdateRefused as error:
                errors[name] = error
            else:
                clients.insert(0, client)
        if report is None:
            raise next(iter(errors.values()))
        return clients, report, tuple(f"{name}: {error.message}" for name, error in errors.items())

    def _look_up(self, clients: Sequence[TrustClient], look: Look, wanted: tuple[str, int]) -> None:
        model, number = wanted
        try:
            look.manifests[model] = self._manifests[wanted] = self._signed(clients, model, number)
        except UpdateRefused as error:  # the other models are none the worse for it
            look.refused[model] = error

    def _signed(self, clients: Sequence[TrustClient], model: str, number: int) -> bytes:
        manifest = _first(clients, lambda client: client.manifest(model, number))
        if manifest is None:
            raise ManifestRefused(
                f"release {number} of {model} is wanted, but nobody signed one", model=model
            )
        return manifest

    @contextlib.contextmanager
    def _sources(self) -> Iterator[Mapping[str, Source]]:
        """Yield the repository and, if it is ready, the inbox; close them afterwards."""
        sources: dict[str, Source] = {
            "repository": open_source(self._options.repository, self._options.min_rate_bytes_s)
        }
        if self._options.inbox_dir is not None:
            inbox = FolderSource(self._options.inbox_dir)
            if inbox.is_ready:
                sources["inbox"] = inbox
        try:
            yield sources
        finally:
            for source in sources.values():
                source.close()

    @contextlib.contextmanager
    def _blob_sources(self, sources: Mapping[str, Source]) -> Iterator[list[Source]]:
        """Yield where blobs are asked for, the cheapest first: a stick, the repository, the broker."""
        asked = list(sources.values())[::-1]
        if self._options.mqtt is None:
            yield asked
            return
        from gateway.updates.transport.mqtt import MqttSource

        broker = MqttSource(self._options.mqtt, self._options.prefix)
        try:
            yield [*asked, broker]
        finally:
            broker.close()


def _first(clients: Sequence[TrustClient], ask: Callable[[TrustClient], Answer | None]) -> Answer | None:
    """Return the first answer of clients that believe the same; one whose source fails is passed over."""
    failure: UpdateRefused | None = None
    for client in clients:
        try:
            return ask(client)
        except (FetchRefused, FetchFailed) as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return None
