"""Model releases at the running daemon: offered, proven, switched to without a lost frame, and undone."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gateway.updates.assignment import Window
from gateway.updates.release import manifest_digest
from tests.broker import Broker
from tests.system.author import Author
from tests.system.pictures import jpeg, window
from tests.system.releases import CONFIG, KILL, PLUGINS, SLOW, TENSOR, Frames, release_of, steps
from tests.system.running import MODELS, Client, Daemon, subscribed


def test_a_release_is_fetched_proven_switched_to_and_committed(
    tmp_path: Path, broker: Broker, client: Client, author: Author, frames: Frames
) -> None:
    author.publish(author.release("motion-int8", "motion", 1))
    with Daemon(tmp_path, CONFIG + author.settings(), broker.url) as daemon:
        daemon.ready()
        subscribed(broker, "watch/motion")
        daemon.wait_event("release_step", step="serving")
        frames.send(10)
        daemon.wait_event("release_step", step="committed")
        frames.send(1)
        assert frames.versions[-1] == "1.0.0"
        found = release_of(daemon)
        assert (found["phase"], found["active"]["release"], found["floor"]) == ("idle", 1, 1)
        digests = set(found["active"]["mapped"].values())
        assert digests == {found["active"]["files_digest"].removeprefix("sha256:")}
        assert steps(daemon) == [
            *("booted", "accepted", "fetched", "validating", "proven", "switching", "serving", "committed"),
        ]
        assert daemon.stop() == 0
    assert json.loads((author.folder / "store/state/motion.json").read_text())


def test_a_release_that_answers_its_golden_samples_wrongly_is_refused_and_what_serves_goes_on(
    tmp_path: Path, broker: Broker, client: Client, author: Author, frames: Frames
) -> None:
    bad = author.release("motion-int8", "motion", 1, ("label: walking", "label: running"))
    author.publish(bad)
    with Daemon(tmp_path, CONFIG + author.settings(), broker.url) as daemon:
        daemon.ready()
        pids = daemon.lanes("motion")
        assert "golden" in daemon.wait_event("release_step", step="rejected")["reason"]
        daemon.wait_event("release_refused")
        found = release_of(daemon)
        assert found["last_error"]["code"] == "update.quarantined"
        assert (found["active"]["release"], found["quarantined"]) == (0, [1])
        subscribed(broker, "watch/motion")
        frames.send(3)
        assert daemon.lanes("motion") == pids
        assert daemon.stop() == 0


def test_a_release_that_is_slow_is_sent_back_from_its_bake(
    tmp_path: Path, broker: Broker, client: Client, author: Author, frames: Frames
) -> None:
    slow = author.release("motion-int8", "motion", 1, ("  - window:", "  - trouble\n  - window:"))
    author.publish()
    settings = CONFIG + author.settings(bake={"requests": 10_000})
    with Daemon(tmp_path, settings, broker.url, PYTHONPATH=PLUGINS, TROUBLE_SLOW_S="0.06") as daemon:
        daemon.ready()
        subscribed(broker, "watch/motion")
        frames.send(80, SLOW)
        author.push(client, slow)
        daemon.wait_event("release_step", step="serving")
        frames.send(80, SLOW)
        assert " ms at p" in daemon.wait_event("release_step", step="rolled_back")["reason"]
        daemon.wait_event("release_step", step="quarantined")
        daemon.wait_event("release_switched", 2)
        frames.send(3)
        assert frames.versions[-1] == "1.0.0"
        assert release_of(daemon)["active"]["release"] == 0
        assert daemon.stop() == 0


def test_a_release_whose_workers_die_is_sent_back_from_its_bake(
    tmp_path: Path, broker: Broker, client: Client, author: Author, frames: Frames
) -> None:
    deadly = author.release("motion-int8", "motion", 1, ("  - window:", "  - trouble\n  - window:"))
    author.publish()
    settings = CONFIG + author.settings(bake={"requests": 10_000})
    with Daemon(tmp_path, settings, broker.url, PYTHONPATH=PLUGINS) as daemon:
        daemon.ready()
        subscribed(broker, "watch/motion")
        frames.send(5, KILL)
        author.push(client, deadly)
        daemon.wait_event("release_step", step="serving")
        for number in range(3):
            client.publish("watch/motion", window(number, first=KILL), **TENSOR)
        assert "workers died" in daemon.wait_event("release_step", step="rolled_back")["reason"]
        daemon.wait_event("release_switched", 2)
        frames.send(3)
        assert daemon.stop() == 0


def test_the_report_proves_what_is_mapped_and_the_events_tell_the_way(
    tmp_path: Path, broker: Broker, client: Client, author: Author, frames: Frames
) -> None:
    client.subscribe("gw/test/models/#")
    author.publish(author.release("motion-int8", "motion", 1))
    with Daemon(tmp_path, CONFIG + author.settings(bake={"requests": 0}), broker.url) as daemon:
        daemon.ready()
        author.ring(client, "bell-7")

        def committed(said: dict[str, Any]) -> bool:
            motion = said.get("models", {}).get("motion", {})
            rung = said.get("request_id") == "bell-7"
            return rung and motion.get("floor") == 1 and bool(motion["active"]["answering"])

        report, events = reported_and_told(client, committed)
        told = [(event["step"], event["phase"]) for event in events if event["release"] == 1]
        assert told == [
            ("accepted", "fetching"),
            ("fetched", "staged"),
            ("validating", "validating"),
            ("proven", "ready"),
            ("switching", "baking"),
            ("serving", "baking"),
            ("committed", "idle"),
        ]
        assert {(event["device"], event["model"]) for event in events} == {("test", "motion")}
        active = report["models"]["motion"]["active"]
        assert active["release"] == 1
        assert active["digest"] == manifest_digest((author.folder / "motion-1/manifest.json").read_bytes())
        assert set(active["mapped"]) == {str(pid) for pid in daemon.lanes("motion")}
        assert report["trust"]["versions"]["assign"] == 2
        assert daemon.stop() == 0


def reported_and_told(
    client: Client, fits: Callable[[dict[str, Any]], bool]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the first report that fits, and the events until then."""
    events = []
    for message in client.messages():
        said: dict[str, Any] = json.loads(message.payload)
        if message.topic == "gw/test/models/event":
            events.append(said)
        elif message.topic == "gw/test/models/reported" and fits(said):
            return said, events
    raise AssertionError


def test_after_a_switch_from_a_cold_cache_no_request_waits_for_the_disk(
    tmp_path: Path, broker: Broker, client: Client, author: Author
) -> None:
    client.subscribe("gw/test/results/#")
    minute = int(time.time() // 60) % 1440
    later = Window((minute + 120) % 1440, (minute + 180) % 1440)
    author.publish(author.release("efficientnet-lite0-int8", "classifier", 1), window=later)
    config = CONFIG.replace("models:", f"models:\n  classifier: {{path: {MODELS}/efficientnet-lite0-int8}}")
    config = config.replace("pipelines:", "pipelines:\n  what: {model: classifier, ttl_ms: 20000}", 1)
    camera = "    cam: {streams: {frame: {topic: cam/frame, delivery: every}}, pipelines: [what]}\n"
    config = config.replace("  declared:\n", "  declared:\n" + camera)
    with Daemon(tmp_path, config + author.settings(bake={"requests": 0}), broker.url) as daemon:
        daemon.ready()
        daemon.wait_event("release_step", step="proven", model="classifier")
        driven_out = evicted(author.folder / "store/releases/classifier/1/efficientnet_lite0_int8.tflite")
        assert driven_out > 1000, "nothing was in memory: the cache of this file system cannot be emptied"
        author.push(client, window=Window(0, 0))
        daemon.wait_event("release_step", step="serving", model="classifier")
        for _ in range(5):
            client.publish("cam/frame", jpeg())
            assert client.result()["model"]["digest"].startswith("sha256:b4f74083")
        metrics = daemon.page("/metrics")[1].decode()
        faults = [
            line for line in metrics.splitlines() if line.startswith("gateway_worker_major_faults_total{")
        ]
        assert [line for line in faults if not line.endswith(" 0.0")] == []
        assert 'gateway_requests_total{model="classifier",outcome="done"} 5.0' in metrics
        assert daemon.stop() == 0


def evicted(path: Path) -> int:
    """Drive the pages of a file out of memory; return how many went."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        sum(view[:: mmap.PAGESIZE])
        before = resident(view)
        view.close()
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as again:
            return before - resident(again)


def resident(view: mmap.mmap) -> int:
    """Return how many pages of a mapping are in memory."""
    address = np.frombuffer(view, np.uint8).ctypes.data
    pages = (ctypes.c_ubyte * (-(-len(view) // mmap.PAGESIZE)))()
    assert ctypes.CDLL(None).mincore(ctypes.c_void_p(address), ctypes.c_size_t(len(view)), pages) == 0
    return sum(page & 1 for page in pages)


def test_an_update_needs_no_broker_and_is_reported_once_one_is_there(
    tmp_path: Path, broker: Broker, client: Client, author: Author
) -> None:
    author.publish(author.release("motion-int8", "motion", 1))
    with Daemon(tmp_path, CONFIG + author.settings(bake={"requests": 0}), broker.url) as daemon:
        daemon.wait_event("release_step", step="accepted")
        broker.kill()
        daemon.wait_event("release_step", step="committed")
        broker.start()
        with Client(broker.port) as again:
            again.subscribe("gw/test/models/reported")
            again.result(lambda said: said["models"]["motion"]["floor"] == 1)
        assert daemon.stop() == 0


def test_where_a_commit_must_be_told_the_bake_waits_for_the_broker(
    tmp_path: Path, broker: Broker, client: Client, author: Author
) -> None:
    author.publish(author.release("motion-int8", "motion", 1))
    settings = author.settings(bake={"requests": 0, "seconds": 0.2}, report_before_commit=True)
    broker.kill()
    with Daemon(tmp_path, CONFIG + settings, broker.url) as daemon:
        daemon.wait_event("release_step", step="serving")
        time.sleep(1.5)  # several judgements, none of which may commit
        assert "committed" not in steps(daemon)
        broker.start()
        daemon.wait_event("release_step", step="committed")
        assert daemon.stop() == 0
