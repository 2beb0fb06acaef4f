"""The result document: what is published for one frame and one pipeline. Pure.

Its JSON Schema is ``docs/schemas/result.schema.json``; a test holds both together.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache

from gateway.frames.prepared import JsonValue
from gateway.inference.request import Timings
from gateway.model import ModelVersion

CONTENT_TYPE = "application/vnd.gateway.result+json"
VERSION = 1


@dataclass(frozen=True, slots=True)
class FrameIdentity:
    """Which frame a result is about.

    Attributes:
        sensor: Sensor id.
        stream: Stream name.
        id: The sender's own id, or one made here.
        seq: The sender's counter; None if it gave none.
        captured_at: The sender's unix seconds; None if it gave none.
        received_at: Our unix seconds at arrival.
        trace_id: 32 hex digits, the sender's or made here.
        correlation: Correlation data of the frame's message, echoed; empty for none.
        trace_flags: Two hex digits, the sender's or made here: whether the trace is sampled.
    """

    sensor: str
    stream: str
    id: str
    seq: int | None
    captured_at: float | None
    received_at: float
    trace_id: str
    correlation: bytes = b""
    trace_flags: str = "01"


def result_id(gateway: str, frame: FrameIdentity, pipeline: str) -> str:
    """Return an id that is the same whenever the same frame is answered by the same pipeline here."""
    parts = f"{gateway}\0{frame.sensor}\0{frame.stream}\0{frame.id}\0{pipeline}"
    return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()


def document(
    gateway: str,
    frame: FrameIdentity,
    pipeline: str,
    version: ModelVersion,
    timings: Timings,
    *,
    prediction: dict[str, JsonValue],
) -> dict[str, JsonValue]:
    """Return the result as plain JSON values."""
    latency = {"total": round(timings.total_ms, 3), "queue": round(timings.queue_ms, 3)}
    latency |= {stage: round(ms, 3) for stage, ms in timings.stages_ms.items()}
    return {
        "v": VERSION,
        "id": result_id(gateway, frame, pipeline),
        "gateway": gateway,
        "sensor": frame.sensor,
        "stream": frame.stream,
        "pipeline": pipeline,
        "frame": {
            "id": frame.id,
            "seq": frame.seq,
            "captured_at": _timestamp(frame.captured_at),
            "received_at": _timestamp(frame.received_at),
        },
        "model": _model(version),
        "prediction": prediction,
        "latency_ms": dict(latency),
        "trace_id": frame.trace_id,
    }


@lru_cache(maxsize=64)
def _model(version: ModelVersion) -> dict[str, JsonValue]:
    return dict(asdict(version))


def encode(result: dict[str, JsonValue]) -> bytes:
    """Return the result as compact UTF-8 JSON."""
    return json.dumps(result, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _timestamp(at: float | None) -> str | None:
    """Return RFC 3339 in UTC with milliseconds; None stays None, as does a time that no calendar has."""
    if at is None:
        return None
    try:
        moment = dt.datetime.fromtimestamp(at, dt.timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
