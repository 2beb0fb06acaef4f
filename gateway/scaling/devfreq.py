"""Load and clock of a Jetson's GPU as sysfs shows them, on every JetPack from 4 to 7.

A node of ``devfreq`` whose device is called as GPUs are in the device tree (Nano to
Orin), or ``gpu-gpc-0`` (Thor). A node may appear after we have started, so it is
looked for at every sample. Load is told beside it, or at fixed places.
"""

from __future__ import annotations

from typing import Final

from gateway.operations.kernel_text import names_in, number_or_none, text_or_none
from gateway.scaling.tegra_reading import DevfreqGpu

_DEVFREQ: Final = "/sys/class/devfreq"
_TREE_NAMES: Final = frozenset({"gpu", "gv11b", "gp10b", "gm20b", "ga10b", "gb10b"})
_THOR: Final = "gpu-gpc-"
_LOADS: Final = (
    "/sys/devices/gpu.0/load",
    "/sys/devices/platform/gpu.0/load",
    "/sys/devices/platform/bus@0/17000000.gpu/load",
    "/sys/devices/platform/17000000.gpu/load",
)
_PER_MILLE: Final = 1000


def read_devfreq(prefix: str) -> DevfreqGpu | None:
    """Return what is shown of the GPU now; None if there is none. Raises nothing."""
    node = _node(prefix)
    load = _load(prefix, node)
    if node is None:
        return DevfreqGpu(load) if load is not None else None
    clock, most = (number_or_none(f"{node}/{name}") for name in ("cur_freq", "max_freq"))
    return DevfreqGpu(load, _positive(clock), _positive(most), text_or_none(f"{node}/governor") or "")


def _node(prefix: str) -> str | None:
    folder = prefix + _DEVFREQ
    names = names_in(folder)
    thor = next((name for name in names if name.startswith(_THOR)), None)
    if thor is not None:
        return f"{folder}/{thor}"
    for name in names:
        tree_name = text_or_none(f"{folder}/{name}/device/of_node/name") or ""
        if tree_name in _TREE_NAMES or name.partition(".")[2] in _TREE_NAMES:
            return f"{folder}/{name}"
    return None


def _load(prefix: str, node: str | None) -> float | None:
    own = (f"{node}/device/load", f"{node}/load") if node is not None else ()
    for path in (*own, *(prefix + each for each in _LOADS)):
        load = number_or_none(path)
        if load is not None and 0 <= load <= _PER_MILLE:
            return load / _PER_MILLE
    return None


def _positive(number: int | None) -> float | None:
    return float(number) if number is not None and number > 0 else None
