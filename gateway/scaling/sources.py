"""Which memory numbers are believed: the board's own, or those of a GPU that has its own memory. Pure.

Chosen anew for every sample, never remembered: a service may start before the
driver, and a driver may come back another one. An integrated GPU shares the board's
memory whatever NVML says, and NVML says of it nothing, zero, or something wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.operations.memory_left import HostMemory
from gateway.scaling.nvml_reading import NvmlGpu, NvmlReading
from gateway.scaling.sample import HOST, DeviceMemory, Source

# Parts of the names under which drivers know GPUs that share the board's memory.
INTEGRATED_NAMES: Final = ("(nvgpu)", "NVIDIA Thor", "GB10", "Tegra", "Orin", "Xavier")
# A claim of memory that is as large as the board's, on a Jetson, is the board's.
_SAME: Final = 0.05


@dataclass(frozen=True, slots=True)
class SourceChange:
    """A device whose numbers come from another place than before."""

    device: str
    was: Source
    now: Source
    reason: str


def shared_because(gpu: NvmlGpu, host: HostMemory | None, *, tegra: bool) -> str:
    """Return why a GPU is not believed to have memory of its own; empty if it is."""
    name = gpu.name or f"GPU {gpu.index}"
    if is_integrated(gpu, tegra=tegra):
        return f"{name} shares the board's memory"
    if gpu.total_bytes is None or gpu.free_bytes is None:
        said = gpu.answers.get("nvmlDeviceGetMemoryInfo") or "no number"
        return f"NVML does not tell the memory of {name}: {said}"
    if gpu.total_bytes == 0:
        return f"NVML tells a total of zero bytes for {name}"
    machine = host.machine_bytes if host is not None else None
    if tegra and machine is not None and abs(gpu.total_bytes - machine) <= _SAME * machine:
        return f"NVML tells the board's own memory for {name}"
    return ""


def is_integrated(gpu: NvmlGpu, *, tegra: bool) -> bool:
    """Return whether a GPU shares the board's memory, by its name; nameless ones do on a Jetson."""
    return any(part in gpu.name for part in INTEGRATED_NAMES) or (tegra and not gpu.name)


def choose(
    host: HostMemory | None, nvml: NvmlReading, devices: Mapping[int, str], *, tegra: bool
) -> dict[str, DeviceMemory]:
    """Return the memory of every device that has some, the host's first.

    Args:
        host: The board's memory; None if the kernel does not tell.
        nvml: What NVML said.
        devices: Our name of each GPU, by NVML's number.
        tegra: Whether the board is a Jetson.
    """
    own: dict[str, DeviceMemory] = {}
    shared: list[str] = []
    for gpu in nvml.gpus:
        because = shared_because(gpu, host, tegra=tegra)
        if because:
            shared.append(because)
            continue
        assert gpu.total_bytes is not None
        assert gpu.free_bytes is not None
        left = min(gpu.total_bytes, gpu.free_bytes)
        reason = f"{gpu.name or 'it'} has memory of its own"
        device = devices[gpu.index]
        own[device] = DeviceMemory(device, Source.NVML, reason, gpu.total_bytes, left)
    if host is None:
        return own
    return {HOST: _host(host, _why(nvml, shared, tegra=tegra)), **own}


def changes(
    before: Mapping[str, DeviceMemory], after: Mapping[str, DeviceMemory], silence: str
) -> tuple[SourceChange, ...]:
    """Return the devices whose numbers come from elsewhere now, or from nowhere.

    Args:
        before: Memory by device in the sample before; empty at the first.
        after: The same now.
        silence: Why a source tells nothing now; empty if that is not known.
    """
    found = []
    for device in sorted(before.keys() | after.keys()):
        was = before[device].source if device in before else Source.NONE
        now = after[device].source if device in after else Source.NONE
        if was is not now:
            gone = silence or "nothing tells of it any more"
            found.append(SourceChange(device, was, now, after[device].reason if device in after else gone))
    return tuple(found)


def _host(host: HostMemory, why: str) -> DeviceMemory:
    return DeviceMemory(
        HOST,
        Source.CGROUP if host.grouped else Source.MEMINFO,
        f"a control group bounds it; {why}" if host.grouped else why,
        host.total_bytes,
        host.available_bytes,
        host.page_cache_bytes,
        host.swap_used_bytes,
    )


def _why(nvml: NvmlReading, shared: list[str], *, tegra: bool) -> str:
    if shared:
        return "; ".join(shared)
    if nvml.gpus:
        return "the board's own, beside that of its GPUs"
    if tegra:
        return f"a Jetson's GPU shares the board's memory ({nvml.silence or 'NVML knows no GPU'})"
    return nvml.silence or "NVML knows no GPU"
