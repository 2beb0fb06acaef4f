"""What is known of the board is exported under its names, and what is not known is absent, not zero."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.configuration.settings import TelemetrySettings
from gateway.daemon.board_gauges import connect_board_gauges
from gateway.operations.exposition import Exposition
from gateway.operations.metrics import Metrics
from gateway.scaling.host import HostProbe
from gateway.scaling.nvml_reading import NvmlGpu, NvmlReading
from gateway.scaling.sample import BoardReading, Pressure, Sample
from gateway.scaling.sampler import Sampler
from gateway.scaling.tegra import TegraProbe
from tests.scaling import trees

GIB = 1 << 30
OWN = NvmlGpu(0, "NVIDIA RTX A2000", "GPU-1", 6 * GIB, 4 * GIB, 0.37, 1.2e9, 2.1e9, 35.5, 61.0)


class Script:
    """Telemetry of the samples that a test gives, and a library that says one thing."""

    def __init__(self, says: NvmlReading | None = None) -> None:
        self.says = says or NvmlReading(absent="no library")
        self.sample: Sample | None = None
        self.listeners: list[Callable[[Sample], None]] = []

    def latest(self) -> Sample | None:
        return self.sample

    def listen(self, listener: Callable[[Sample], None]) -> None:
        self.listeners.append(listener)

    def give(self, sample: Sample) -> None:
        self.sample = sample
        for listener in self.listeners:
            listener(sample)

    def read(self) -> NvmlReading:
        return self.says

    def close(self) -> None:
        """Nothing is held."""


def _exported(script: Script, metrics: Metrics) -> dict[str, float]:
    text = Exposition(metrics).render("")[0].decode()
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def _board(
    root: Path, name: str, nvml: NvmlReading | None = None, *, triton: bool = False
) -> dict[str, float]:
    script, metrics = Script(nvml), Metrics()
    connect_board_gauges(metrics, script, TelemetrySettings(triton_names=triton))
    script.give(Sampler(HostProbe(trees.build(root, name)), TegraProbe(root), script).read(0.0))
    return _exported(script, metrics)


def test_before_the_first_sample_nothing_is_claimed() -> None:
    script, metrics = Script(), Metrics()
    connect_board_gauges(metrics, script, TelemetrySettings(triton_names=True))
    names = _exported(script, metrics)
    assert not [
        name
        for name in names
        if name.startswith(("gateway_memory_total", "gateway_gpu", "gateway_board", "nv_"))
    ]


def test_a_jetsons_numbers_are_there_under_their_names(tmp_path: Path) -> None:
    told = _board(tmp_path, "orin-jp6")
    total = trees.BOARDS["orin-jp6"].total_kib * 1024
    assert told['gateway_memory_total_bytes{device="host",source="meminfo"}'] == total
    assert told['gateway_memory_used_ratio{device="host",source="meminfo"}'] == pytest.approx(0.4, abs=1e-6)
    assert told['gateway_memory_swap_used_bytes{device="host"}'] == 0
    assert told['gateway_gpu_load_ratio{device="gpu0"}'] == 0.37
    assert told['gateway_gpu_clock_hertz{device="gpu0"}'] == 921.6e6
    assert told['gateway_gpu_temperature_celsius{device="gpu0"}'] == 49.25
    assert told['gateway_gpu_held_bytes{device="gpu0"}'] == 640512 * 1024
    assert told["gateway_board_power_watts"] == pytest.approx(5.6448)
    assert told['gateway_board_rail_power_watts{rail="VDD_SOC"}'] == pytest.approx(1.26)
    assert told['gateway_board_temperature_celsius{zone="cpu-thermal"}'] == 48.5
    assert told['gateway_board_throttled{reason="thermal"}'] == 0
    assert (
        told['gateway_board_info{model="NVIDIA Jetson Orin Nano Developer Kit",power_mode="MAXN_SUPER"}'] == 1
    )
    assert 'gateway_gpu_power_watts{device="gpu0"}' not in told
    assert not [name for name in told if name.startswith("nv_")]


def test_tritons_names_are_there_when_they_are_wanted(tmp_path: Path) -> None:
    told = _board(tmp_path, "pc-gpu", NvmlReading((OWN,)), triton=True)
    assert {name: value for name, value in told.items() if name.startswith("nv_")} == {
        'nv_gpu_utilization{gpu_uuid="GPU-1"}': 0.37,
        'nv_gpu_memory_total_bytes{gpu_uuid="GPU-1"}': 6 * GIB,
        'nv_gpu_memory_used_bytes{gpu_uuid="GPU-1"}': 2 * GIB,
        'nv_gpu_power_usage{gpu_uuid="GPU-1"}': 35.5,
    }


def test_on_a_jetson_tritons_memory_is_the_boards_and_its_label_the_device(tmp_path: Path) -> None:
    told = _board(tmp_path, "orin-jp7", triton=True)
    assert told['nv_gpu_memory_total_bytes{gpu_uuid="gpu0"}'] == trees.BOARDS["orin-jp7"].total_kib * 1024
    assert told['nv_gpu_power_usage{gpu_uuid="gpu0"}'] == 4.0


def test_swapping_and_kills_add_up_over_samples_and_unknown_ones_add_nothing() -> None:
    script, metrics = Script(), Metrics()
    connect_board_gauges(metrics, script, TelemetrySettings())
    for swapped, kills in ((None, None), (5, 1), (7, 0)):
        script.give(Sample(0.0, {}, Pressure(swapped_pages=swapped, oom_kills=kills)))
    told = _exported(script, metrics)
    assert (told["gateway_memory_swapped_pages_total"], told["gateway_memory_oom_kills_total"]) == (12, 1)


def test_every_reason_is_exported_whether_it_holds_or_not() -> None:
    script, metrics = Script(), Metrics()
    connect_board_gauges(metrics, script, TelemetrySettings())
    script.give(Sample(0.0, {}, board=BoardReading(throttled=("over-current",)), troubles=("x",)))
    told = _exported(script, metrics)
    held = {name: value for name, value in told.items() if name.startswith("gateway_board_throttled")}
    assert sorted(held.values()) == [0, 0, 0, 1]
    assert told['gateway_board_throttled{reason="over-current"}'] == 1
    assert told["gateway_telemetry_troubles"] == 1
