"""Takes one sample of memory and pressure; the place where board and NVML are to be asked as well."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Final

from gateway.doctor.readers.text import read_text
from gateway.doctor.rules.gpu import NvmlFacts
from gateway.operations.meminfo import parse_meminfo
from gateway.operations.memory import available_bytes
from gateway.operations.memory_groups import read_groups, read_membership
from gateway.scaling.sample import HOST, DeviceMemory, Pressure, Sample, Source

_PRESSURE: Final = re.compile(r"^(some|full) avg10=(\d{1,3}\.\d\d)\b", re.ASCII | re.MULTILINE)


def read_sample(root: Path) -> Sample:
    """Return memory and pressure as they are now; of the board nothing is told here."""
    memory = _host(root)
    return Sample(time.monotonic(), {} if memory is None else {HOST: memory}, _pressure(root))


def _host(root: Path) -> DeviceMemory | None:
    machine, left = parse_meminfo(read_text(root / "proc/meminfo")), available_bytes(root)
    if machine is None or left is None:
        return None
    prefix = str(root).rstrip("/")
    limits = [group.limit_bytes for group in read_groups(prefix, read_membership(prefix))]
    if limits and min(limits) < machine.total_bytes:
        return DeviceMemory(HOST, Source.CGROUP, "a control group bounds it", min(limits), left)
    return DeviceMemory(HOST, Source.MEMINFO, "every board has it", machine.total_bytes, left)


def _pressure(root: Path) -> Pressure:
    text = read_text(root / "proc/pressure/memory")
    shares = {kind: float(percent) / 100 for kind, percent in _PRESSURE.findall(text)}
    if shares:
        return Pressure("psi", shares.get("some"), shares.get("full"))
    return Pressure("vmstat" if "pswpin" in read_text(root / "proc/vmstat") else "none")


def read_nvml() -> NvmlFacts | None:
    """Return what NVML answers, call by call; None where nobody asks it, and then nothing is said."""
    return None
