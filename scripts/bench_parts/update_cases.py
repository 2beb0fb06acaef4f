"""The measurements of model updates: switches under load, fetching, and from the doorbell to the bake."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import itertools

import harness
from harness import Broker

from gateway.updates.packing.contents import blob_of
from gateway.updates.release import ReleaseFile
from gateway.updates.store.store import Store
from gateway.updates.updater import UpdaterSession
from gateway.updates.updater_wire import UpdaterOptions
from tests.system.author import Author
from tests.system.running import Client
from tests.updates.transport.static_server import StaticServer

Figures = dict[str, Any]
SWITCHES = 20
_LANES = 2
_MODEL = "efficientnet-lite0-int8"
_FETCH_BYTES = 20_000_000


def switch(rounds: int) -> Figures:
    """Twenty switches in a row under load at 70 %: what is lost, the longest gap, p99 before and during."""
    seen: dict[str, list[float]] = {}
    for _ in range(max(1, rounds // 3)):
        for key, value in _switch_once().items():
            seen.setdefault(key, []).append(value)
    figures: Figures = {key: round(statistics.median(values), 3) for key, values in seen.items()}
    return figures | {"goal": "0 lost, 0 failed, 0 mixed, gap <= 50 ms, p99 ratio <= 1.25"}


def _switch_once() -> Figures:
    with tempfile.TemporaryDirectory() as place, Broker() as broker:
        folder = Path(place)
        names = harness.frames(folder)
        author = Author(folder / "author")
        author.publish()
        updates = author.settings(bake={"seconds": 0, "requests": 0})
        with harness.gateway(broker, lanes=_LANES, delivery="every", more=updates) as gateway:
            limit = harness.load(broker, names, "--streams", 8, "--seconds", 4)["rate"]
            options = ("--streams", 4, "--rate", limit * 0.7, "--samples")
            before = _load(broker, names, *options, "--seconds", 10)
            releases = [_labelled(author, number) for number in range(2, SWITCHES + 2)]
            with _started(broker, names, *options, "--seconds", 90) as running, Client(broker.port) as client:
                began_s = time.monotonic()
                for release in releases:
                    _elsewhere(lambda release=release: author.push(client, release))  # type: ignore[misc]
                    _wait_committed(gateway, int(release.name.rpartition("-")[2]))
                took_s = time.monotonic() - began_s
                during = json.loads(running.communicate()[0])
            drops = sum(gateway.get("/status")["drops"].values())
    inside = [sample for sample in during["samples"] if began_s <= sample[0] <= began_s + took_s]
    ends = sorted(sent_s + ms / 1e3 for sent_s, ms, _ in inside)
    usual = sorted(sent_s + ms / 1e3 for sent_s, ms, _ in before["samples"])
    return {
        "frames": during["sent"],
        "lost": during["sent"] - during["answered"],
        "failed": drops,
        "mixed": during["mixed"] + before["mixed"],
        "longest_gap_ms": _gap_ms(ends),
        "longest_gap_before_ms": _gap_ms(usual),
        "p99_before_ms": before["p99_ms"],
        "p99_during_ms": _p99([ms for _, ms, _ in inside]),
        "p99_ratio": _p99([ms for _, ms, _ in inside]) / before["p99_ms"],
        "seconds_a_switch": took_s / SWITCHES,
        "load_per_s": limit * 0.7,
    }


def _elsewhere(work: Callable[[], object]) -> None:
    """Do what an author does on a machine of his own: here, with hardly any weight against the board."""

    def politely() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        work()

    thread = threading.Thread(target=politely)
    thread.start()
    thread.join()


def _labelled(author: Author, number: int) -> Path:
    folder = author.release(_MODEL, "classifier", number)
    labels = folder / "labels.txt"
    labels.write_text("".join(f"{line} #{number}\n" for line in labels.read_text().splitlines()))
    card = folder / "card.yaml"
    card.write_text(
        card.read_text().split("golden:")[0]
    )  # they name labels; validating is not what is measured
    return author.packed(folder, "classifier", number)


def _wait_committed(gateway: harness.Gateway, number: int) -> None:
    """Wait by the log: asking the gateway meanwhile would be load of its own."""
    end_s = time.monotonic() + 60
    while time.monotonic() < end_s:
        steps = gateway.events("release_step")
        if any(e["step"] == "committed" and e["release"] == number for e in steps):
            return
        wrong = [
            e
            for e in steps
            if e["release"] == number and e["step"] in {"rejected", "hindered", "rolled_back"}
        ]
        if wrong:
            raise RuntimeError(str(wrong))
        time.sleep(0.1)
    raise RuntimeError(f"release {number} was not committed within a minute")


def fetch(rounds: int) -> Figures:
    """A release of 20 MB over loopback HTTP: MB/s, and the updater's peak, also for one of 300 MB."""
    rates, peaks = [], []
    for _ in range(max(3, rounds)):
        rate, peak = asyncio.run(_fetch_once(_FETCH_BYTES))
        rates.append(rate)
        peaks.append(peak)
    _, large = asyncio.run(_fetch_once(300_000_000))
    return {
        "mb_per_s": round(statistics.median(rates), 1),
        "mb_per_s_all": [round(rate, 1) for rate in rates],
        "peak_rss_mb": round(max(peaks) / 1e6, 1),
        "peak_rss_of_300_mb_release_mb": round(large / 1e6, 1),
        "goal": ">= 100 MB/s, peak <= 80 MB whatever the size",
    }


async def _fetch_once(size: int) -> tuple[float, int]:
    with tempfile.TemporaryDirectory() as place:
        author = Author(Path(place))
        folder = author.release("motion-int8", "motion", 1)
        (folder / "weights.bin").write_bytes(os.urandom(size))
        _add_file(author, folder, "weights.bin")
        author.publish(folder)
        with StaticServer(author.repository_folder) as server:
            store = Store.open(Path(place) / "store", quota_bytes=4 << 30, reserve_bytes=0)
            options = UpdaterOptions(
                Path(place) / "store", server.url, author.root_file.read_bytes(), "default", reserve_bytes=0
            )
            async with UpdaterSession(options, store.lock_fd) as session:
                await session.refresh(["motion"])
                began_s = time.monotonic()
                await session.fetch("motion", 1, lambda _done, _all: None)
                took_s = time.monotonic() - began_s
            store.close()
            return size / took_s / 1e6, session.peak_rss_bytes


def _add_file(author: Author, folder: Path, name: str) -> None:
    from dataclasses import replace

    from gateway.updates.manifest import manifest_bytes, read_manifest

    author.packed(folder, "motion", 1)
    release = read_manifest((folder / "manifest.json").read_bytes())
    more = (*release.files, ReleaseFile(name, blob_of(folder / name)))
    (folder / "manifest.json").write_bytes(manifest_bytes(replace(release, files=more)))


def doorbell(rounds: int) -> Figures:
    """From the doorbell to the bake, the 5 MB classifier over loopback HTTP, and what it costs the daemon."""
    took, grown = [], []
    for _ in range(max(3, rounds)):
        seconds, growth = _doorbell_once()
        took.append(seconds)
        grown.append(growth)
    return {
        "doorbell_to_bake_s": round(statistics.median(took), 2),
        "worst_s": round(max(took), 2),
        "front_end_rss_growth_mb": round(statistics.median(grown), 2),
        "goal": "<= 3 s; the daemon's memory unchanged within 3 MB",
    }


def _doorbell_once() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as place, Broker() as broker:
        author = Author(Path(place) / "author")
        author.publish()
        with StaticServer(author.repository_folder) as server:
            updates = author.settings(repository=server.url, bake={"seconds": 600})
            with harness.gateway(broker, lanes=1, more=updates) as gateway, Client(broker.port) as client:
                while not gateway.events("update_looked"):
                    time.sleep(0.05)
                author.publish(author.release(_MODEL, "classifier", 2))
                time.sleep(3)
                before_kb = harness.rss_kb(gateway.process.pid)
                began_s = time.time()
                author.ring(client)
                while not (events := [e for e in gateway.events("release_step") if e["step"] == "serving"]):
                    time.sleep(0.05)
                from cases import _unix

                took_s = _unix(events[0]["time"]) - began_s
                time.sleep(2)
                return took_s, (harness.rss_kb(gateway.process.pid) - before_kb) / 1024


def _load(broker: Broker, names: list[str], *options: str | float) -> Any:
    with _started(broker, names, *options) as running:
        return json.loads(running.communicate()[0])


def _started(broker: Broker, names: list[str], *options: str | float) -> subprocess.Popen[bytes]:
    command = [sys.executable, harness.PARTS / "update_load.py", "--port", broker.port, "--frames", *names]
    return subprocess.Popen(list(map(str, [*command, *options])), stdout=subprocess.PIPE)


def _gap_ms(ends_s: list[float]) -> float:
    return max(later - earlier for earlier, later in itertools.pairwise(ends_s)) * 1e3


def _p99(values_ms: list[float]) -> float:
    return sorted(values_ms)[int(len(values_ms) * 0.99)]


CASES: dict[str, Callable[[int], Figures]] = {"switch": switch, "fetch": fetch, "doorbell": doorbell}
