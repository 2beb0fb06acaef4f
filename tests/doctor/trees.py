"""Trees of files as boards have them, and what their commands print: what readers are tried on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

GIB_KB: Final = 1 << 20


@dataclass(frozen=True)
class Recorded:
    """One board.

    Attributes:
        model: As the device tree names it; empty for a machine without one.
        compatible: Names of the device tree.
        release: Of NVIDIA's system.
        kernel: Release of the kernel.
        part: Part number of the processor.
        features: Its instruction sets.
        devices: Device nodes, relative to /dev.
        devfreq: Folder of the GPU's clock; empty without one.
        tree_name: What its device tree node is called.
        clocks: Lowest, current and highest of it, in Hz.
        modes: Power modes by number.
        mode: The one that is on.
        memory_kb: All memory.
        version: Of systemd.
        groups: ``v1`` or ``v2``.
        psi: Whether the kernel tells of pressure.
    """

    model: str
    compatible: tuple[str, ...]
    release: str
    kernel: str
    part: str
    features: str
    devices: tuple[str, ...]
    devfreq: str = ""
    tree_name: str = ""
    clocks: tuple[int, int, int] = (0, 0, 0)
    modes: Mapping[int, str] = field(default_factory=dict)
    mode: int = 0
    memory_kb: int = 8 * GIB_KB
    version: int = 249
    groups: str = "v2"
    psi: bool = False


BOARDS: Final[Mapping[str, Recorded]] = {
    "nano-jp4": Recorded(
        "NVIDIA Jetson Nano Developer Kit", ("nvidia,p3450-0000", "nvidia,jetson-nano", "nvidia,tegra210"),
        "# R32 (release), REVISION: 7.6, GCID: 38171779, BOARD: t210ref, EABI: aarch64", "4.9.337-tegra",
        "0xd07", "fp asimd evtstrm aes pmull sha1 sha2 crc32", ("nvhost-ctrl-gpu", "nvhost-gpu", "nvmap"),
        "57000000.gpu", "gpu", (76_800_000, 76_800_000, 921_600_000), {0: "MAXN", 1: "5W"}, 1,
        4_059_712, 237, "v1",
    ),
    "xavier-jp5": Recorded(
        "NVIDIA Jetson Xavier NX Developer Kit",
        ("nvidia,p3509-0000+p3668-0001", "nvidia,p3449-0000+p3668-0001", "nvidia,tegra194"),
        "# R35 (release), REVISION: 6.4, GCID: 41062509, BOARD: t186ref, EABI: aarch64", "5.10.216-tegra",
        "0x004", "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp",
        ("nvhost-ctrl-gpu", "nvgpu/igpu0/ctrl", "nvmap", "host1x"),
        "17000000.gv11b", "gv11b", (114_750_000, 1_109_250_000, 1_109_250_000),
        {0: "15W_2CORE", 8: "20W_6CORE"}, 8,
        6_872_112, 245, "v1",
    ),
    "orin-jp6": Recorded(
        "NVIDIA Jetson Orin Nano Developer Kit",
        ("nvidia,p3768-0000+p3767-0005", "nvidia,p3767-0005", "nvidia,tegra234"),
        "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64", "5.15.148-tegra",
        "0xd42", "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics asimdhp asimddp",
        ("nvhost-ctrl-gpu", "nvgpu/igpu0/ctrl", "nvmap", "host1x-fence", "dri/renderD128"),
        "17000000.gpu", "gpu", (306_000_000, 306_000_000, 624_750_000),
        {0: "15W", 1: "25W", 2: "MAXN_SUPER"}, 0, 7_802_976, 249,
    ),
    "orin-jp7": Recorded(
        "NVIDIA Jetson AGX Orin Developer Kit",
        ("nvidia,p3737-0000+p3701-0005", "nvidia,p3701-0005", "nvidia,tegra234"),
        "# R39 (release), REVISION: 2.0, GCID: 45111111, BOARD: generic, EABI: aarch64", "6.8.12-tegra",
        "0xd42", "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics asimdhp asimddp",
        ("nvhost-ctrl-gpu", "nvmap", "nvidia0", "nvidiactl", "dri/renderD128"),
        "17000000.gpu", "gpu", (1_300_500_000, 1_300_500_000, 1_300_500_000),
        {0: "MAXN", 1: "15W", 2: "30W", 3: "50W"}, 0, 64_320_800, 255, "v2", True,
    ),
    "thor-jp7": Recorded(
        "NVIDIA Jetson AGX Thor Developer Kit", ("nvidia,p4071-0000+p3834-0008", "nvidia,tegra264"),
        "# R38 (release), REVISION: 2.1, GCID: 42061081, BOARD: generic, EABI: aarch64", "6.8.12-tegra",
        "0xd83", "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics asimdhp asimddp sve2",
        ("nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm", "dri/renderD128"),
        "gpu-gpc-0", "", (315_000_000, 315_000_000, 1_575_000_000),
        {0: "MAXN", 1: "120W"}, 1, 128_800_000, 255, "v2", True,
    ),
    "x86": Recorded(
        "", (), "", "6.1.0-18-amd64", "", "sse2 avx2", (), memory_kb=16 * GIB_KB, version=252, psi=True
    ),
}  # fmt: skip

PASSWD: Final = "root:x:0:0:root:/root:/bin/bash\ngateway:x:998:998::/nonexistent:/usr/sbin/nologin\n"
GROUP: Final = "root:x:0:\nvideo:x:44:{video}\nrender:x:104:{render}\ngateway:x:998:\n"
UNIT: Final = (
    "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nResult=success\n"
    "NRestarts={restarts}\nMainPID={pid}\nUser=gateway\nGroup=gateway\nSupplementaryGroups={groups}\n"
    "DynamicUser=no\nLimitNOFILE=16384\nLimitNOFILESoft=1024\nLimitMEMLOCK=8388608\nLimitMEMLOCKSoft=8388608\n"
    "Environment={environment}\nPrivateDevices={private}\n"
)
LIMITS: Final = (
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max open files            1024                 16384                files     \n"
    "Max locked memory         unlimited            unlimited            bytes     \n"
)


def build(root: Path, name: str, *, members: str = "") -> Path:
    """Make a board's files below ``root``.

    Args:
        root: An empty folder.
        name: A key of ``BOARDS``.
        members: Who is in the groups video and render.
    """
    board = BOARDS[name]
    if board.compatible:
        write(root / "proc/device-tree/model", board.model + "\0")
        write(root / "proc/device-tree/compatible", "\0".join(board.compatible) + "\0")
        write(root / "etc/nv_tegra_release", board.release + "\n")
    write(root / "proc/sys/kernel/osrelease", board.kernel + "\n")
    write(root / "proc/cpuinfo", f"processor\t: 0\nFeatures\t: {board.features}\nCPU part\t: {board.part}\n")
    left = board.memory_kb * 6 // 10
    write(root / "proc/meminfo", f"MemTotal: {board.memory_kb:>14} kB\nMemAvailable: {left:>10} kB\n")
    write(root / "proc/sys/vm/overcommit_memory", "0\n")
    write(root / "proc/swaps", "Filename\t\t\tType\t\tSize\tUsed\tPriority\n")
    write(root / "etc/passwd", PASSWD)
    write(root / "etc/group", GROUP.format(video=members, render=members))
    (root / "run/systemd/system").mkdir(parents=True)
    if board.groups == "v2":
        write(root / "sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n")
    else:
        (root / "sys/fs/cgroup/memory").mkdir(parents=True)
    if board.psi:
        some = "some avg10=0.40 avg60=0.10 avg300=0.00 total=100\n"
        write(root / "proc/pressure/memory", some + some.replace("some", "full").replace("0.40", "0.00"))
    _power(root, board)
    for device in board.devices:
        write(root / "dev" / device, "")
    return root


def _power(root: Path, board: Recorded) -> None:
    if board.modes:
        lines = [f"< POWER_MODEL ID={number} NAME={name} >\n" for number, name in board.modes.items()]
        write(root / "etc/nvpmodel.conf", "".join(lines))
        write(root / "var/lib/nvpmodel/status", f"pmode:{board.mode:04} fmode:quiet\n")
    if board.devfreq:
        folder = root / "sys/class/devfreq" / board.devfreq
        for file, value in zip(("min_freq", "cur_freq", "max_freq"), board.clocks, strict=True):
            write(folder / file, f"{value}\n")
        if board.tree_name:
            write(folder / "device/of_node/name", board.tree_name + "\0")
    zone = root / "sys/class/thermal/thermal_zone0"
    write(zone / "type", "tj-thermal\n")
    write(zone / "temp", "48500\n")
    write(zone / "trip_point_0_type", "passive\n")
    write(zone / "trip_point_0_temp", "99000\n")


def commands(name: str, **unit: str) -> Mapping[tuple[str, ...], str]:
    """Return what commands print on a board: key is the command's beginning.

    Args:
        name: A key of ``BOARDS``.
        unit: Values of the gateway's unit, as ``UNIT`` names them; without any the unit is absent.
    """
    board = BOARDS[name]
    said: dict[tuple[str, ...], str] = {
        ("systemctl", "--version"): f"systemd {board.version} ({board.version}-3ubuntu4)\n+PAM +AUDIT\n"
    }
    given = {"restarts": "0", "pid": "0", "groups": "", "environment": "", "private": "no", **unit}
    shown = UNIT.format(**given) if unit else "LoadState=not-found\nActiveState=inactive\n"
    said["systemctl", "show"] = shown
    if board.modes:
        said["nvpmodel", "-q"] = f"NV Power Mode: {board.modes[board.mode]}\n{board.mode}\n"
    return said


class Commands:
    """Answers as a board's commands do; remembers what was asked."""

    def __init__(self, said: Mapping[Any, str]) -> None:
        self._said = said
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, command: tuple[str, ...]) -> str | None:
        """Return what the command prints; None if the board has no such command."""
        self.asked.append(command)
        return next((text for head, text in self._said.items() if command[: len(head)] == head), None)


def write(path: Path, text: str) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
