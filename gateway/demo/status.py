"""What the gateway's /status says, as far as the demo shows it; lenient about what is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.errors import Malformed


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One stream of a sensor.

    Attributes:
        name: Name within the sensor.
        rate_hz: Frames a second lately; None if unknown.
        frames: Frames that arrived.
        results: Results that went out.
        drops: Frames dropped, by reason.
        p50_ms: Median time from arrival to result; None before the first.
        p99_ms: The same for all but a hundredth.
        last_result: The newest result, as published.
        last_result_age_s: Its age.
    """

    name: str
    rate_hz: float | None = None
    frames: int = 0
    results: int = 0
    drops: Mapping[str, int] = field(default_factory=dict)
    p50_ms: float | None = None
    p99_ms: float | None = None
    last_result: Mapping[str, Any] | None = None
    last_result_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class SensorStatus:
    """One sensor.

    Attributes:
        id: Its id.
        name: Words for people; the id if it has none.
        presence: ``online``, ``stale`` ...
        admission: ``allow``, ``deny``, ``pending`` or empty.
        pipelines: Pipelines that take its frames.
        streams: Its streams.
    """

    id: str
    name: str
    presence: str
    admission: str
    pipelines: tuple[str, ...]
    streams: tuple[StreamStatus, ...]


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model: what it is, what runs it and whether it serves."""

    name: str
    version: str
    digest: str
    engine: str
    state: str


@dataclass(frozen=True, slots=True)
class Status:
    """The gateway at one moment.

    Attributes:
        state: What the gateway says of itself.
        version: Its version.
        sensors: Sensors by id.
        models: Models in the order told.
        model_of: The model of each pipeline.
    """

    state: str
    version: str
    sensors: Mapping[str, SensorStatus]
    models: tuple[ModelStatus, ...]
    model_of: Mapping[str, str]


def read_status(body: bytes) -> Status:
    """Read the JSON of /status.

    Raises:
        Malformed: It is no such JSON.
    """
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"/status: {error}") from error
    root = _mapping(told)
    gateway = _mapping(root.get("gateway"))
    sensors = [_sensor(_mapping(entry)) for entry in _entries(root, "sensors")]
    models = [_mapping(entry) for entry in _entries(root, "models")]
    pipelines = [_mapping(entry) for entry in _entries(root, "pipelines")]
    return Status(
        state=_text(gateway, "state"),
        version=_text(gateway, "version"),
        sensors={sensor.id: sensor for sensor in sensors},
        models=tuple(
            ModelStatus(*(_text(model, key) for key in ("name", "version", "digest", "engine", "state")))
            for model in models
        ),
        model_of={_text(pipeline, "name"): _text(pipeline, "model") for pipeline in pipelines},
    )


def _sensor(told: Mapping[str, Any]) -> SensorStatus:
    name = _text(told, "id")
    return SensorStatus(
        id=name,
        name=_text(told, "name") or name,
        presence=_text(told, "presence"),
        admission=_text(told, "admission"),
        pipelines=tuple(str(pipeline) for pipeline in _entries(told, "pipelines")),
        streams=tuple(_stream(_mapping(entry)) for entry in _entries(told, "streams")),
    )


def _stream(told: Mapping[str, Any]) -> StreamStatus:
    latency = _mapping(told.get("latency_ms") or {})
    drops = _mapping(told.get("drops") or {})
    last = told.get("last_result")
    return StreamStatus(
        name=_text(told, "name"),
        rate_hz=_number(told, "rate_hz"),
        frames=int(_number(told, "frames") or 0),
        results=int(_number(told, "results") or 0),
        drops={reason: int(_number(drops, reason) or 0) for reason in drops},
        p50_ms=_number(latency, "p50"),
        p99_ms=_number(latency, "p99"),
        last_result=last if isinstance(last, dict) else None,
        last_result_age_s=_number(told, "last_result_age_s"),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"/status: an object is expected, not {type(value).__name__}")
    return value


def _entries(holder: Mapping[str, Any], key: str) -> list[Any]:
    value = holder.get(key) or []
    if not isinstance(value, list):
        raise Malformed(f"/status: {key}: a list is expected, not {type(value).__name__}")
    return value


def _text(holder: Mapping[str, Any], key: str) -> str:
    value = holder.get(key)
    return value if isinstance(value, str) else ""


def _number(holder: Mapping[str, Any], key: str) -> float | None:
    value = holder.get(key)
    return float(value) if isinstance(value, int | float) and abs(value) < 1e300 else None
