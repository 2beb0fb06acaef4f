"""The gateway is killed in every phase of an update: it finds its way without anybody's help."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.broker import Broker
from tests.system.author import Author
from tests.system.releases import CONFIG, Frames, release_of, steps
from tests.system.running import Client, Daemon, subscribed, until

_PHASES = ("accepted", "fetched", "validating", "proven", "switching", "serving", "committed")


@pytest.mark.slow
@pytest.mark.parametrize("phase", _PHASES)
def test_a_gateway_that_is_killed_in_any_phase_ends_with_the_release_committed(
    tmp_path: Path, broker: Broker, client: Client, author: Author, frames: Frames, phase: str
) -> None:
    author.publish(author.release("motion-int8", "motion", 1))
    settings = CONFIG + author.settings(bake={"requests": 0})
    with Daemon(tmp_path, settings, broker.url) as daemon:
        daemon.wait_event("release_step", step=phase)
        assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        until(lambda: not daemon.left_behind(), "workers and children are gone")
    with Daemon(tmp_path, settings, broker.url) as daemon:
        daemon.ready()
        until(lambda: release_of(daemon)["floor"] == 1, "the release is committed")
        found = release_of(daemon)
        assert (found["phase"], found["active"]["release"], found["quarantined"]) == ("idle", 1, [])
        subscribed(broker, "watch/motion", 1)
        frames.send(3)
        assert frames.versions == ["1.0.0"] * 3
        assert daemon.stop() == 0
        assert not daemon.left_behind()


def test_a_release_that_takes_the_gateway_down_in_its_bake_is_given_up_after_three_starts(
    tmp_path: Path, broker: Broker, client: Client, author: Author, frames: Frames
) -> None:
    author.publish(author.release("motion-int8", "motion", 1))
    settings = CONFIG + author.settings(bake={"seconds": 600})
    with Daemon(tmp_path, settings, broker.url) as daemon:
        daemon.wait_event("release_step", step="serving")
        daemon.stop(signal.SIGKILL)
    for _ in range(3):
        with Daemon(tmp_path, settings, broker.url) as daemon:
            daemon.wait_event("release_step", step="booted")
            daemon.stop(signal.SIGKILL)
    with Daemon(tmp_path, settings, broker.url) as daemon:
        daemon.ready()
        assert "did not last" in daemon.wait_event("release_step", step="given_up")["reason"]
        until(lambda: release_of(daemon)["quarantined"] == [1])
        assert release_of(daemon)["active"]["release"] == 0
        subscribed(broker, "watch/motion")
        frames.send(2)  # each is answered
        assert daemon.stop() == 0


def test_an_orderly_stop_says_nothing_against_a_release_and_its_bake_goes_on(
    tmp_path: Path, broker: Broker, client: Client, author: Author
) -> None:
    author.publish(author.release("motion-int8", "motion", 1))
    settings = CONFIG + author.settings(bake={"seconds": 600})
    with Daemon(tmp_path, settings, broker.url) as daemon:
        daemon.wait_event("release_step", step="serving")
        assert daemon.stop() == 0
    for _ in range(4):
        with Daemon(tmp_path, settings, broker.url) as daemon:
            daemon.ready()
            assert release_of(daemon)["phase"] == "baking"
            assert daemon.stop() == 0
            assert "given_up" not in steps(daemon)


def test_a_committed_release_that_rots_on_the_disk_gives_way_to_the_one_before(
    tmp_path: Path, broker: Broker, client: Client, author: Author, frames: Frames
) -> None:
    settings = CONFIG + author.settings(bake={"requests": 0})
    with Daemon(tmp_path, settings, broker.url) as daemon:
        author.push(client, author.release("motion-int8", "motion", 1))
        daemon.wait_event("release_step", step="committed", release=1)
        author.push(client, author.release("motion-int8", "motion", 2, ("Tells standing", "Knows standing")))
        daemon.wait_event("release_step", step="committed", release=2)
        assert daemon.stop() == 0
    card = author.folder / "store/releases/motion/2/card.yaml"
    damaged = bytearray(card.read_bytes())
    damaged[10] ^= 1
    card.chmod(0o644)
    card.write_bytes(damaged)
    with Daemon(tmp_path, settings, broker.url, "updates.repository=/nowhere") as daemon:
        daemon.ready()
        assert release_of(daemon)["active"]["release"] == 1
        subscribed(broker, "watch/motion")
        frames.send(2)
        assert frames.versions == ["1.0.0"] * 2
        assert daemon.stop() == 0
