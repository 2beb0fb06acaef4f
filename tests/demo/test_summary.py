"""The verdict on a run."""

from __future__ import annotations

import json

from gateway.demo.status import read_status
from gateway.demo.summary import summary
from tests.demo.status_page import CAMERA_RESULT, body, page


def test_the_summary_tells_sensors_and_models() -> None:
    told = summary(read_status(body()), {"demo-camera": 61}, 6.0, "embedded")
    assert told["sensors"]["demo-camera"] == {
        "name": "Camera",
        "presence": "online",
        "published": 61,
        "frames": 60,
        "results": 58,
        "models": ["efficientnet-lite0"],
        "streams": {
            "frame": {
                "frames": 60,
                "results": 58,
                "drops": {"superseded": 2},
                "latency_ms": {"p50": 11.2, "p99": 19.75},
                "last_result": CAMERA_RESULT,
            }
        },
    }
    assert told["models"]["efficientnet-lite0"] == {
        "version": "1.0.0",
        "digest": "sha256:b4f7",
        "engine": "litert 2.3.0 xnnpack",
        "state": "serving",
    }
    assert (told["seconds"], told["broker"]) == (6.0, "embedded")
    assert json.loads(json.dumps(told)) == told


def test_all_is_well_only_if_every_sensor_had_results() -> None:
    status = read_status(body())
    assert summary(status, {"demo-camera": 61}, 6.0, "embedded")["ok"] is True
    assert summary(status, {"demo-camera": 61, "demo-microphone": 60}, 6.0, "embedded")["ok"] is False


def test_a_sensor_that_the_gateway_never_saw_is_not_well() -> None:
    told = summary(read_status(body()), {"demo-camera": 61, "lost": 3}, 6.0, "embedded")
    assert told["ok"] is False
    assert told["sensors"]["lost"] == {
        "presence": "unknown",
        "published": 3,
        "frames": 0,
        "results": 0,
        "streams": {},
    }


def test_no_sensors_at_all_is_not_well() -> None:
    nothing = page() | {"sensors": []}
    assert summary(read_status(json.dumps(nothing).encode()), {}, 6.0, "embedded")["ok"] is False
