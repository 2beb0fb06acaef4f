"""Probe of the board: what a Jetson shows of itself in sysfs, and what any machine shows of its heat."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.operations.kernel_text import text_or_none
from gateway.scaling.devfreq import read_devfreq
from gateway.scaling.power_mode import PowerMode
from gateway.scaling.rails import read_rails
from gateway.scaling.tegra_reading import TegraReading
from gateway.scaling.thermal import read_brakes, read_temperatures

_ROOT: Final = Path("/")
_MODELS: Final = ("/sys/firmware/devicetree/base/model", "/proc/device-tree/model")


class TegraProbe:
    """Reads the board below a root; remembers nothing but the files of the power mode."""

    def __init__(self, root: Path = _ROOT) -> None:
        self._prefix = str(root).rstrip("/")
        self._power_mode = PowerMode(self._prefix)

    def read(self) -> TegraReading:
        """Return what the board shows now. Raises nothing; what it does not show is empty or None."""
        prefix = self._prefix
        tegra = is_tegra(prefix)
        return TegraReading(
            tegra,
            board_model(prefix),
            self._power_mode.read() if tegra else "",
            read_temperatures(prefix),
            read_brakes(prefix),
            read_rails(prefix),
            read_devfreq(prefix) if tegra else None,
        )

    def close(self) -> None:
        """Do nothing: no file is kept open."""


def is_tegra(prefix: str) -> bool:
    """Return whether the board is a Jetson. Raises nothing."""
    if text_or_none(f"{prefix}/etc/nv_tegra_release") is not None:
        return True
    family = text_or_none(f"{prefix}/sys/devices/soc0/family") or ""
    return family.lower().startswith("tegra")


def board_model(prefix: str) -> str:
    """Return the board's name in the device tree; empty if it has none."""
    texts = (text_or_none(prefix + path) for path in _MODELS)
    return next((text.replace("\0", "")[:200] for text in texts if text), "")
