"""Puts what the sensors sent and what the gateway says together into one verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gateway.demo.status import SensorStatus, Status


def summary(status: Status, published: Mapping[str, int], ran_s: float, broker: str) -> dict[str, Any]:
    """Return the JSON summary of a run.

    Args:
        status: The gateway's last status.
        published: Frames that each simulated sensor sent, by sensor id.
        ran_s: Seconds from ready to the end.
        broker: Which broker was used.
    """
    sensors = {
        name: _sensor(status, status.sensors.get(name), count) for name, count in sorted(published.items())
    }
    return {
        "ok": bool(sensors) and all(sensor["results"] > 0 for sensor in sensors.values()),
        "seconds": round(ran_s, 3),
        "broker": broker,
        "gateway": {"version": status.version, "state": status.state},
        "sensors": sensors,
        "models": {model.name: _without_name(asdict(model)) for model in status.models},
    }


def _sensor(status: Status, sensor: SensorStatus | None, published: int) -> dict[str, Any]:
    if sensor is None:
        return {"presence": "unknown", "published": published, "frames": 0, "results": 0, "streams": {}}
    return {
        "name": sensor.name,
        "presence": sensor.presence,
        "published": published,
        "frames": sum(stream.frames for stream in sensor.streams),
        "results": sum(stream.results for stream in sensor.streams),
        "models": sorted({status.model_of.get(pipeline, pipeline) for pipeline in sensor.pipelines}),
        "streams": {
            stream.name: {
                "frames": stream.frames,
                "results": stream.results,
                "drops": dict(stream.drops),
                "latency_ms": {"p50": stream.p50_ms, "p99": stream.p99_ms},
                "last_result": stream.last_result,
            }
            for stream in sensor.streams
        },
    }


def _without_name(model: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in model.items() if key != "name"}
