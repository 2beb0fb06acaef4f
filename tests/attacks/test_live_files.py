"""Whoever is root writes over the files that serve, or lays a replayed repository: what is left serves."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.broker import Broker
from tests.system.author import Author
from tests.system.releases import CONFIG, QUICK, Frames, release_of
from tests.system.running import Daemon, subscribed


def _truncate(path: Path) -> None:
    os.truncate(path, 100)


def _flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-200, os.SEEK_END)
        byte = file.read(1)[0]
        file.seek(-200, os.SEEK_END)
        file.write(bytes([byte ^ 0xFF]))


@pytest.mark.slow
@pytest.mark.parametrize("harm", [_truncate, _flip])
def test_a_serving_file_that_root_writes_over_costs_its_workers_and_is_fetched_again(
    tmp_path: Path, broker: Broker, author: Author, frames: Frames, harm: Callable[[Path], None]
) -> None:
    author.publish(author.release("motion-int8", "motion", 7))
    quick = ("inference.crash_limit=3", "inference.restart_max_s=0.2")
    with Daemon(tmp_path, CONFIG + author.settings(bake=QUICK), broker.url, *quick) as daemon:
        daemon.ready()
        subscribed(broker, "watch/motion")
        daemon.wait_event("release_step", step="committed")
        frames.send(2)
        (model,) = (author.folder / "store/releases/motion/7").glob("*.tflite")
        sound = model.read_bytes()
        harm(model)
        for pid in daemon.lanes("motion"):
            os.kill(pid, signal.SIGKILL)
        daemon.wait_event("release_step", step="fell_back")
        daemon.wait_event("release_switched", release=0)
        daemon.wait_event("release_step", 2, step="committed", release=7)
        frames.send(3)
        assert frames.versions[-1] == "7.0.0"
        assert model.read_bytes() == sound
        assert release_of(daemon)["active"]["release"] == 7
        assert daemon.stop() == 0


@pytest.mark.slow
def test_an_old_repository_is_refused_even_after_a_power_cut_emptied_the_cache(
    tmp_path: Path, broker: Broker, author: Author, frames: Frames
) -> None:
    author.publish(author.release("motion-int8", "motion", 1))
    yesterday = shutil.copytree(author.repository_folder, tmp_path / "yesterday")
    author.publish(author.release("motion-int8", "motion", 2))
    with Daemon(tmp_path, CONFIG + author.settings(bake=QUICK), broker.url) as daemon:
        daemon.ready()
        daemon.wait_event("release_step", step="committed", release=2)
        assert daemon.stop() == 0
    for name in ("timestamp.json", "snapshot.json"):
        for kept in (author.folder / "store/trust").glob(f"gen-*/{name}"):
            kept.chmod(0o644)
            kept.write_bytes(b"")
    settings = author.settings(bake=QUICK, repository=str(yesterday))
    with Daemon(tmp_path, CONFIG + settings, broker.url) as daemon:
        daemon.ready()
        failed = daemon.wait_event("update_look_failed")
        assert failed["label"] == "update.trust"
        assert "was accepted before" in failed["error"]["message"]
        assert release_of(daemon)["active"]["release"] == 2
        subscribed(broker, "watch/motion")
        frames.send(2)
        assert frames.versions == ["2.0.0"] * 2
        assert daemon.stop() == 0


@pytest.mark.slow
def test_a_second_gateway_on_the_same_store_updates_nothing_and_harms_nobody(
    tmp_path: Path, broker: Broker, author: Author, frames: Frames
) -> None:
    author.publish(author.release("motion-int8", "motion", 2))
    settings = CONFIG + author.settings(bake=QUICK)
    (tmp_path / "second").mkdir()
    with Daemon(tmp_path, settings, broker.url) as first:
        first.ready()
        subscribed(broker, "watch/motion")
        first.wait_event("release_step", step="committed")
        pids = first.lanes("motion")
        state = (author.folder / "store/state/motion.json").read_bytes()
        with Daemon(tmp_path / "second", settings.replace("id: test", "id: other"), broker.url) as second:
            second.ready()
            off = second.wait_event("updates_off")
            assert (off["error"]["label"], off["error"]["attributes"]) == (
                "update.busy",
                {"pid": first.process.pid},
            )
            assert not [event for event in second.events if event["event"] == "update_looked"]
            assert second.stop() == 0
        assert (author.folder / "store/state/motion.json").read_bytes() == state
        frames.send(2)
        assert first.lanes("motion") == pids
        assert first.stop() == 0
