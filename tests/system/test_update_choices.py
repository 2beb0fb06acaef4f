"""Which boards follow, when, how, with which mates: percentages, windows, shadows, cold switches, sets."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from gateway.updates.assignment import Window
from tests.broker import Broker
from tests.system.author import Author
from tests.system.releases import CONFIG, QUICK, Frames, release_of, steps
from tests.system.running import MODELS, Client, Daemon, subscribed, until

BOTH = CONFIG.replace("models:", f"models:\n  vad: {{path: {MODELS}/silero-vad}}")


def test_a_board_outside_the_percentage_waits_and_a_canary_does_not(
    tmp_path: Path, broker: Broker, client: Client, author: Author
) -> None:
    author.publish(author.release("motion-int8", "motion", 1), percent=0.0)
    with Daemon(tmp_path, CONFIG + author.settings(bake=QUICK), broker.url) as daemon:
        daemon.ready()
        daemon.wait_event("update_looked")
        assert "accepted" not in steps(daemon)
        author.push(client, canary=("test",))
        daemon.wait_event("release_step", step="committed")
        assert daemon.stop() == 0


def test_outside_its_window_a_release_is_proven_and_waits(
    tmp_path: Path, broker: Broker, client: Client, author: Author
) -> None:
    minute = int(time.time() // 60) % 1440
    later = Window((minute + 120) % 1440, (minute + 180) % 1440)
    author.publish(author.release("motion-int8", "motion", 1), window=later)
    with Daemon(tmp_path, CONFIG + author.settings(bake=QUICK), broker.url) as daemon:
        daemon.ready()
        daemon.wait_event("release_step", step="proven")
        until(lambda: release_of(daemon)["phase"] == "ready")
        author.push(client, window=Window(0, 0))
        daemon.wait_event("release_step", step="committed")
        assert daemon.stop() == 0


def test_a_shadow_that_agrees_on_live_frames_opens_the_switch(
    tmp_path: Path, broker: Broker, client: Client, author: Author, frames: Frames
) -> None:
    author.publish(author.release("motion-int8", "motion", 1), shadow_frames=20)
    with Daemon(tmp_path, CONFIG + author.settings(bake=QUICK), broker.url) as daemon:
        daemon.ready()
        subscribed(broker, "watch/motion")
        daemon.wait_event("release_step", step="shadowing")
        until(lambda: _fed(frames) and "agreed" in steps(daemon), "the shadow agreed")
        daemon.wait_event("release_step", step="committed")
        assert daemon.stop() == 0


def test_a_shadow_that_says_otherwise_keeps_the_release_out(
    tmp_path: Path, broker: Broker, client: Client, author: Author, frames: Frames
) -> None:
    other = author.release("motion-int8", "motion", 1)
    labels = other / "labels.txt"
    labels.write_text("\n".join(reversed(labels.read_text().split())) + "\n")
    card = other / "card.yaml"
    card.write_text(card.read_text().split("golden:")[0])  # nothing else would notice
    author.packed(other, "motion", 1)
    author.publish(other, shadow_frames=20)
    with Daemon(tmp_path, CONFIG + author.settings(bake=QUICK), broker.url) as daemon:
        daemon.ready()
        subscribed(broker, "watch/motion")
        daemon.wait_event("release_step", step="shadowing")
        until(lambda: _fed(frames) and "rejected" in steps(daemon), "the shadow disagreed")
        assert "agreement 0.0%" in daemon.wait_event("release_step", step="rejected")["reason"]
        assert release_of(daemon)["active"]["release"] == 0
        assert daemon.stop() == 0


def test_where_memory_is_short_the_old_version_ends_before_the_new_one_starts(
    tmp_path: Path, broker: Broker, client: Client, author: Author, frames: Frames
) -> None:
    author.publish(author.release("motion-int8", "motion", 1))
    scarce = author.settings(bake=QUICK, memory_reserve_bytes=1 << 60)
    with Daemon(tmp_path, CONFIG + scarce, broker.url) as daemon:
        daemon.ready()
        assert daemon.wait_event("release_switched")["how"].startswith("cold: ")
        daemon.wait_event("release_step", step="committed")
        subscribed(broker, "watch/motion")
        frames.send(2)
        assert frames.versions == ["1.0.0"] * 2
        assert daemon.stop() == 0


def test_models_of_a_set_switch_together_or_not_at_all(
    tmp_path: Path, broker: Broker, client: Client, author: Author
) -> None:
    motion = author.release("motion-int8", "motion", 1)
    broken = author.release("silero-vad", "vad", 1, ("speech: false", "speech: true"))
    author.publish(motion, broken, sets=(("motion", "vad"),))
    with Daemon(tmp_path, BOTH + author.settings(bake=QUICK), broker.url) as daemon:
        daemon.ready()
        daemon.wait_event("release_step", step="rejected", model="vad")
        daemon.wait_event("release_step", step="proven", model="motion")
        until(lambda: release_of(daemon)["phase"] == "ready")
        assert "switching" not in steps(daemon)
        author.push(client, author.release("silero-vad", "vad", 2))
        for model in ("motion", "vad"):
            daemon.wait_event("release_step", step="committed", model=model)
        assert daemon.stop() == 0


def test_a_stick_with_a_repository_is_as_good_as_a_server(
    tmp_path: Path, broker: Broker, client: Client, author: Author
) -> None:
    author.publish(author.release("motion-int8", "motion", 1))
    inbox = tmp_path / "stick"
    author.repository.publish(inbox)
    (inbox / "READY").touch()
    settings = author.settings(bake=QUICK, inbox_dir=str(inbox), repository="")
    shutil.rmtree(author.repository_folder / "blobs")
    with Daemon(tmp_path, CONFIG + settings, broker.url) as daemon:
        daemon.ready()
        daemon.wait_event("release_step", step="committed")
        assert daemon.stop() == 0


def test_an_older_release_needs_a_signed_leave_and_its_authors_floor_is_never_undercut(
    tmp_path: Path, broker: Broker, client: Client, author: Author
) -> None:
    first = author.release("motion-int8", "motion", 1)
    second = author.release("motion-int8", "motion", 2)
    author.repository.add(first)
    with Daemon(tmp_path, CONFIG + author.settings(bake=QUICK), broker.url) as daemon:
        daemon.ready()
        author.push(client, second)
        daemon.wait_event("release_step", step="committed", release=2)
        author.assign_again("motion", 1, allow_downgrade=True)
        author.ring(client, "down")
        daemon.wait_event("release_step", step="committed", release=1)
        assert release_of(daemon)["floor"] == 2
        assert daemon.stop() == 0


def _fed(frames: Frames) -> bool:
    frames.send(3)
    return True
