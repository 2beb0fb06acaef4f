"""A status page as the gateway told it once, for tests of what reads and shows it."""

from __future__ import annotations

import copy
import json
from typing import Any

CAMERA_RESULT = {
    "v": 1,
    "sensor": "demo-camera",
    "pipeline": "classify",
    "prediction": {
        "kind": "classification",
        "classes": [{"index": 282, "label": "tiger cat", "score": 0.3516}],
    },
}


CAMERA = {
    "id": "demo-camera",
    "name": "Camera",
    "kind": "camera",
    "presence": "online",
    "pipelines": ["classify"],
    "admission": "allow",
    "streams": [
        {
            "name": "frame",
            "rate_hz": 9.98,
            "frames": 60,
            "results": 58,
            "drops": {"superseded": 2},
            "latency_ms": {"p50": 11.2, "p99": 19.75},
            "last_result": CAMERA_RESULT,
            "last_result_age_s": 0.1,
        }
    ],
}

MICROPHONE = {
    "id": "demo-microphone",
    "name": "",
    "presence": "stale",
    "pipelines": ["speech"],
    "admission": "allow",
    "streams": [
        {
            "name": "sound",
            "rate_hz": 0.0,
            "frames": 60,
            "results": 0,
            "drops": {"refused.media": 60},
            "latency_ms": None,
            "last_result": None,
        }
    ],
}

ODD = {"id": "odd", "presence": "announced", "pipelines": [], "admission": "pending", "streams": []}

CLASSIFIER = {
    "name": "efficientnet-lite0",
    "version": "1.0.0",
    "digest": "sha256:b4f7",
    "engine": "litert 2.3.0 xnnpack",
    "state": "serving",
}

FAILED = {"name": "silero-vad", "version": None, "digest": None, "engine": None, "state": "failed"}


def page() -> dict[str, Any]:
    """Return a status with three sensors, one busy, one dropping, one pending; the caller's to change."""
    told = {
        "gateway": {"id": "demo", "version": "0.1.0", "uptime_s": 12.5, "state": "ready"},
        "sensors": [CAMERA, MICROPHONE, ODD],
        "models": [CLASSIFIER, FAILED],
        "pipelines": [
            {"name": "classify", "model": "efficientnet-lite0"},
            {"name": "speech", "model": "silero-vad"},
        ],
    }
    return copy.deepcopy(told)


def body() -> bytes:
    """Return the page as sent."""
    return json.dumps(page()).encode()
