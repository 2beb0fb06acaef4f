"""Which memory is believed is decided anew at every sample, for a reason that can be told."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.operations.memory_left import HostMemory
from gateway.scaling.nvml_reading import NvmlGpu, NvmlReading
from gateway.scaling.sample import HOST, DeviceMemory, Source
from gateway.scaling.sources import changes, choose

GIB = 1 << 30
BOARD = HostMemory(8 * GIB, 5 * GIB, GIB, 0, grouped=False, machine_bytes=8 * GIB)
OWN = NvmlGpu(0, "NVIDIA RTX A2000", "GPU-1", 6 * GIB, 4 * GIB)
SIZES = st.one_of(st.none(), st.integers(0, 1 << 40))
GPUS = st.builds(
    NvmlGpu,
    st.just(0),
    st.sampled_from(["", "Orin (nvgpu)", "NVIDIA Thor", "RTX"]),
    st.just(""),
    SIZES,
    SIZES,
)
READINGS = st.one_of(
    st.builds(lambda gpu: NvmlReading((gpu,)), GPUS),
    st.sampled_from([NvmlReading(absent="no library"), NvmlReading(trouble="Driver Not Loaded")]),
)


def _choose(nvml: NvmlReading, *, tegra: bool, host: HostMemory | None = BOARD) -> dict[str, DeviceMemory]:
    return choose(host, nvml, {gpu.index: f"gpu{gpu.index}" for gpu in nvml.gpus}, tegra=tegra)


def test_a_gpu_with_memory_of_its_own_stands_beside_the_host() -> None:
    chosen = _choose(NvmlReading((OWN,)), tegra=False)
    assert list(chosen) == [HOST, "gpu0"]
    assert (chosen["gpu0"].source, chosen["gpu0"].total_bytes) == (Source.NVML, 6 * GIB)
    assert chosen["gpu0"].available_bytes == 4 * GIB
    assert (chosen[HOST].source, chosen[HOST].available_bytes) == (Source.MEMINFO, 5 * GIB)


@pytest.mark.parametrize(
    ("gpu", "tegra", "reason"),
    [
        (NvmlGpu(0, "Orin (nvgpu)", total_bytes=8 * GIB, free_bytes=0), True, "shares the board's memory"),
        (NvmlGpu(0, "NVIDIA Thor", total_bytes=1, free_bytes=1), False, "shares the board's memory"),
        (NvmlGpu(0, "NVIDIA GB10", answers={"nvmlDeviceGetMemoryInfo": "Not Supported"}), False, "shares"),
        (
            NvmlGpu(0, "NVIDIA X", answers={"nvmlDeviceGetMemoryInfo": "Not Supported"}),
            False,
            "Not Supported",
        ),
        (NvmlGpu(0, "NVIDIA X", total_bytes=0, free_bytes=0), False, "a total of zero bytes"),
        (NvmlGpu(0, "NVIDIA X", total_bytes=8 * GIB, free_bytes=GIB), True, "the board's own memory"),
        (NvmlGpu(0, "", total_bytes=GIB, free_bytes=GIB), True, "shares the board's memory"),
    ],
)
def test_what_nvml_says_of_shared_memory_is_not_believed(gpu: NvmlGpu, tegra: bool, reason: str) -> None:
    chosen = _choose(NvmlReading((gpu,)), tegra=tegra)
    assert list(chosen) == [HOST]
    assert chosen[HOST].available_bytes == 5 * GIB
    assert reason in chosen[HOST].reason


def test_a_gpu_of_its_own_in_a_jetson_is_believed() -> None:
    assert "gpu0" in _choose(NvmlReading((OWN,)), tegra=True)


@pytest.mark.parametrize(
    "nvml", [NvmlReading(absent="no library"), NvmlReading(trouble="NVML does not answer")]
)
def test_silence_is_the_stated_reason(nvml: NvmlReading) -> None:
    assert nvml.silence in _choose(nvml, tegra=True)[HOST].reason
    assert nvml.silence == _choose(nvml, tegra=False)[HOST].reason


def test_a_control_group_that_bounds_us_is_the_source() -> None:
    host = dataclasses.replace(BOARD, total_bytes=GIB, available_bytes=GIB // 2, grouped=True)
    memory = _choose(NvmlReading(absent="no library"), tegra=False, host=host)[HOST]
    assert (memory.source, memory.used_ratio) == (Source.CGROUP, 0.5)


def test_a_change_is_told_with_its_reason_once() -> None:
    host, both = _choose(NvmlReading(), tegra=False), _choose(NvmlReading((OWN,)), tegra=False)
    assert [(each.device, each.was, each.now) for each in changes({}, host, "")] == [
        (HOST, Source.NONE, Source.MEMINFO)
    ]
    assert changes(both, both, "") == ()
    (gone,) = changes(both, host, "NVML does not answer")
    assert (gone.device, gone.was, gone.now, gone.reason) == (
        "gpu0",
        Source.NVML,
        Source.NONE,
        "NVML does not answer",
    )
    (back,) = changes(host, both, "")
    assert (back.device, back.was, back.now) == ("gpu0", Source.NONE, Source.NVML)


@given(
    st.one_of(st.none(), st.just(BOARD)), st.lists(st.tuples(READINGS, st.booleans()), min_size=1, max_size=6)
)
def test_the_choice_depends_on_this_sample_alone_and_its_numbers_fit(
    host: HostMemory | None, history: list[tuple[NvmlReading, bool]]
) -> None:
    for nvml, tegra in history:
        chosen = _choose(nvml, tegra=tegra, host=host)
        assert chosen == _choose(nvml, tegra=tegra, host=host)
        assert (HOST in chosen) == (host is not None)
        for device, memory in chosen.items():
            assert memory.device == device
            assert memory.reason
            assert memory.total_bytes > 0
            assert 0 <= memory.available_bytes <= memory.total_bytes
            assert 0 <= memory.used_ratio <= 1
            assert (memory.source is Source.NVML) == (device != HOST)
