"""Trees of files as boards have them, for tests of what is read there."""

from __future__ import annotations

from pathlib import Path

A57 = "fp asimd evtstrm aes pmull sha1 sha2 crc32"
CARMEL = f"{A57} atomics fphp asimdhp cpuid asimdrdm jscvt fcma lrcpc dcpop"
A78 = f"{CARMEL} asimddp uscat ilrcpc flagm"

NANO = ("nvidia,p3450-0000\0nvidia,tegra210\0", "R32 (release), REVISION: 7.6, GCID: 38, BOARD: t210ref", A57)
TX2 = (
    "nvidia,quill\0nvidia,p2597-0000+p3310-1000\0nvidia,tegra186\0",
    "R32 (release), REVISION: 7.3,",
    A57,
)
XAVIER = ("nvidia,p3509-0000+p3668-0001\0nvidia,tegra194\0", "R35 (release), REVISION: 6.4, GCID: 1", CARMEL)
ORIN = (
    "nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0",
    "R36 (release), REVISION: 4.3,",
    A78,
)
ORIN_JP7 = ("nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0", "R39 (release), REVISION: 2.0, GCID: 4", A78)
THOR = ("nvidia,p4071-0000+p3834-0008\0nvidia,tegra264\0", "R38 (release), REVISION: 2.1, GCID: 4", A78)


def board(root: Path, facts: tuple[str, str, str], *, tensorrt: str = "", mode: str = "") -> Path:
    """Make the files of a board below ``root``."""
    compatible, release, features = facts
    _write(root / "proc/device-tree/compatible", compatible)
    _write(root / "proc/device-tree/model", "NVIDIA Jetson Developer Kit\0")
    _write(root / "etc/nv_tegra_release", f"# {release}\n")
    _write(root / "proc/cpuinfo", f"processor\t: 0\nBogoMIPS\t: 38.40\nFeatures\t: {features}\n")
    _write(root / "proc/meminfo", "MemTotal:        7990140 kB\nMemFree:          100 kB\n")
    if mode:
        _write(root / "var/lib/nvpmodel/status", f"pmode:{mode} fmode:quiet\n")
    if tensorrt:
        _write(root / f"usr/lib/aarch64-linux-gnu/libnvinfer.so.{tensorrt}", "")
        _write(root / f"usr/lib/aarch64-linux-gnu/libnvinfer.so.{tensorrt.partition('.')[0]}", "")
    return root


def runtime(at: Path, version: str, *built: str) -> Path:
    """Make the folder of an onnxruntime package that was built with some providers."""
    _write(
        at / "capi/build_and_package_info.py",
        f"package_name = 'onnxruntime-gpu'\n__version__ = '{version}'\n",
    )
    for name in built:
        _write(at / f"capi/libonnxruntime_providers_{name}.so", "")
    return at


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
