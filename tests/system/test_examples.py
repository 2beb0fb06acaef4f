"""Every set-up that ships is run and given a frame."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.broker import Broker
from tests.system.pictures import jpeg
from tests.system.running import ROOT, Client, Daemon, subscribed, until

EXAMPLES = ROOT / "config" / "examples"


def _run(name: str, folder: Path, broker: Broker, *overrides: str) -> Daemon:
    """Return a daemon on a copy of a file that ships, beside which its relative paths still lead home."""
    text = (EXAMPLES / name).read_text().replace("../../models", str(ROOT / "models"))
    secret = folder / "credentials"
    secret.mkdir()
    (secret / "mqtt-password").write_text("secret")
    return Daemon(folder, text, broker.url, *overrides, CREDENTIALS_DIRECTORY=str(secret))


def _settled(daemon: Daemon, broker: Broker, *topics: str) -> None:
    """Wait until it is ready and hears what comes to these topics."""
    daemon.ready()
    for topic in topics:
        subscribed(broker, topic)


def test_every_example_is_run_by_a_test_here() -> None:
    tested = {"esp32-camera.yaml", "home-assistant-house.yaml", "several-models.yaml", "vibration-watch.yaml"}
    assert {path.name for path in EXAMPLES.glob("*.yaml")} == tested


def test_one_esp32_camera(tmp_path: Path, broker: Broker, client: Client) -> None:
    client.subscribe("home/front-door/seen")
    with _run("esp32-camera.yaml", tmp_path, broker, "pipelines.doorway.ttl_ms=20000") as daemon:
        _settled(daemon, broker, "esp32cam/front-door/jpg")
        client.publish("esp32cam/front-door/status", "online", retain=True)
        client.publish("esp32cam/front-door/jpg", jpeg(), ttl_ms="20000")
        result = client.result()
        assert result["sensor"] == "front-door"
        assert result["prediction"]["kind"] == "classification"
        until(lambda: (s := daemon.sensor("front-door")) and s["presence"] == "online", "online")
        assert daemon.stop() == 0


def test_a_house_with_home_assistant(tmp_path: Path, broker: Broker, client: Client) -> None:
    client.subscribe("gw/house/results/#")
    camera = {
        "name": "Hall",
        "unique_id": "hall_cam",
        "topic": "hall/cam/image",
        "dev": {"ids": ["hall-cam-1"], "name": "Hall camera"},
        "o": {"name": "cam2mqtt"},
    }
    bedroom = camera | {"unique_id": "bed", "topic": "cam/bedroom/image", "dev": {"ids": ["bed-1"]}}
    client.publish("homeassistant/camera/hall/config", json.dumps(camera), retain=True)
    client.publish("homeassistant/camera/bed/config", json.dumps(bedroom), retain=True)
    overrides = ("pipelines.faces.ttl_ms=20000", "pipelines.scene.ttl_ms=20000")
    with _run("home-assistant-house.yaml", tmp_path, broker, *overrides) as daemon:
        _settled(daemon, broker, "hall/cam/image", "cctv/+/snapshot")
        until(lambda: len(daemon.status()["sensors"]) == 2, "both cameras known")
        admissions = sorted(sensor["admission"] for sensor in daemon.status()["sensors"])
        assert admissions == ["admitted", "denied"]
        client.publish("hall/cam/image", jpeg("astronaut", 512, 512))
        faces = client.result(lambda result: result["pipeline"] == "faces")
        assert faces["prediction"]["objects"][0]["score"] > 0.7
        client.publish("cctv/yard/snapshot", jpeg())
        until(lambda: any(s["admission"] == "pending" for s in daemon.status()["sensors"]), "a learned topic")
        assert daemon.stop() == 0


def test_several_models_on_one_board(tmp_path: Path, broker: Broker, client: Client) -> None:
    client.subscribe("gw/board-1/results/#")
    streams = {"frame": {"topic": "gate/frame", "media": "image/jpeg", "ttl_ms": 20000}}
    gate = {"v": 1, "id": "gate", "kind": "camera", "labels": {"site": "gate"}, "streams": streams}
    sound = {"sound": {"topic": "gate/sound", "media": "audio/pcm", "dtype": "int16", "rate_hz": 16000}}
    microphone = {"v": 1, "id": "mic", "kind": "microphone", "streams": sound}
    moves = {
        "motion": {
            "topic": "wrist",
            "media": "application/vnd.gateway.tensor",
            "dtype": "float32",
            "shape": [100, 6],
            "ttl_ms": 20000,
        }
    }
    watch = {"v": 1, "id": "watch", "kind": "accelerometer", "streams": moves}
    for said in (gate, microphone, watch):
        client.publish(f"gw/announce/{said['id']}", json.dumps(said), retain=True)
    with _run("several-models.yaml", tmp_path, broker) as daemon:
        _settled(daemon, broker, "gate/frame", "gate/sound", "wrist")
        client.publish("gate/frame", jpeg("astronaut", 512, 512))
        seen = {client.result()["pipeline"] for _ in range(2)}
        assert seen == {"faces", "objects"}
        client.publish("gate/sound", np.zeros(3200, "<i2").tobytes())
        assert client.result()["prediction"]["kind"] == "voice"
        window = np.random.default_rng(0).normal(size=(100, 6)).astype("<f4")
        client.publish("wrist", window.tobytes())
        twins = [client.result()["prediction"]["classes"][0]["label"] for _ in range(2)]
        assert len(twins) == 2
        assert daemon.stop() == 0


def test_a_vibration_watch(tmp_path: Path, broker: Broker, client: Client) -> None:
    client.subscribe("plant/+/motion")
    readings = np.random.default_rng(0).normal(size=(120, 6)).round(3)
    with _run("vibration-watch.yaml", tmp_path, broker) as daemon:
        _settled(daemon, broker, "plant/pump-1/imu")
        for ax, ay, az, gx, gy, gz in readings.tolist():
            said = {"acc": {"x": ax, "y": ay, "z": az}, "gyr": {"x": gx, "y": gy, "z": gz}}
            client.publish("plant/pump-1/imu", json.dumps(said))
        result = client.result()
        assert result["sensor"] == "pump-1"
        assert result["prediction"]["kind"] == "classification"
        until(lambda: daemon.sensor("pump-1")["streams"][0]["frames"] == 120, "every reading was taken")  # type: ignore[index]
        assert daemon.drops() == {}
        assert daemon.stop() == 0
