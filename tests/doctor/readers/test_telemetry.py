"""Memory and pressure below a root, with the reason of their source."""

from __future__ import annotations

from pathlib import Path

from gateway.doctor.readers.telemetry import read_sample
from gateway.scaling.sample import HOST, Source
from tests.doctor.trees import build, write


def test_memory_and_pressure_are_read_below_the_root(tmp_path: Path) -> None:
    sample = read_sample(build(tmp_path / "a", "orin-jp7"), nvml=False)
    assert sample.memory[HOST].source is Source.MEMINFO
    assert sample.memory[HOST].total_bytes == 64_320_800 * 1024
    assert (sample.pressure.source, sample.pressure.some, sample.pressure.full) == ("psi", 0.004, 0.0)
    plain = build(tmp_path / "b", "nano-jp4")
    assert read_sample(plain, nvml=False).pressure.source == "none"
    write(plain / "proc/vmstat", "pswpin 0\npswpout 0\n")
    assert read_sample(plain, nvml=False).pressure.source == "vmstat"
    assert read_sample(tmp_path / "nothing", nvml=False).memory == {}


def test_a_group_that_bounds_it_is_the_source(tmp_path: Path) -> None:
    root = build(tmp_path, "orin-jp6")
    write(root / "proc/self/cgroup", "0::/gateway\n")
    write(root / "sys/fs/cgroup/gateway/memory.max", f"{2 << 30}\n")
    write(root / "sys/fs/cgroup/gateway/memory.current", f"{1 << 30}\n")
    memory = read_sample(root, nvml=False).memory[HOST]
    assert (memory.source, memory.total_bytes, memory.available_bytes) == (Source.CGROUP, 2 << 30, 1 << 30)
