"""Graphics processors keep their names, and of an integrated one sysfs is believed first."""

from __future__ import annotations

from gateway.scaling.graphics import device_names, gpu_readings
from gateway.scaling.nvml_reading import NvmlGpu, NvmlReading
from gateway.scaling.tegra_reading import DevfreqGpu, Rails, TegraReading

ORIN = NvmlGpu(0, "Orin (nvgpu)")
OWN = NvmlGpu(0, "NVIDIA RTX 6000", "GPU-1", 1 << 34, 1 << 33, load=0.5)
BOARD = TegraReading(
    is_tegra=True,
    model="NVIDIA Jetson AGX Orin",
    temperatures_c={"cpu-thermal": 40.0, "gpu-thermal": 51.0},
    rails=Rails({"VDD_GPU_SOC": 4.0}),
    gpu=DevfreqGpu(0.37, 6e8, 9e8),
)


def test_what_sysfs_shows_goes_before_what_nvml_tells() -> None:
    told = NvmlGpu(0, "Orin (nvgpu)", load=0.0, clock_hz=1.0, temperature_c=1.0, processes_bytes={7: 9})
    (gpu,) = gpu_readings(NvmlReading((told,)), BOARD, 640)
    assert (gpu.device, gpu.name, gpu.integrated) == ("gpu0", "Orin (nvgpu)", True)
    assert (gpu.load, gpu.clock_hz, gpu.max_clock_hz) == (0.37, 6e8, 9e8)
    assert (gpu.temperature_c, gpu.power_w, gpu.held_bytes) == (51.0, 4.0, 640)
    assert gpu.processes_bytes == {7: 9}


def test_what_sysfs_does_not_show_is_taken_from_nvml() -> None:
    board = TegraReading(is_tegra=True, gpu=DevfreqGpu(None, 6e8, 9e8))
    (gpu,) = gpu_readings(
        NvmlReading((NvmlGpu(0, "NVIDIA Thor", load=0.4, temperature_c=52.0),)), board, None
    )
    assert (gpu.load, gpu.temperature_c) == (0.4, 52.0)


def test_the_integrated_one_is_gpu0_whether_nvml_knows_it_or_not() -> None:
    alone = gpu_readings(NvmlReading(absent="no library"), BOARD, None)
    assert [(gpu.device, gpu.integrated) for gpu in alone] == [("gpu0", True)]
    both = gpu_readings(NvmlReading((OWN,)), BOARD, None)
    assert [(gpu.device, gpu.integrated) for gpu in both] == [("gpu0", True), ("gpu1", False)]
    known = NvmlReading((OWN, NvmlGpu(1, "Orin (nvgpu)")))
    assert device_names(known, BOARD) == {1: "gpu0", 0: "gpu1"}
    assert [gpu.name for gpu in gpu_readings(known, BOARD, None)] == ["Orin (nvgpu)", "NVIDIA RTX 6000"]


def test_on_a_pc_the_names_follow_nvml() -> None:
    nvml = NvmlReading((OWN, NvmlGpu(1, "second")))
    assert [gpu.device for gpu in gpu_readings(nvml, TegraReading(), None)] == ["gpu0", "gpu1"]
    assert gpu_readings(NvmlReading(), TegraReading(), None) == ()
