"""Model releases at the running daemon: offered, proven, switched to without a lost frame, and undone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gateway.updates.release import manifest_digest
from tests.broker import Broker
from tests.system.author import Author
from tests.system.pictures import window
from tests.system.releases import CONFIG, KILL, PLUGINS, SLOW, TENSOR, Frames, release_of, steps
from tests.system.running import Client, Daemon, subscribed


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
    with Daemon(tmp_path, settings, broker.url, PYTHONPATH=PLUGINS, TROUBLE_SLOW_S="0.02") as daemon:
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

        report = client.result(committed)
        active = report["models"]["motion"]["active"]
        assert active["release"] == 1
        assert active["digest"] == manifest_digest((author.folder / "motion-1/manifest.json").read_bytes())
        assert set(active["mapped"]) == {str(pid) for pid in daemon.lanes("motion")}
        assert report["trust"]["versions"]["assign"] == 2
        assert daemon.stop() == 0
