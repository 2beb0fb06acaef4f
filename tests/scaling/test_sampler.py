"""A whole sample of every board, with the library as it is there; nothing is remembered that may change."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.scaling.host import HostProbe
from gateway.scaling.nvml_reading import NvmlGpu, NvmlReading
from gateway.scaling.sample import HOST, Source
from gateway.scaling.sampler import NO_MEMORY, Sampler, machine_sampler
from gateway.scaling.tegra import TegraProbe
from gateway.scaling.throttling import CLOCK, THERMAL
from tests.scaling import trees

GIB = 1 << 30
OWN = NvmlGpu(0, "NVIDIA RTX A2000", "GPU-1", 6 * GIB, 4 * GIB, throttled=(THERMAL,))
NONE = NvmlReading(absent="there is no libnvidia-ml.so.1")


@dataclass
class Script:
    """A library that says what the test says."""

    says: NvmlReading = field(default_factory=NvmlReading)

    def read(self) -> NvmlReading:
        return self.says

    def close(self) -> None:
        """Nothing is held."""


def _sampler(root: Path, nvml: NvmlReading = NONE) -> tuple[Sampler, Script]:
    script = Script(nvml)
    return Sampler(HostProbe(root), TegraProbe(root), script), script


@pytest.mark.parametrize("name", trees.JETSONS)
def test_every_jetsons_memory_is_the_boards_with_a_reason(name: str, tmp_path: Path) -> None:
    board = trees.BOARDS[name]
    sampler, _ = _sampler(trees.build(tmp_path, name))
    sample = sampler.read(12.0)
    assert sample.at_s == 12.0
    assert list(sample.memory) == [HOST]
    assert sample.memory[HOST].source is Source.MEMINFO
    assert "shares the board's memory" in sample.memory[HOST].reason
    assert sample.memory[HOST].total_bytes == board.total_kib * 1024
    assert sample.memory[HOST].used_ratio == pytest.approx(0.4, abs=1e-6)
    (gpu,) = sample.board.gpus
    assert (gpu.device, gpu.load) == ("gpu0", 0.37)
    assert sample.troubles == ()


def test_a_pc_with_a_gpu_has_two_memories_and_the_drivers_word_on_throttling(tmp_path: Path) -> None:
    sampler, _ = _sampler(trees.build(tmp_path, "pc-gpu"), NvmlReading((OWN,)))
    sample = sampler.read(0.0)
    assert list(sample.memory) == [HOST, "gpu0"]
    assert sample.board.throttled == (THERMAL,)


def test_no_answer_latches_whatever_order_they_come_in(tmp_path: Path) -> None:
    sampler, nvml = _sampler(trees.build(tmp_path, "pc-gpu"))
    states = {
        "none": NONE,
        "own": NvmlReading((OWN,)),
        "hangs": NvmlReading(trouble="NVML does not answer"),
        "zero": NvmlReading((NvmlGpu(0, "X", total_bytes=0, free_bytes=0),)),
    }
    seen: dict[str, set[tuple[str, ...]]] = {name: set() for name in states}
    for order in ("none own hangs zero", "zero own none hangs", "hangs own zero none", "own none own zero"):
        for name in order.split():
            nvml.says = states[name]
            seen[name].add(tuple(sampler.read(0.0).memory))
    assert seen == {"none": {(HOST,)}, "own": {(HOST, "gpu0")}, "hangs": {(HOST,)}, "zero": {(HOST,)}}


def test_a_silent_library_is_a_trouble_and_a_missing_one_is_not(tmp_path: Path) -> None:
    sampler, nvml = _sampler(trees.build(tmp_path, "orin-jp6"))
    assert sampler.read(0.0).troubles == ()
    nvml.says = NvmlReading(trouble="NVML does not answer")
    assert sampler.read(0.0).troubles == ("NVML does not answer",)


def test_a_jetson_that_stays_slow_under_load_is_held_back_and_an_idle_one_is_not(tmp_path: Path) -> None:
    root = trees.build(tmp_path, "orin-jp6", load=980)
    sampler, _ = _sampler(root)
    trees.clock(root, "orin-jp6", 306_000_000)
    assert [sampler.read(float(at)).board.throttled for at in range(3)] == [(), (), (CLOCK,)]
    trees.put(root, f"sys/{trees.BOARDS['orin-jp6'].device}/load", 20)
    assert sampler.read(3.0).board.throttled == ()


def test_a_machine_that_tells_nothing_says_so(tmp_path: Path) -> None:
    sampler, _ = _sampler(tmp_path)
    sample = sampler.read(0.0)
    assert sample.memory == {}
    assert sample.troubles == (NO_MEMORY,)


def test_this_very_machine_gives_a_sample() -> None:
    sampler = machine_sampler(nvml=False)
    sample = sampler.read(1.0)
    sampler.close()
    assert sample.memory[HOST].total_bytes > 0
    assert "telemetry.nvml is off" in sample.memory[HOST].reason
