"""Hostile and broken input at the running daemon: counted by reason, and nothing else suffers."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np

from tests.broker import Broker
from tests.system.pictures import jpeg, window
from tests.system.running import MODELS, Client, Daemon, subscribed, until

CONFIG = f"""
gateway: {{id: test}}
models:
  classifier: {{path: {MODELS}/efficientnet-lite0-int8}}
  motion: {{path: {MODELS}/motion-int8}}
pipelines:
  what: {{model: classifier, ttl_ms: 20000}}
  moves: {{model: motion, ttl_ms: 20000}}
sensors:
  declared:
    cam: {{streams: {{frame: {{topic: cam/frame, delivery: every}}}}, pipelines: [what]}}
    watch: {{streams: {{motion: {{topic: watch/motion, delivery: every}}}}, pipelines: [moves]}}
inference: {{max_payload_bytes: 4000000}}
"""


def _png_header(width: int, height: int) -> bytes:
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + bytes(64)
    )


def test_broken_frames_are_counted_by_reason_and_the_next_good_one_is_answered(
    tmp_path: Path, broker: Broker, client: Client
) -> None:
    nan = np.full((100, 6), np.nan, "<f4").tobytes()
    tensor = {"content_type": "application/vnd.gateway.tensor", "dtype": "float32", "shape": "100,6"}
    broken: list[tuple[str, bytes, dict[str, str], str]] = [
        ("cam/frame", jpeg()[:20_000], {}, "refused.malformed"),
        ("cam/frame", _png_header(65_500, 65_500), {}, "refused.too_large"),
        ("cam/frame", b"\xff\xd8\xff" + bytes(100), {}, "refused.malformed"),
        ("cam/frame", b"", {}, "refused.malformed"),
        ("cam/frame", bytes(5_000_000), {}, "refused.too_large"),
        ("cam/frame", b'{"a":' * 50_000, {}, "refused.too_large"),
        ("watch/motion", nan, tensor, "refused.not_finite"),
        ("watch/motion", window()[:-4], tensor, "refused.shape"),
        ("watch/motion", window(), tensor | {"dtype": "complex64"}, "refused.dtype"),
        ("watch/motion", window(), tensor | {"shape": "-5,x"}, "refused.malformed"),
        ("watch/motion", b"[[1, 2], [3, NaN]]", {"content_type": "application/json"}, "refused.not_finite"),
        ("watch/motion", b"\xff\xfe\x00", {"content_type": "application/json"}, "refused.malformed"),
        ("watch/motion", b"\x80\x04\x95pickle", {"content_type": "application/x-pickle"}, "refused.media"),
    ]
    client.subscribe("gw/test/results/#")
    with Daemon(tmp_path, CONFIG, broker.url) as daemon:
        daemon.ready()
        subscribed(broker, "cam/frame")
        subscribed(broker, "watch/motion")
        pids = daemon.lanes("classifier") + daemon.lanes("motion")
        for topic, payload, properties, reason in broken:
            before = daemon.drops().get(reason, 0)
            client.publish(topic, payload, **properties)  # type: ignore[arg-type]
            until(
                lambda reason=reason, before=before: daemon.drops().get(reason, 0) > before,  # type: ignore[misc]
                f"{payload[:20]!r} refused as {reason}; seen {daemon.drops()}",
            )
        client.publish("cam/frame", jpeg())
        assert client.result()["prediction"]["classes"][0]["index"] in {281, 282, 285}
        client.publish("watch/motion", window(), **tensor)  # type: ignore[arg-type]
        assert client.result()["sensor"] == "watch"
        assert daemon.lanes("classifier") + daemon.lanes("motion") == pids  # no worker died of it
        assert daemon.stop() == 0


def test_a_sensor_that_sends_only_rubbish_gets_one_line_in_the_log_and_a_count(
    tmp_path: Path, broker: Broker, client: Client
) -> None:
    client.subscribe("gw/test/results/#")
    with Daemon(tmp_path, CONFIG, broker.url, "log.interval_s=600") as daemon:
        daemon.ready()
        subscribed(broker, "cam/frame")
        rubbish = jpeg()[:20_000]
        for number in range(50):
            client.publish("cam/frame", rubbish + bytes([number]))
        until(lambda: daemon.drops() == {"refused.malformed": 50}, "all are counted")
        client.publish("cam/frame", jpeg())
        assert client.result()["sensor"] == "cam"  # whatever would be logged has been by now
        assert daemon.stop() == 0
    lines = [e for e in daemon.events if e["event"] == "frame_refused"]
    assert [(e["sensor"], e["stream"], e["label"]) for e in lines] == [("cam", "frame", "refused.malformed")]
    (repeated,) = [e for e in daemon.events if e["event"] == "repeated" and e["of"] == "frame_refused"]
    assert repeated["subject"] == {"sensor": "cam", "label": "refused.malformed"}
    assert repeated["count"] == 49


def test_a_frame_id_that_comes_twice_is_answered_once(tmp_path: Path, broker: Broker, client: Client) -> None:
    client.subscribe("gw/test/results/#")
    with Daemon(tmp_path, CONFIG, broker.url) as daemon:
        daemon.ready()
        subscribed(broker, "cam/frame")
        for frame_id in ("one", "one", "two"):
            client.publish("cam/frame", jpeg(), id=frame_id)
        assert [client.result()["frame"]["id"] for _ in range(2)] == ["one", "two"]
        assert daemon.drops() == {"duplicate": 1}
        assert daemon.stop() == 0


def test_hostile_announcements_subscribe_to_nothing_and_are_counted(
    tmp_path: Path, broker: Broker, client: Client
) -> None:
    def announce(sensor_id: str, topic: str) -> None:
        streams = {"frame": {"topic": topic, "media": "image/jpeg"}}
        said = {"v": 1, "id": sensor_id, "kind": "camera", "streams": streams}
        client.publish(f"gw/announce/{sensor_id}", json.dumps(said), retain=True)

    rules = CONFIG.replace(
        "  declared:", "  admission: [{action: allow, kind: camera, pipelines: [what]}]\n  declared:"
    )
    with Daemon(tmp_path, rules, broker.url) as daemon:
        daemon.ready()
        announce("everything", "#")
        announce("broker", "$SYS/broker/uptime")
        announce("ourselves", "gw/test/results/cam/what")
        client.publish("gw/announce/garbage", b"\xff{", retain=True)
        client.publish("gw/announce/huge", b"[" * 200_000, retain=True)
        client.publish("gw/announce/deep", b"[" * 20_000, retain=True)
        announce("good", "good/frame")
        until(lambda: daemon.sensor("good"), "the good one is known")
        known = {sensor["id"] for sensor in daemon.status()["sensors"]}
        assert known == {"cam", "watch", "good"}
        metrics = daemon.page("/metrics")[1].decode()
        for label in ("sensor.topic", "sensor.malformed", "sensor.oversize"):
            assert f'gateway_announcements_refused_total{{label="{label}"}}' in metrics
        assert daemon.stop() == 0


def test_five_thousand_announcements_do_not_hold_up_a_frame(
    tmp_path: Path, broker: Broker, client: Client
) -> None:
    rules = CONFIG.replace(
        "  declared:", "  admission: [{action: allow, kind: lamp, pipelines: [moves]}]\n  declared:"
    )
    for number in range(5000):
        streams = {"value": {"topic": f"lamp/{number}", "media": "application/json"}}
        said = {"v": 1, "id": f"lamp-{number}", "kind": "lamp", "streams": streams}
        client.publish(f"gw/announce/lamp-{number}", json.dumps(said), retain=True, qos=0)
    client.publish("gw/announce/end", b"", retain=True)  # with QoS 1: the broker has the others by then
    client.subscribe("gw/test/results/#")
    with Daemon(tmp_path, rules, broker.url) as daemon:
        daemon.ready()
        subscribed(broker, "cam/frame")
        for number in range(20):  # while they are digested
            client.publish("cam/frame", jpeg(), id=f"f{number}")
        for _ in range(20):
            client.result()
        until(lambda: len(daemon.status()["sensors"]) == 5002, "all are known")
        assert daemon.stop() == 0
