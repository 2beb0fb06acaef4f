"""What the shipped configuration serves: three models, a pipeline each, and the sensors that they fit."""

from __future__ import annotations

from typing import Any

# Plain values by path, rendered into the default file below the documented keys.
SHIPPED_BLOCKS: dict[str, dict[str, dict[str, Any]]] = {
    "models": {
        "efficientnet-lite0": {"path": "../models/efficientnet-lite0-int8"},
        "silero-vad": {"path": "../models/silero-vad"},
        "motion": {"path": "../models/motion-int8"},
    },
    "pipelines": {
        "classify": {"model": "efficientnet-lite0"},
        "speech": {"model": "silero-vad"},
        "motion": {"model": "motion"},
    },
}
SHIPPED_ITEMS: dict[str, list[dict[str, Any]]] = {
    "sensors.admission": [
        {"action": "allow", "kind": "camera", "pipelines": ["classify"]},
        {"action": "allow", "kind": "microphone", "pipelines": ["speech"]},
        {"action": "allow", "kind": "accelerometer", "pipelines": ["motion"]},
    ],
}

# Names and values that stand for the reader's own in the commented-out blocks.
NAMES: dict[str, str] = {
    "models": "my-model",
    "pipelines": "my-pipeline",
    "aliases": "my-alias",
    "sensors.declared": "door-camera",
    "sensors.declared.NAME.streams": "frame",
}
SAMPLES: dict[str, Any] = {
    "models.NAME.path": "../models/efficientnet-lite0-int8",
    "pipelines.NAME.model": "efficientnet-lite0",
    "sensors.declared.NAME.streams.NAME.topic": "yard/door-camera/frame",
    "sensors.admission[].action": "allow",
    "aliases.NAME.targets": [],
    "aliases.NAME.targets[].model": "efficientnet-lite0",
    "serving.access.tokens[].name": "my-application",
}
