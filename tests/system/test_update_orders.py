"""Doorbells and orders over MQTT: what they may do, and what they may not."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.broker import Broker
from tests.system.author import Author
from tests.system.releases import CONFIG, QUICK, release_of, steps
from tests.system.running import Client, Daemon, until


def order(client: Client, **words: Any) -> None:
    client.publish("gw/test/models/cmd", json.dumps(words))


def test_the_way_back_to_the_release_before_and_to_the_factory_model_is_one_order_each(
    tmp_path: Path, broker: Broker, client: Client, author: Author
) -> None:
    with Daemon(tmp_path, CONFIG + author.settings(bake=QUICK), broker.url) as daemon:
        daemon.ready()
        for number in (1, 2):
            author.push(client, author.release("motion-int8", "motion", number))
            daemon.wait_event("release_step", step="committed", release=number)
        order(client, do="rollback-to-previous", model="motion")
        until(lambda: release_of(daemon)["active"]["release"] == 1)
        assert release_of(daemon)["floor"] == 2  # it never falls
        order(client, do="rollback-to-previous", model="motion")
        until(lambda: release_of(daemon)["active"]["release"] == 0)
        until(lambda: release_of(daemon)["quarantined"] == [1, 2], "neither is taken again by itself")
        order(client, do="clear", model="motion", release=2)
        until(lambda: release_of(daemon)["active"]["release"] == 2, "what was cleared is taken again")
        assert daemon.stop() == 0


def test_a_pause_holds_over_a_restart_until_somebody_says_resume(
    tmp_path: Path, broker: Broker, client: Client, author: Author
) -> None:
    settings = CONFIG + author.settings(bake=QUICK)
    with Daemon(tmp_path, settings, broker.url) as daemon:
        daemon.ready()
        daemon.wait_event("update_looked")
        order(client, do="pause")
        until(lambda: daemon.status()["updates"]["paused"])
        author.push(client, author.release("motion-int8", "motion", 1))
        daemon.wait_event("update_looked", assignment=1)
        assert daemon.stop() == 0
        assert "accepted" not in steps(daemon)
    with Daemon(tmp_path, settings, broker.url) as daemon:
        daemon.ready()
        daemon.wait_event("update_looked", assignment=1)
        assert "accepted" not in steps(daemon)
        order(client, do="resume")
        daemon.wait_event("release_step", step="committed")
        assert daemon.stop() == 0


def test_every_order_is_answered_where_an_answer_is_wanted(
    tmp_path: Path, broker: Broker, client: Client, author: Author
) -> None:
    client.subscribe("answers/here")
    author.publish(author.release("motion-int8", "motion", 1))
    with Daemon(tmp_path, CONFIG + author.settings(bake=QUICK), broker.url) as daemon:
        daemon.ready()
        daemon.wait_event("release_step", step="committed")

        def answer(payload: bytes) -> dict[str, Any]:
            client.publish("gw/test/models/cmd", payload, response_topic="answers/here")
            return client.result(lambda said: "ok" in said)

        assert answer(b'{"do": "fsck"}')["findings"] == 0
        assert answer(b'{"do": "gc"}')["ok"] is True
        assert answer(b'{"do": "check-now"}')["ok"] is True
        assert answer(b'{"do": "cancel"}')["cancelled"] == []
        assert answer(b'{"do": "rollback-to-previous", "model": "nobody"}')["code"] == "refused.unknown_model"
        assert answer(b'{"do": "install"}')["ok"] is False
        assert answer(b"[" * 5000)["ok"] is False
        assert daemon.stop() == 0


def test_a_broker_in_wrong_hands_costs_a_few_looks_and_nothing_else(
    tmp_path: Path, broker: Broker, client: Client, author: Author
) -> None:
    with Daemon(tmp_path, CONFIG + author.settings(), broker.url) as daemon:
        daemon.ready()
        daemon.wait_event("update_looked")
        pids = daemon.lanes("motion")
        for number in range(300):
            said = {
                "schema": 1,
                "repo": "http://evil.example",
                "assign_version_hint": 99,
                "request_id": f"x{number}",
            }
            client.publish("gw/test/models/desired", json.dumps(said), qos=0)
        client.publish("gw/test/models/desired", b"\xff" * 100_000, retain=True)
        client.publish("gw/group/default/models/desired", b"[" * 3000, retain=True)
        client.publish("gw/test/models/cmd", json.dumps({"do": "pause"}), retain=True)
        time.sleep(2.0)
        looks = [event for event in daemon.events if event["event"] == "update_looked"]
        times = [datetime.fromisoformat(event["time"].removesuffix("Z")) for event in looks]
        # Three at once, and one for every ten seconds, among which the first look itself is not.
        assert 1 <= len(looks) <= 4 + (times[-1] - times[0]).total_seconds() / 10
        assert release_of(daemon)["active"]["release"] == 0
        assert daemon.lanes("motion") == pids
        assert daemon.stop() == 0


def test_a_release_that_nobody_signed_is_not_even_fetched(
    tmp_path: Path, broker: Broker, client: Client, author: Author
) -> None:
    stranger = Author(tmp_path / "stranger")
    stranger.publish(stranger.release("motion-int8", "motion", 1))
    settings = author.settings(repository=str(stranger.repository_folder))
    with Daemon(tmp_path, CONFIG + settings, broker.url) as daemon:
        daemon.ready()
        failed = daemon.wait_event("update_look_failed")
        assert failed["label"] == "update.trust"
        assert daemon.status()["updates"]["trouble"].startswith("update.trust")
        assert release_of(daemon)["active"]["release"] == 0
        assert daemon.stop() == 0
