"""What this board offers to models: GPU, processor, releases, and what the installed runtime was built with.

Everything is read from files: no library of CUDA or of a runtime is loaded, so the
front end may ask. What a build was made with is not what runs: only a proof says that.
"""

from __future__ import annotations

import contextlib
import platform
import re
from importlib import util
from pathlib import Path
from typing import Final

from gateway.inference.engines.board import Board
from gateway.inference.engines.plugins import CPU, CUDA, TENSORRT
from gateway.inference.engines.precision import Processor
from gateway.operations.kernel_bytes import kernel_bytes

# Compute capability by SoC, as the last names of the device tree's ``compatible`` say it.
SM_OF_SOC: Final = {
    "tegra210": 53,  # Nano, TX1
    "tegra186": 62,  # TX2
    "tegra194": 72,  # Xavier
    "tegra234": 87,  # Orin
    "tegra264": 110,  # Thor
}
# JetPack's first number by L4T's.
JETPACK_OF_L4T: Final = {32: 4, 34: 5, 35: 5, 36: 6, 38: 7, 39: 7}

_COMPATIBLE: Final = ("proc/device-tree/compatible", "sys/firmware/devicetree/base/compatible")
_MODEL: Final = ("proc/device-tree/model", "sys/firmware/devicetree/base/model")
_RELEASE: Final = "etc/nv_tegra_release"
_POWER_MODE: Final = "var/lib/nvpmodel/status"
_LIBRARIES: Final = ("usr/lib/aarch64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/local/lib")
_PROVIDER_FILES: Final = {
    TENSORRT: "libonnxruntime_providers_tensorrt.so",
    CUDA: "libonnxruntime_providers_cuda.so",
}
# Nodes of drivers: of cards, of boards until JetPack 5, and since.
_DEVICES: Final = ("dev/nvidia0", "dev/nvhost-gpu", "dev/nvgpu")
_MOST_BYTES: Final = 1 << 20
_L4T: Final = re.compile(r"R([0-9]{1,3}).{0,40}?REVISION:\s*([0-9.]{1,12})", re.DOTALL)
_NUMBERS: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6}){0,4}")
_BUILD_VERSION: Final = re.compile(r"__version__\s*=\s*['\"]([^'\"]{1,40})")


def board_facts(
    root: Path = Path("/"), *, runtime: Path | None = None, capability: tuple[int, int] | None = None
) -> Board:
    """Look at a board.

    Args:
        root: Where its files lie; every file but those of the runtime is looked for below it.
        runtime: Folder of the onnxruntime package; the one that would be imported if None.
        capability: Compute capability that NVML tells, where somebody asked it; it goes first.

    Never fails: what cannot be read is unknown.
    """
    runtime = runtime if runtime is not None else _runtime_folder()
    soc = _soc(root)
    sm, sm_from = _sm(soc, capability)
    l4t = _l4t(root)
    return Board(
        model=_text(root, *_MODEL).strip("\0 \n"),
        soc=soc,
        sm=sm,
        gpu=sm is not None or any((root / name).exists() for name in _DEVICES),
        sm_from=sm_from,
        l4t=l4t,
        jetpack=JETPACK_OF_L4T.get(int(l4t.partition(".")[0]), 0) if l4t else 0,
        processor=processor(root),
        providers=_providers(runtime),
        runtime_version=_runtime_version(runtime),
        tensorrt=_tensorrt(root),
        power_mode=_power_mode(root),
        memory_bytes=_memory_bytes(root),
    )


def processor(root: Path = Path("/")) -> Processor:
    """Return the architecture of this machine and the first processor's instruction sets below ``root``."""
    for line in _text(root, "proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):  # x86 and arm64 name it differently
            return Processor(platform.machine(), frozenset(value.split()))
    return Processor(platform.machine())


def _soc(root: Path) -> str:
    for name in reversed(_text(root, *_COMPATIBLE).split("\0")):
        maker, _, chip = name.partition(",")
        if maker == "nvidia" and chip.startswith("tegra"):
            return chip
    return ""


def _sm(soc: str, capability: tuple[int, int] | None) -> tuple[int | None, str]:
    if capability is not None:
        return capability[0] * 10 + capability[1], "NVML tells it"
    known = SM_OF_SOC.get(soc)
    if known is not None:
        return known, f"every {soc} has it"
    return None, f"nothing is known of {soc}" if soc else "no GPU is known"


def _l4t(root: Path) -> str:
    found = _L4T.search(_text(root, _RELEASE))
    return f"{int(found.group(1))}.{found.group(2).strip('.')}" if found else ""


def _power_mode(root: Path) -> str:
    found = re.search(r"pmode:(\w{1,16})", _text(root, _POWER_MODE))
    return found.group(1) if found else ""


def _memory_bytes(root: Path) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return kernel_bytes(str(root / "proc/meminfo"), "MemTotal")
    return 0


def _runtime_folder() -> Path | None:
    found = util.find_spec("onnxruntime")
    places = list(found.submodule_search_locations or ()) if found is not None else []
    return Path(places[0]) if places else None


def _providers(runtime: Path | None) -> tuple[str, ...]:
    if runtime is None:
        return ()
    built = [name for name, file in _PROVIDER_FILES.items() if (runtime / "capi" / file).is_file()]
    return (*built, CPU)


def _runtime_version(runtime: Path | None) -> str:
    """Read the version beside the library: what pip noted may be that of a package it was laid over."""
    if runtime is None:
        return ""
    found = _BUILD_VERSION.search(_text(runtime, "capi/build_and_package_info.py", "__init__.py"))
    return found.group(1) if found else ""


def _tensorrt(root: Path) -> str:
    """Return the greatest version that a file name tells: libnvinfer.so.10.3.0."""
    found: list[tuple[int, ...]] = []
    for folder in _LIBRARIES:
        with contextlib.suppress(OSError):
            names = [path.name.partition(".so.")[2] for path in (root / folder).glob("libnvinfer.so.*")]
            found += [tuple(map(int, name.split("."))) for name in names if _NUMBERS.fullmatch(name)]
    return ".".join(map(str, max(found, default=())))


def _text(root: Path, *names: str) -> str:
    """Return the start of the first of these files that can be read; empty if none can."""
    for name in names:
        with contextlib.suppress(OSError), (root / name).open("rb") as file:
            return file.read(_MOST_BYTES).decode(errors="replace")
    return ""
