"""Clients of all doors at once, and what goes wrong: every request ends, by a result or a labelled error."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import DiskFull, Quarantined, WorkerCrashed
from tests.broker import Broker
from tests.small_disk import fill, small_disk
from tests.system.author import Author
from tests.system.crowd import MQTT, Crowd
from tests.system.running import LIMIT_S, MODELS, Client, Daemon, subscribed, until

__all__ = ["small_disk"]

REQUESTS = "gw/test/v2/models/+/infer"
CONFIG = f"""
gateway: {{id: test}}
inference: {{restart_min_s: 0.05, restart_max_s: 0.2, crash_limit: 1000}}
scaling: {{enabled: false}}
models:
  motion: {{path: {MODELS}/motion-int8-onnx, lanes: 2}}
  cold: {{path: {MODELS}/motion-int8, load: on_demand}}
"""
# What a request may end by whose worker is killed: in vain, or twice with the same payload.
KILLED = {WorkerCrashed.label, Quarantined.label}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """Return a broker that keeps sessions and messages over its stops."""
    kept = ("persistence true", f"persistence_location {tmp_path}/", "max_inflight_messages 20")
    with Broker("log_type subscribe", *kept) as running:
        yield running


def opened(daemon: Daemon, folder: Path, broker: Broker) -> Crowd:
    daemon.ready()
    subscribed(broker, REQUESTS)
    return Crowd(daemon, folder / "memory", broker.port)


def door_of(folder: Path) -> str:
    return f"serving.shared_memory.socket={folder}/memory"


def kill(daemon: Daemon, *indexes: int) -> None:
    """Kill lanes of the model, and wait until as many are ready as before: one that starts is none yet."""
    lanes = daemon.lanes("motion")
    gone = {lanes[index] for index in indexes}
    for pid in gone:
        os.kill(pid, signal.SIGKILL)

    def are_back() -> bool:
        (held,) = (each["lanes"] for each in daemon.status()["models"] if each["name"] == "motion")
        return (len({*held["pids"]} - gone), held["ready"]) == (len(lanes), len(lanes))

    until(are_back, "as many lanes as before")


def restarts(daemon: Daemon) -> int:
    lines = daemon.page("/metrics")[1].decode().splitlines()
    found = [line for line in lines if line.startswith('gateway_worker_restarts_total{model="motion"')]
    return sum(int(float(line.rpartition(" ")[2])) for line in found)


def test_every_request_has_an_end_while_workers_are_killed(tmp_path: Path, broker: Broker) -> None:
    with Daemon(tmp_path, CONFIG, broker.url, door_of(tmp_path)) as daemon:
        with opened(daemon, tmp_path, broker) as crowd:
            for indexes in ((0,), (1,), (0, 1), (0,), (0, 1)):
                kill(daemon, *indexes)
                crowd.goes_on()
        assert crowd.labels() <= KILLED, crowd.ended
        assert restarts(daemon) == 7
        assert daemon.stop() == 0


def test_every_request_has_an_end_though_the_broker_stops_and_the_other_doors_go_on(
    tmp_path: Path, broker: Broker
) -> None:
    with Daemon(tmp_path, CONFIG, broker.url, door_of(tmp_path)) as daemon:
        with opened(daemon, tmp_path, broker) as crowd:
            for times in (1, 2, 3):
                broker.stop()
                daemon.wait_event("mqtt_state", times, connection="requests", state="offline")
                crowd.goes_on(MQTT)
                kill(daemon, 0)
                crowd.goes_on(MQTT)
                broker.start()
                crowd.goes_on()
        assert crowd.labels() <= KILLED, crowd.ended
        assert daemon.stop() == 0


def test_every_request_has_an_end_while_the_disk_is_full(
    tmp_path: Path, broker: Broker, client: Client, disk: Path
) -> None:
    author = Author(tmp_path)
    author.publish()
    settings = CONFIG + author.settings(store_dir=str(disk / "store"), bake={"seconds": 0.5, "requests": 0})
    cache = f"gateway.cache_dir={disk}/cache"
    with Daemon(tmp_path, settings, broker.url, door_of(tmp_path), cache) as daemon:
        with opened(daemon, tmp_path, broker) as crowd:
            daemon.wait_event("update_looked")
            filler = fill(disk)
            author.push(client, author.release("motion-int8-onnx", "motion", 1))
            daemon.wait_event("update_look_failed", label=DiskFull.label)
            kill(daemon, 0)
            kill(daemon, 0, 1)
            crowd.goes_on()
            assert ordered(daemon, "models/cold/load") == ""
            assert ordered(daemon, "models/motion/load") in ("", DiskFull.label)
            crowd.goes_on()
            filler.unlink()
            author.ring(client, "again")
            daemon.wait_event("release_step", step="fetched")
            crowd.goes_on()
        assert crowd.labels() <= KILLED, crowd.ended
        daemon.wait_event(
            "release_step", step="committed"
        )  # proofs give way to whoever asks: now nobody does
        assert daemon.stop() == 0


def ordered(daemon: Daemon, what: str) -> str:
    """Give an order of the repository; return the label of the error that it ended by."""
    connection = http.client.HTTPConnection(daemon.http, timeout=LIMIT_S)
    with contextlib.closing(connection):
        connection.request("POST", f"/v2/repository/{what}", "{}")
        answer = connection.getresponse()
        said = answer.read()
        return "" if answer.status == 200 else str(json.loads(said)["label"])
