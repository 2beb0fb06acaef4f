"""Model updates beside other doings of the daemon: a reload, and a store that somebody else holds."""

from __future__ import annotations

import signal
from pathlib import Path

from gateway.updates.store.store import Store
from tests.broker import Broker
from tests.system.author import Author
from tests.system.releases import CONFIG, QUICK, Frames, release_of, steps
from tests.system.running import MODELS, Client, Daemon, subscribed, until


def _reload(daemon: Daemon, config: str) -> None:
    daemon.config.write_text(config)
    daemon.process.send_signal(signal.SIGHUP)


def test_a_reload_that_is_refused_changes_no_rollout_and_one_that_is_taken_brings_new_models_in(
    tmp_path: Path, broker: Broker, client: Client, author: Author
) -> None:
    author.publish(author.release("motion-int8", "motion", 1), author.release("silero-vad", "vad", 1))
    config = CONFIG + author.settings(bake=QUICK)
    with Daemon(tmp_path, config, broker.url) as daemon:
        daemon.ready()
        daemon.wait_event("release_step", step="committed", model="motion")
        broken = config.replace("motion: {path", "vad: {path").replace("model: motion", "model: vad")
        _reload(daemon, broken.replace("models:", f"models:\n  broken: {{path: {tmp_path}}}"))
        daemon.wait_event("config_refused")
        assert release_of(daemon)["active"]["release"] == 1
        _reload(daemon, config.replace("models:", f"models:\n  vad: {{path: {MODELS}/silero-vad}}"))
        daemon.wait_event("release_step", step="committed", model="vad")
        assert release_of(daemon)["active"]["release"] == 1
        _reload(daemon, config)
        daemon.wait_event("config_reloaded", 2)
        assert release_of(daemon)["active"]["release"] == 1
        assert "rolled_back" not in steps(daemon)
        assert daemon.stop() == 0


def test_lanes_that_a_reload_changes_in_a_bake_are_watched_and_the_release_is_committed(
    tmp_path: Path, broker: Broker, client: Client, author: Author, frames: Frames
) -> None:
    author.publish(author.release("motion-int8", "motion", 1))
    config = CONFIG + author.settings(bake={"requests": 10, "seconds": 1})
    with Daemon(tmp_path, config, broker.url) as daemon:
        daemon.ready()
        daemon.wait_event("release_step", step="serving")
        subscribed(broker, "watch/motion")
        frames.send(2)
        _reload(daemon, config.replace("/motion-int8}", "/motion-int8, max_batch_rows: 2}"))
        daemon.wait_event("config_reloaded")
        frames.send(10)
        daemon.wait_event("release_step", step="committed")
        assert daemon.stop() == 0


def test_a_committed_release_serves_although_another_process_holds_the_store(
    tmp_path: Path, broker: Broker, client: Client, author: Author, frames: Frames
) -> None:
    config = CONFIG + author.settings(bake=QUICK)
    author.publish(author.release("motion-int8", "motion", 7))
    with Daemon(tmp_path, config, broker.url) as daemon:
        daemon.ready()
        daemon.wait_event("release_step", step="committed")
        assert daemon.stop() == 0
    held = Store.open(author.folder / "store", quota_bytes=1 << 30, reserve_bytes=0)
    try:
        with Daemon(tmp_path, config, broker.url) as daemon:
            daemon.ready()
            daemon.wait_event("updates_off")
            subscribed(broker, "watch/motion", 2)
            frames.send(2)
            assert frames.versions[-1] == "7.0.0"
            assert daemon.stop() == 0
    finally:
        held.close()


def test_a_store_that_is_let_go_soon_after_the_start_is_used(
    tmp_path: Path, broker: Broker, client: Client, author: Author
) -> None:
    author.publish(author.release("motion-int8", "motion", 1))
    held = Store.open(author.folder / "store", quota_bytes=1 << 30, reserve_bytes=0)
    with Daemon(tmp_path, CONFIG + author.settings(bake=QUICK), broker.url) as daemon:
        daemon.wait_event("mqtt_state", state="online")
        held.close()
        daemon.wait_event("release_step", step="committed")
        until(lambda: release_of(daemon)["active"]["release"] == 1)
        assert daemon.stop() == 0
