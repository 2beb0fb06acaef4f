"""Proves each configured model in a process of its own, as the gateway does at its start."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.configuration.settings import Settings
from gateway.daemon.model_plan import load_spec
from gateway.doctor.rules.models import ModelFacts
from gateway.errors import GatewayError
from gateway.inference.choosing import Chooser, Unheard
from gateway.inference.confine import needs_devices
from gateway.inference.engines.board import Board
from gateway.inference.engines.plugins import CPU

# The service's engine cache is not ours to fill: a GPU's engine is built for this trial alone.
BUILD_LIMIT_S: Final = 900.0


async def read_models(settings: Settings, board: Board) -> list[ModelFacts]:
    """Prove one model after the other: the gateway may be at work.

    Cancel-safe: as ``prove``.
    """
    chooser = Chooser(None, None, Unheard(), lambda: board)
    return [await _read(name, settings, chooser, limit_s(name, settings, board)) for name in settings.models]


def limit_s(name: str, settings: Settings, board: Board) -> float:
    """Return how long one trial of a model may take, in seconds."""
    load_s = settings.models[name].load_timeout_s
    return max(load_s, BUILD_LIMIT_S) if set(board.providers) - {CPU} else load_s


async def _read(name: str, settings: Settings, chooser: Chooser, timeout_s: float) -> ModelFacts:
    model = settings.models[name]
    lives = [each.ttl_ms for each in settings.pipelines.values() if each.model == name]
    try:
        choice = await chooser.choose(load_spec(name, settings), timeout_s=timeout_s)
    except GatewayError as error:
        return ModelFacts(name, model.path, error.message, lanes=model.lanes)
    proof, options = choice.proof, choice.spec.options
    # A worker on a device is not divided, and how its lanes share is settled by whoever owns the device.
    devices = needs_devices(options.providers, options.delegates)
    return ModelFacts(
        name=name,
        folder=model.path,
        engine=proof.version.engine,
        why=choice.candidate.why,
        failed=tuple(str(each) for each in choice.failed),
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
