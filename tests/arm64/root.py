"""Debian's and Python's files for arm64, in which a program runs on an emulated Cortex-A57.

The files are fetched once and kept below /var/tmp, in a folder named by what went into it. Nothing of it is
configured or registered with the kernel: QEMU's user mode runs one program, and so the program must not start
another. The kernel is this machine's own.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.arm64.wheel_tags import EMULATED_PYTHON, as_here, options
from tests.rules.tree import ROOT

SUITE: Final = "bookworm"
_PLACE: Final = Path("/var/tmp/gateway-arm64")
_LIMIT_S: Final = 110
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PACKAGES: Final = (
    "python3.11-minimal",
    "libpython3.11-stdlib",
    "libbz2-1.0",
    "libcrypt1",
    "libexpat1",
    "libffi8",
    "libgomp1",
    "liblzma5",
    "libsqlite3-0",
    "libssl3",
    "libstdc++6",
    "libuuid1",
    "zlib1g",
)
# A Jetson Nano's core. Not QEMU's default: with its vector extension (SVE) XNNPACK's int8 kernels give
# wrong numbers that no board gives.
CORE: Final = "cortex-a57"
_CPU: Final = """\
processor\t: {}
BogoMIPS\t: 38.40
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: 0xd07
CPU revision\t: 1

"""


class Unavailable(Exception):
    """The files could not be fetched; the message says what failed."""


def missing() -> list[str]:
    """Return what this machine lacks."""
    lacking = [] if os.geteuid() == 0 else ["root"]
    return lacking + [
        need for need in ("mmdebstrap", "qemu-aarch64-static") if shutil.which(need, path=_PATH) is None
    ]


class Root:
    """The files, fetched if they are not there yet.

    Raises:
        Unavailable: They could not be fetched.
    """

    def __init__(self) -> None:
        wheels = as_here()
        self._wheels = wheels
        parts = [SUITE, *_PACKAGES, *wheels, *options(), _CPU]
        self._folder = _PLACE / hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
        _PLACE.mkdir(parents=True, exist_ok=True)
        with (_PLACE / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._folder.is_dir():
                self._fetch()

    @property
    def python(self) -> Path:
        """The interpreter's file."""
        return self._folder / f"root/usr/bin/python{EMULATED_PYTHON}"

    @staticmethod
    def machine_of(program: Path) -> str:
        """Return what processor a program's file is for, by its ELF header."""
        kinds = {62: "x86_64", 183: "aarch64"}
        with program.open("rb") as file:
            start = file.read(20)
        return kinds.get(int.from_bytes(start[18:20], "little"), "unknown")

    def run(self, program: Path, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a Python program of this tree on the emulated core; its standard streams come back as text."""
        root = self._folder / "root"
        library = f"{root}/usr/lib/aarch64-linux-gnu:{root}/lib/aarch64-linux-gnu"
        environment = {
            "LD_LIBRARY_PATH": library,
            "PYTHONHOME": f"{root}/usr",
            "PYTHONPATH": f"{ROOT}:{self._folder}/site",
            # Compiling costs the emulated core more than half of a run: what it made is kept.
            "PYTHONPYCACHEPREFIX": f"{self._folder}/compiled",
            "ORT_DISABLE_TELEMETRY": "1",
        }
        emulator = ["qemu-aarch64-static", "-cpu", CORE, "-L", str(root)]
        for name, value in environment.items():
            emulator += ["-E", f"{name}={value}"]
        return subprocess.run(
            [*emulator, str(self.python), str(program), *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            env={"PATH": _PATH, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"},
        )

    def _fetch(self) -> None:
        with tempfile.TemporaryDirectory(prefix="making.", dir=_PLACE) as name:
            folder = Path(name) / "made"
            folder.mkdir()
            included = ",".join(_PACKAGES)
            debian = ["mmdebstrap", "-q", "--variant=extract", "--architectures=arm64"]
            debian += [f"--include={included}", SUITE, str(folder / "root")]
            python = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            python += ["--target", str(folder / "site"), *options(), *self._wheels]
            _both(debian, python)
            (folder / "root/proc").mkdir(exist_ok=True)
            # QEMU shows this machine's processor, with which ONNX Runtime crashes; this file hides it.
            (folder / "root/proc/cpuinfo").write_text("".join(_CPU.format(n) for n in range(2)))
            folder.rename(self._folder)


def _both(*commands: list[str]) -> None:
    """Run commands side by side.

    Raises:
        Unavailable: One failed.
    """
    environment = dict(os.environ, PATH=f"{os.environ.get('PATH', '')}:{_PATH}")
    running = [
        subprocess.Popen(each, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
        for each in commands
    ]
    try:
        said = [each.communicate(timeout=_LIMIT_S)[0] for each in running]
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{commands[0][0]} or pip took longer than {_LIMIT_S} s") from error
    finally:
        for each in running:
            each.kill()
            each.wait()
    for command, each, words in zip(commands, running, said, strict=True):
        if each.returncode != 0:
            raise Unavailable(f"{Path(command[0]).name} ended with {each.returncode}: {words[-500:]}")
