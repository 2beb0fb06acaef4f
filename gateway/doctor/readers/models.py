"""Proves each configured model in a process of its own, as the gateway does at its start."""

from __future__ import annotations

from pathlib import Path

from gateway.configuration.settings import Settings
from gateway.daemon.model_plan import load_spec
from gateway.doctor.rules.models import ModelFacts
from gateway.errors import GatewayError
from gateway.inference.confine import needs_devices
from gateway.inference.proof import prove


async def read_models(settings: Settings) -> list[ModelFacts]:
    """Prove one model after the other: the board may be at work.

    Cancel-safe: as ``prove``.
    """
    return [await _read(name, settings) for name in settings.models]


async def _read(name: str, settings: Settings) -> ModelFacts:
    model = settings.models[name]
    # A worker on a device is not divided, and how its lanes share is settled by whoever owns the device.
    devices = needs_devices(model.providers, model.delegates)
    lives = [each.ttl_ms for each in settings.pipelines.values() if each.model == name]
    try:
        proof = await prove(load_spec(name, settings), timeout_s=model.load_timeout_s)
    except GatewayError as error:
        return ModelFacts(name, model.path, error.message, lanes=model.lanes)
    return ModelFacts(
        name=name,
        folder=model.path,
        engine=proof.version.engine,
        latency_ms=proof.latency_ms,
        p99_ms=proof.p99_ms,
        load_s=proof.load_s,
        memory_bytes=proof.memory_bytes,
        lanes=model.lanes,
        ttl_ms=min(lives, default=None),
        shares=None if devices else model.threads == 1,
    )


def model_bytes(settings: Settings) -> int:
    """Return the size of all files of the models; those that cannot be read count as 0."""
    total = 0
    for model in settings.models.values():
        try:
            files = [
                path for path in Path(model.path).iterdir() if path.suffix in {".onnx", ".tflite", ".data"}
            ]
            total += sum(path.stat().st_size for path in files)
        except OSError:
            continue
    return total
