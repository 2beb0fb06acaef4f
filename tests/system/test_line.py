"""From an announcement to a published result, black box."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests.broker import Broker
from tests.system.pictures import jpeg, png, webp, window
from tests.system.running import LIMIT_S, MODELS, Client, Daemon, subscribed, until

CONFIG = f"""
gateway: {{id: test}}
models:
  classifier: {{path: {MODELS}/efficientnet-lite0-int8}}
  motion: {{path: {MODELS}/motion-int8}}
pipelines:
  what: {{model: classifier, ttl_ms: 20000}}
  moves: {{model: motion, ttl_ms: 20000}}
sensors:
  admission:
    - {{action: deny, id: "evil-*"}}
    - {{action: allow, kind: camera, pipelines: [what]}}
    - {{action: allow, kind: accelerometer, pipelines: [moves]}}
"""

CAMERA = {
    "v": 1,
    "id": "cam-1",
    "name": "Door",
    "kind": "camera",
    "streams": {"frame": {"topic": "yard/cam-1/frame", "media": "image/jpeg"}},
    "state": {"topic": "gw/announce/cam-1/state", "online": "ready", "offline": "lost"},
}
WATCH = {
    "v": 1,
    "id": "watch-1",
    "kind": "accelerometer",
    "streams": {
        "motion": {
            "topic": "wrist/motion",
            "media": "application/vnd.gateway.tensor",
            "dtype": "float32",
            "shape": [100, 6],
            "qos": 1,
        }
    },
}


def _announce(client: Client, announcement: dict[str, object]) -> None:
    client.publish(f"gw/announce/{announcement['id']}", json.dumps(announcement), retain=True)


def _bound(daemon: Daemon, broker: Broker, sensor_id: str) -> None:
    until(lambda: (s := daemon.sensor(sensor_id)) and s["admission"] == "admitted", f"{sensor_id} admitted")
    subscribed(broker, {"cam-1": "yard/cam-1/frame", "watch-1": "wrist/motion"}[sensor_id])


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_camera_that_announces_itself_gets_its_cat_named(
    tmp_path: Path, broker: Broker, client: Client, version: str
) -> None:
    client.subscribe("gw/test/#")
    _announce(client, CAMERA)
    client.publish("gw/announce/cam-1/state", "ready", retain=True)
    with Daemon(tmp_path, CONFIG, broker.url, f"mqtt.version={version}") as daemon:
        daemon.ready()
        _bound(daemon, broker, "cam-1")
        client.publish("yard/cam-1/frame", jpeg(), qos=0, id="frame-7", seq="7")
        result = client.result(lambda message: "prediction" in message)
        assert result["prediction"]["kind"] == "classification"
        assert result["prediction"]["classes"][0]["index"] in {281, 282, 285}
        assert (result["sensor"], result["pipeline"]) == ("cam-1", "what")
        assert result["model"]["digest"].startswith("sha256:")
        assert set(result["latency_ms"]) >= {"total", "queue", "decode", "preprocess", "infer", "postprocess"}
        if version == "5":
            assert (result["frame"]["id"], result["frame"]["seq"]) == ("frame-7", 7)
        assert daemon.page("/healthz") == (200, b"ok\n")
        assert daemon.page("/readyz")[0] == 200
        assert b'gateway_results_total{pipeline="what",sensor="cam-1"} 1.0' in daemon.page("/metrics")[1]
        began_s = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began_s < 20
    states = [json.loads(m.payload)["state"] for m in _drain(client) if m[0] == "gw/test/state"]
    assert states[-1] == "stopped"


class _Seen(tuple[str, bytes]):
    """Topic and payload."""

    __slots__ = ()

    @property
    def payload(self) -> bytes:
        return self[1]


def _drain(client: Client) -> list[_Seen]:
    """Return what came so far; a message of our own marks the end."""
    client.publish("gw/test/end", b"end")
    seen: list[_Seen] = []
    for message in client.messages():
        if message.topic == "gw/test/end":
            return seen
        seen.append(_Seen((message.topic, bytes(message.payload))))
    return seen


def test_presence_is_told_retained_and_cleared_by_nothing_but_time(
    tmp_path: Path, broker: Broker, client: Client
) -> None:
    client.subscribe("gw/test/sensor/#")
    with Daemon(tmp_path, CONFIG, broker.url) as daemon:
        daemon.ready()
        _announce(client, CAMERA)
        client.publish("gw/announce/cam-1/state", "ready", retain=True)
        assert client.result(lambda m: m["presence"] == "online")["id"] == "cam-1"
        client.publish("gw/announce/cam-1/state", "lost", retain=True)
        assert client.result(lambda m: m["presence"] == "offline")["was"] == "online"
        assert daemon.stop() == 0


def test_every_form_of_payload_gives_the_same_answer(tmp_path: Path, broker: Broker, client: Client) -> None:
    client.subscribe("gw/test/results/#")
    with Daemon(tmp_path, CONFIG, broker.url) as daemon:
        daemon.ready()
        _announce(client, CAMERA | {"streams": {"frame": {"topic": "yard/cam-1/frame"}}})
        _announce(client, WATCH)
        _bound(daemon, broker, "cam-1")
        _bound(daemon, broker, "watch-1")
        for payload in (jpeg(), png(), webp()):
            client.publish("yard/cam-1/frame", payload)
            assert client.result()["prediction"]["classes"][0]["index"] in {281, 282, 285}
        numbers = np.frombuffer(window(), "<f4").reshape(100, 6)
        client.publish("wrist/motion", window())
        raw = client.result()["prediction"]
        client.publish("wrist/motion", json.dumps(numbers.tolist()), content_type="application/json")
        assert client.result()["prediction"] == raw
        assert daemon.stop() == 0


def test_a_reading_with_qos_1_is_acknowledged_when_its_result_was_handed_on(
    tmp_path: Path, broker: Broker, client: Client
) -> None:
    client.subscribe("gw/test/results/#")
    with Daemon(tmp_path, CONFIG, broker.url, "mqtt.receive_maximum=1") as daemon:
        daemon.ready()
        _announce(client, WATCH)
        _bound(daemon, broker, "watch-1")
        for seed in range(5):  # with a window of one, a missing acknowledgement would stop the flow
            client.publish("wrist/motion", window(seed))
        for _ in range(5):
            client.result()
        assert daemon.stop() == 0


def test_retained_frames_are_never_taken_for_live_ones(
    tmp_path: Path, broker: Broker, client: Client
) -> None:
    client.subscribe("gw/test/results/#")
    client.publish("yard/cam-1/frame", jpeg("coffee"), retain=True)
    _announce(client, CAMERA)
    with Daemon(tmp_path, CONFIG, broker.url, "mqtt.version=3.1.1") as daemon:
        daemon.ready()
        _bound(daemon, broker, "cam-1")
        client.publish("yard/cam-1/frame", jpeg("chelsea"))
        assert client.result()["prediction"]["classes"][0]["index"] in {281, 282, 285}
        assert daemon.sensor("cam-1")["streams"][0]["results"] == 1  # type: ignore[index]
        assert daemon.stop() == 0


def test_a_denied_sensor_is_listed_and_not_run(tmp_path: Path, broker: Broker, client: Client) -> None:
    with Daemon(tmp_path, CONFIG, broker.url) as daemon:
        daemon.ready()
        _announce(client, CAMERA | {"id": "evil-cam"})
        _announce(client, CAMERA | {"id": "lamp", "kind": "lamp"})
        until(lambda: daemon.sensor("evil-cam") and daemon.sensor("lamp"), "both listed")
        assert daemon.sensor("evil-cam")["admission"] == "denied"  # type: ignore[index]
        assert daemon.sensor("lamp")["admission"] == "pending"  # type: ignore[index]
        assert daemon.stop() == 0


def test_a_worker_killed_from_outside_is_replaced_and_the_next_frame_answered(
    tmp_path: Path, broker: Broker, client: Client
) -> None:
    client.subscribe("gw/test/results/#")
    _announce(client, CAMERA)
    with Daemon(tmp_path, CONFIG, broker.url) as daemon:
        daemon.ready()
        _bound(daemon, broker, "cam-1")
        (pid,) = daemon.lanes("classifier")
        os.kill(pid, signal.SIGKILL)
        assert daemon.wait_event("worker_lost", model="classifier")["worker_pid"] == pid
        until(lambda: daemon.lanes("classifier") not in ([], [pid]), "a new lane")
        client.publish("yard/cam-1/frame", jpeg())
        assert client.result()["sensor"] == "cam-1"
        assert daemon.stop() == 0


def test_sigint_stops_it_too_and_a_second_gateway_state_is_offline_after_a_kill(
    tmp_path: Path, broker: Broker, client: Client
) -> None:
    client.subscribe("gw/test/state")
    with Daemon(tmp_path, CONFIG, broker.url) as daemon:
        daemon.ready()
        assert client.result()["state"] == "online"
        assert daemon.stop(signal.SIGINT) == 0
        assert client.result(lambda m: m["state"] != "online")["state"] == "stopped"
    with Daemon(tmp_path, CONFIG, broker.url) as daemon:
        daemon.ready()
        daemon.process.kill()
        daemon.process.wait(LIMIT_S)
        assert client.result(lambda m: m["state"] not in ("online", "stopped"))["state"] == "offline"
        until(lambda: not daemon.left_behind(), "workers end with their parent")


def test_a_broker_that_crashes_costs_no_readiness_and_frames_are_answered_once_it_is_back(
    tmp_path: Path, broker: Broker
) -> None:
    with Daemon(tmp_path, CONFIG, broker.url) as daemon:
        daemon.ready()
        with Client(broker.port) as before:
            _announce(before, CAMERA)
            _bound(daemon, broker, "cam-1")
        broker.kill()
        broker.log.clear()
        daemon.wait_event("mqtt_state", connection="data", state="offline")
        assert daemon.page("/readyz")[0] == 200  # models still answer
        broker.start()
        daemon.wait_event("mqtt_state", 2, connection="data", state="online")
        with Client(broker.port) as after:
            after.subscribe("gw/test/results/#")
            _announce(after, CAMERA)
            _bound(daemon, broker, "cam-1")
            after.publish("yard/cam-1/frame", jpeg())
            assert after.result()["sensor"] == "cam-1"
        assert daemon.stop() == 0


def test_the_gateway_greets_sensors_once_when_it_connects(
    tmp_path: Path, broker: Broker, client: Client
) -> None:
    client.subscribe("gw/hello")
    with Daemon(tmp_path, CONFIG, broker.url) as daemon:
        daemon.ready()
        assert client.result()["id"] == "test"
        assert daemon.stop() == 0
    client.publish("gw/hello", '{"id": "end"}')
    assert client.result()["id"] == "end"
