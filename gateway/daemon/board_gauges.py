"""Lets the metrics of memory, board and GPUs be read from the newest sample."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from gateway.configuration.settings import TelemetrySettings
from gateway.operations.metrics import Metrics
from gateway.operations.series import Reading
from gateway.scaling.sample import HOST, DeviceMemory, GpuReading, Sample
from gateway.scaling.throttling import CAUSES


class Telemetry(Protocol):
    """Where samples come from."""

    def latest(self) -> Sample | None:
        """Return the newest sample; None before the first."""
        ...

    def listen(self, listener: Callable[[Sample], None]) -> None:
        """Have every sample handed to ``listener``."""
        ...


def connect_board_gauges(metrics: Metrics, telemetry: Telemetry, settings: TelemetrySettings) -> None:
    """Let every metric of the board be read from ``telemetry``; Triton's names only if wanted."""
    _connect_memory(metrics, telemetry)
    _connect_gpus(metrics, telemetry)
    _connect_board(metrics, telemetry)
    if settings.triton_names:
        _connect_triton(metrics, telemetry)

    def count(sample: Sample) -> None:
        metrics.memory_swapped_pages.add(sample.pressure.swapped_pages or 0)
        metrics.memory_oom_kills.add(sample.pressure.oom_kills or 0)

    telemetry.listen(count)


def _connect_memory(metrics: Metrics, telemetry: Telemetry) -> None:
    def by_source(number: Callable[[DeviceMemory], float | None]) -> Callable[[], Reading]:
        return lambda: [
            ((memory.device, memory.source.value), value)
            for memory in _memories(telemetry)
            if (value := number(memory)) is not None
        ]

    metrics.memory_total.read_from(by_source(lambda memory: memory.total_bytes))
    metrics.memory_available.read_from(by_source(lambda memory: memory.available_bytes))
    metrics.memory_used.read_from(by_source(lambda memory: memory.used_ratio))
    metrics.memory_page_cache.read_from(by_source(lambda memory: memory.page_cache_bytes))
    metrics.memory_swap_used.read_from(
        lambda: [
            ((memory.device,), memory.swap_used_bytes)
            for memory in _memories(telemetry)
            if memory.swap_used_bytes is not None
        ]
    )
    metrics.memory_pressure.read_from(
        lambda: [
            ((kind,), share)
            for sample in _sample(telemetry)
            for kind, share in (("some", sample.pressure.some), ("full", sample.pressure.full))
            if share is not None
        ]
    )


def _connect_gpus(metrics: Metrics, telemetry: Telemetry) -> None:
    def by_device(number: Callable[[GpuReading], float | None]) -> Callable[[], Reading]:
        return lambda: [
            ((gpu.device,), value)
            for sample in _sample(telemetry)
            for gpu in sample.board.gpus
            if (value := number(gpu)) is not None
        ]

    metrics.gpu_load.read_from(by_device(lambda gpu: gpu.load))
    metrics.gpu_clock.read_from(by_device(lambda gpu: gpu.clock_hz))
    metrics.gpu_clock_max.read_from(by_device(lambda gpu: gpu.max_clock_hz))
    metrics.gpu_temperature.read_from(by_device(lambda gpu: gpu.temperature_c))
    metrics.gpu_power.read_from(by_device(lambda gpu: gpu.power_w))
    metrics.gpu_held.read_from(by_device(lambda gpu: gpu.held_bytes))
    metrics.gpu_info.read_from(
        lambda: [
            ((gpu.device, gpu.name, gpu.uuid, "shared" if gpu.integrated else "own"), 1)
            for sample in _sample(telemetry)
            for gpu in sample.board.gpus
        ]
    )


def _connect_board(metrics: Metrics, telemetry: Telemetry) -> None:
    samples = partial(_sample, telemetry)
    metrics.telemetry_age.read_from(lambda: [((), time.monotonic() - each.at_s) for each in samples()])
    metrics.telemetry_troubles.read_from(lambda: [((), len(each.troubles)) for each in samples()])
    metrics.processors_busy.read_from(
        lambda: [((), busy) for each in samples() if (busy := each.board.processors_busy) is not None]
    )
    metrics.board_info.read_from(
        lambda: [((each.board.model, each.board.power_mode), 1) for each in samples()]
    )
    metrics.board_power.read_from(
        lambda: [((), power) for each in samples() if (power := each.board.power_w) is not None]
    )
    metrics.board_rail_power.read_from(
        lambda: [((rail,), power) for each in samples() for rail, power in each.board.rails_w.items()]
    )
    metrics.board_temperature.read_from(
        lambda: [((zone,), heat) for each in samples() for zone, heat in each.board.temperatures_c.items()]
    )
    metrics.board_throttled.read_from(
        lambda: [((cause,), cause in each.board.throttled) for each in samples() for cause in CAUSES]
    )


def _connect_triton(metrics: Metrics, telemetry: Telemetry) -> None:
    def by_uuid(number: Callable[[GpuReading, DeviceMemory | None], float | None]) -> Callable[[], Reading]:
        return lambda: [
            # A Jetson's GPU has no identity; a dashboard needs a label that tells two apart.
            ((gpu.uuid or gpu.device,), value)
            for sample in _sample(telemetry)
            for gpu in sample.board.gpus
            if (value := number(gpu, sample.memory.get(HOST if gpu.integrated else gpu.device))) is not None
        ]

    metrics.nv_gpu_utilization.read_from(by_uuid(lambda gpu, _: gpu.load))
    metrics.nv_gpu_power_usage.read_from(by_uuid(lambda gpu, _: gpu.power_w))
    metrics.nv_gpu_memory_total.read_from(
        by_uuid(lambda _, memory: memory.total_bytes if memory is not None else None)
    )
    metrics.nv_gpu_memory_used.read_from(
        by_uuid(lambda _, memory: memory.total_bytes - memory.available_bytes if memory is not None else None)
    )


def _sample(telemetry: Telemetry) -> tuple[Sample, ...]:
    """Return the newest sample, or nothing before the first."""
    sample = telemetry.latest()
    return () if sample is None else (sample,)


def _memories(telemetry: Telemetry) -> Iterator[DeviceMemory]:
    for sample in _sample(telemetry):
        yield from sample.memory.values()
