"""Takes one sample of memory and pressure; the place where board and NVML are to be asked as well."""

from __future__ import annotations

import re
import time
from pathlib import Path

from gateway.doctor.readers.text import read_text
from gateway.doctor.rules.gpu import NvmlFacts
from gateway.operations.memory import read_memory
from gateway.scaling.sample import HOST, DeviceMemory, Pressure, Sample, Source


def read_sample(root: Path) -> Sample:
    """Return memory and pressure as they are now; of the board nothing is told here."""
    memory = read_memory(root)
    if memory is None:
        return Sample(time.monotonic(), {}, _pressure(root))
    source = Source.CGROUP if memory.grouped else Source.MEMINFO
    reason = "a control group bounds it" if memory.grouped else "every board has it"
    host = DeviceMemory(HOST, source, reason, memory.total_bytes, memory.available_bytes)
    return Sample(time.monotonic(), {HOST: host}, _pressure(root))


def _pressure(root: Path) -> Pressure:
    shares = {
        kind: float(share) / 100
        for kind, share in re.findall(
            r"^(some|full) avg10=(\d{1,3}\.\d\d)", read_text(root / "proc/pressure/memory"), re.MULTILINE
        )
    }
    if shares:
        return Pressure("psi", shares.get("some"), shares.get("full"))
    return Pressure("vmstat" if "pswpin" in read_text(root / "proc/vmstat") else "none")


def read_nvml() -> NvmlFacts | None:
    """Return what NVML answers, call by call; None where nobody asks it, and then nothing is said."""
    return None
