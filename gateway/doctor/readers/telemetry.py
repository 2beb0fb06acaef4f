"""Takes one sample with the gateway's own telemetry, and asks NVML call by call."""

from __future__ import annotations

import time
from pathlib import Path

from gateway.doctor.rules.gpu import NvmlFacts
from gateway.scaling.nvml_thread import NvmlThread
from gateway.scaling.sample import Sample
from gateway.scaling.sampler import machine_sampler

# Nobody waits in a hurry here: a driver may take its time to wake up.
_LIMIT_S = 5.0


def read_sample(root: Path, *, nvml: bool) -> Sample:
    """Return what the gateway's telemetry says now.

    Args:
        root: Where ``/`` is.
        nvml: Whether NVIDIA's library is asked.
    """
    sampler = machine_sampler(nvml=nvml, root=root)
    try:
        return sampler.read(time.monotonic())
    finally:
        sampler.close()


def read_nvml() -> NvmlFacts:
    """Ask NVML every call that the gateway would use."""
    library = NvmlThread(limit_s=_LIMIT_S)
    try:
        reading = library.read()
    finally:
        library.close()
    devices = {gpu.name or f"GPU {gpu.index}": gpu.answers for gpu in reading.gpus}
    return NvmlFacts(reading.silence, reading.driver, devices)
