"""Builds the files that five Jetsons and two PCs show of themselves; a test may rewrite any of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HWMON: Final = "sys/class/hwmon"
THERMAL: Final = "sys/class/thermal"


@dataclass(frozen=True)
class Board:
    """What is particular to one kind of board.

    Attributes:
        model: In its device tree.
        release: The beginning of ``/etc/nv_tegra_release``; empty where there is none.
        total_kib: Memory.
        devfreq: Name of the GPU's node.
        device: Where that node's device lies, below ``/sys``.
        tree_name: The device's name in the device tree.
        load_beside: Whether the node itself has a file of the load (Thor), and not its device.
        zones: Temperatures by zone, in degrees.
        rails: Millivolts and milliamperes by rail.
        iio: Whether the power monitor is behind ``iio``.
        modes: Power modes by number.
        psi: Whether the kernel tells of pressure.
    """

    model: str
    release: str
    total_kib: int
    devfreq: str = ""
    device: str = ""
    tree_name: str = ""
    load_beside: bool = False
    zones: Mapping[str, float] = field(default_factory=dict)
    rails: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    iio: bool = False
    modes: Mapping[int, str] = field(default_factory=dict)
    psi: bool = False


BOARDS: Final[Mapping[str, Board]] = {
    "nano-jp4": Board(
        "NVIDIA Jetson Nano Developer Kit",
        "# R32 (release), REVISION: 7.6",
        4_059_712,
        "57000000.gpu",
        "devices/gpu.0",
        "gpu",
        zones={"AO-therm": 45.5, "CPU-therm": 41.0, "GPU-therm": 39.5},
        rails={"POM_5V_IN": (5000, 530), "POM_5V_GPU": (5000, 40), "POM_5V_CPU": (5000, 200)},
        iio=True,
        modes={0: "MAXN", 1: "5W"},
    ),
    "xavier-jp5": Board(
        "NVIDIA Jetson Xavier NX Developer Kit",
        "# R35 (release), REVISION: 6.4",
        7_000_000,
        "17000000.gv11b",
        "devices/platform/17000000.gv11b",
        "gv11b",
        zones={"CPU-therm": 44.0, "GPU-therm": 43.5},
        rails={"VDD_IN": (5000, 1000), "VDD_CPU_GPU_CV": (5000, 300), "NC": (5000, 7)},
        modes={2: "MODE_15W_6CORE", 8: "MODE_20W_6CORE"},
    ),
    "orin-jp6": Board(
        "NVIDIA Jetson Orin Nano Developer Kit",
        "# R36 (release), REVISION: 4.3",
        7_802_976,
        "17000000.gpu",
        "devices/platform/bus@0/17000000.gpu",
        "gpu",
        zones={"cpu-thermal": 48.5, "gpu-thermal": 49.25, "tj-thermal": 49.25},
        rails={"VDD_IN": (5040, 1120), "VDD_CPU_GPU_CV": (5040, 300), "VDD_SOC": (5040, 250)},
        modes={0: "15W", 1: "25W", 2: "MAXN_SUPER"},
    ),
    "orin-jp7": Board(
        "NVIDIA Jetson AGX Orin Developer Kit",
        "# R39 (release), REVISION: 2.0",
        64_320_800,
        "17000000.gpu",
        "devices/platform/bus@0/17000000.gpu",
        "ga10b",
        zones={"cpu-thermal": 50.0, "gpu-thermal": 51.0},
        rails={"VDD_GPU_SOC": (20_000, 200), "VDD_CPU_CV": (20_000, 100), "VIN_SYS_5V0": (5000, 500)},
        modes={0: "MAXN", 3: "50W"},
        psi=True,
    ),
    "thor-jp7": Board(
        "NVIDIA Jetson AGX Thor Developer Kit",
        "# R38 (release), REVISION: 2.0",
        128_790_092,
        "gpu-gpc-0",
        "devices/platform/gpu-gpc-0",
        "",
        load_beside=True,
        zones={"tj-thermal": 55.0, "gpu-thermal": 54.0},
        rails={"VDD_GPU": (12_000, 1000), "VDD_CPU_SOC_MSS": (12_000, 800)},
        modes={0: "MAXN", 1: "120W"},
        psi=True,
    ),
    "pc": Board("", "", 16_000_000, zones={"x86_pkg_temp": 50.0}, psi=True),
    "pc-gpu": Board("", "", 32_000_000, zones={"x86_pkg_temp": 50.0}, psi=True),
}
JETSONS: Final = tuple(name for name, board in BOARDS.items() if board.release)


def put(root: Path, name: str, content: object) -> Path:
    """Write one file below ``root``."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{content}\n")
    return path


def build(root: Path, name: str, *, load: int = 370) -> Path:
    """Build a board's files below ``root`` and return it.

    Args:
        root: A folder that is empty.
        name: A key of ``BOARDS``.
        load: Busy share of the GPU, per mille.
    """
    board = BOARDS[name]
    meminfo(root, board.total_kib, board.total_kib * 6 // 10)
    put(root, "proc/stat", "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 2 3 4")
    put(root, "proc/vmstat", "nr_free_pages 1\npswpin 10\npswpout 20" + ("\noom_kill 0" if board.psi else ""))
    put(root, "proc/self/cgroup", "0::/" if board.psi else "4:memory:/\n1:name=systemd:/")
    if board.psi:
        pressure(root, 0.0, 0.0)
    for number, (zone, celsius) in enumerate(board.zones.items()):
        put(root, f"{THERMAL}/thermal_zone{number}/type", zone)
        put(root, f"{THERMAL}/thermal_zone{number}/temp", round(celsius * 1000))
    if board.release:
        _jetson(root, board, load)
    return root


def meminfo(root: Path, total_kib: int, available_kib: int, *, zram_used_kib: int = 0) -> None:
    """Say how much memory there is; swap is as large as half of it, and lies in it."""
    put(
        root,
        "proc/meminfo",
        f"MemTotal: {total_kib} kB\nMemFree: 1000 kB\nMemAvailable: {available_kib} kB\nBuffers: 0 kB\n"
        f"Cached: {available_kib // 2} kB\nShmem: 0 kB\nSwapTotal: {total_kib // 2} kB\n"
        f"SwapFree: {total_kib // 2 - zram_used_kib} kB\nNvMapMemUsed: 640512 kB",
    )


def pressure(root: Path, some: float, full: float, name: str = "proc/pressure/memory") -> None:
    """Say for which shares of time memory was waited for, in per cent."""
    lines = (
        f"{kind} avg10={share:.2f} avg60=0.00 avg300=0.00 total=0"
        for kind, share in (("some", some), ("full", full))
    )
    put(root, name, "\n".join(lines))


def cooling(root: Path, number: int, kind: str, state: int) -> None:
    """Add a cooling device, or change its state."""
    put(root, f"{THERMAL}/cooling_device{number}/type", kind)
    put(root, f"{THERMAL}/cooling_device{number}/cur_state", state)


def clock(root: Path, name: str, hertz: int) -> None:
    """Change the GPU's clock; its highest is 921.6 MHz."""
    put(root, f"sys/{BOARDS[name].device}/devfreq/{BOARDS[name].devfreq}/cur_freq", hertz)


def _jetson(root: Path, board: Board, load: int) -> None:
    put(root, "etc/nv_tegra_release", f"{board.release}, GCID: 1, BOARD: t210ref, EABI: aarch64")
    put(root, "sys/firmware/devicetree/base/model", board.model + "\0")
    put(root, "var/lib/nvpmodel/status", f"pmode:{max(board.modes):04} fmode:quiet")
    modes = (
        f"< POWER_MODEL ID={number} NAME={name} >\nCPU_ONLINE CORE_0 1"
        for number, name in board.modes.items()
    )
    put(root, "etc/nvpmodel.conf", "# modes\n" + "\n".join(modes) + "\n< PM_CONFIG DEFAULT=0 >")
    devfreq(root, board, load)
    if board.iio:
        folder = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
        for number, (rail, (milli_v, milli_a)) in enumerate(board.rails.items()):
            put(root, f"{folder}/rail_name_{number}", rail)
            put(root, f"{folder}/in_power{number}_input", milli_v * milli_a // 1000)
        return
    put(root, f"{HWMON}/hwmon1/name", "ina3221")
    for number, (rail, (milli_v, milli_a)) in enumerate(board.rails.items(), 1):
        put(root, f"{HWMON}/hwmon1/in{number}_label", rail)
        put(root, f"{HWMON}/hwmon1/in{number}_input", milli_v)
        put(root, f"{HWMON}/hwmon1/curr{number}_input", milli_a)
        put(root, f"{HWMON}/hwmon1/curr{number}_crit_alarm", 0)
    put(root, f"{HWMON}/hwmon1/in7_label", "Sum of shunt voltages")
    put(root, f"{HWMON}/hwmon1/in7_input", 9)
    put(root, f"{HWMON}/hwmon1/curr7_input", 9000)
    put(root, f"{HWMON}/hwmon2/name", "soctherm_oc")
    put(root, f"{HWMON}/hwmon2/oc1_event_cnt", 3)


def devfreq(root: Path, board: Board, load: int) -> None:
    """Add the GPU's node, which may happen after the start."""
    device = root / "sys" / board.device
    node = device / "devfreq" / board.devfreq
    put(root, f"sys/{board.device}/devfreq/{board.devfreq}/cur_freq", 921_600_000)
    put(root, f"sys/{board.device}/devfreq/{board.devfreq}/max_freq", 921_600_000)
    put(root, f"sys/{board.device}/devfreq/{board.devfreq}/governor", "nvhost_podgov")
    if board.tree_name:
        put(root, f"sys/{board.device}/of_node/name", board.tree_name + "\0")
    put(
        root,
        f"sys/{board.device}" + (f"/devfreq/{board.devfreq}" if board.load_beside else "") + "/load",
        load,
    )
    (node / "device").symlink_to(device)
    names = root / "sys/class/devfreq"
    names.mkdir(parents=True, exist_ok=True)
    (names / board.devfreq).symlink_to(node)
