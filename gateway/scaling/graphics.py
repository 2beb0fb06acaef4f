"""Puts together what sysfs and NVML say of each graphics processor, under names that stay. Pure.

The integrated one is ``gpu0`` whether NVML knows it or not; sysfs goes first, for on a
Jetson NVML may know no more than its name. Others follow in NVML's order.
"""

from __future__ import annotations

from gateway.scaling.nvml_reading import NvmlGpu, NvmlReading
from gateway.scaling.sample import GpuReading
from gateway.scaling.sources import is_integrated
from gateway.scaling.tegra_reading import TegraReading, gpu_w


def device_names(nvml: NvmlReading, tegra: TegraReading) -> dict[int, str]:
    """Return our name of each GPU by NVML's number."""
    first = [gpu.index for gpu in nvml.gpus if is_integrated(gpu, tegra=tegra.is_tegra)]
    others = [gpu.index for gpu in nvml.gpus if gpu.index not in first]
    begin = 0 if first or tegra.gpu is None else 1
    return {index: f"gpu{begin + place}" for place, index in enumerate([*first, *others])}


def gpu_readings(nvml: NvmlReading, tegra: TegraReading, held_bytes: int | None) -> tuple[GpuReading, ...]:
    """Return every graphics processor, by name.

    Args:
        nvml: What NVML says.
        tegra: What the board shows.
        held_bytes: The board's memory that the driver of an integrated GPU holds; None if unknown.
    """
    names = device_names(nvml, tegra)
    readings = []
    shown = tegra.gpu is not None
    for gpu in sorted(nvml.gpus, key=lambda gpu: int(names[gpu.index][3:])):
        integrated = is_integrated(gpu, tegra=tegra.is_tegra)
        if integrated and shown:
            readings.append(_integrated(names[gpu.index], gpu, tegra, held_bytes))
            shown = False
        else:
            readings.append(_told(names[gpu.index], gpu, integrated=integrated))
    if shown:
        readings.insert(0, _integrated("gpu0", NvmlGpu(0), tegra, held_bytes))
    return tuple(readings)


def _told(device: str, gpu: NvmlGpu, *, integrated: bool) -> GpuReading:
    """Return a GPU as NVML alone tells it."""
    return GpuReading(
        device,
        gpu.name,
        gpu.uuid,
        integrated,
        gpu.load,
        gpu.clock_hz,
        gpu.max_clock_hz,
        gpu.power_w,
        gpu.temperature_c,
        gpu.processes_bytes,
    )


def _integrated(device: str, gpu: NvmlGpu, tegra: TegraReading, held_bytes: int | None) -> GpuReading:
    """Return the board's own GPU: what sysfs shows, and for the rest what NVML tells."""
    shown = tegra.gpu
    assert shown is not None
    zone = next((heat for zone, heat in tegra.temperatures_c.items() if "gpu" in zone.lower()), None)
    rail = gpu_w(tegra.rails.watts)
    return GpuReading(
        device,
        gpu.name or f"{tegra.model or 'Jetson'} GPU",
        gpu.uuid,
        integrated=True,
        load=shown.load if shown.load is not None else gpu.load,
        clock_hz=shown.clock_hz if shown.clock_hz is not None else gpu.clock_hz,
        max_clock_hz=shown.max_clock_hz if shown.max_clock_hz is not None else gpu.max_clock_hz,
        power_w=rail if rail is not None else gpu.power_w,
        temperature_c=zone if zone is not None else gpu.temperature_c,
        processes_bytes=gpu.processes_bytes,
        held_bytes=held_bytes,
    )
