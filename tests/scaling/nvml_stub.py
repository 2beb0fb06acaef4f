"""The stand-in for NVIDIA's library: loaded by the real bindings, told what to answer by a file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

SOURCE: Final = Path(__file__).with_name("nvml_stub.c")
LIBRARY: Final = "libnvidia-ml.so.1"

ORIN: Final = {"count": 1, "driver": "540.4.0", "0.name": "Orin (nvgpu)"}
THOR: Final = {
    "count": 1,
    "0.name": "NVIDIA Thor",
    "0.load": 40,
    "0.celsius": 52,
    "0.compute": "17:1000,17:4000,18:10",
    "0.graphics": "17:2000",
}
DISCRETE: Final = {
    "count": 1,
    "driver": "580.1",
    "0.name": "NVIDIA RTX A2000",
    "0.uuid": "GPU-1",
    "0.total": 6 << 30,
    "0.used": 1 << 30,
    "0.load": 37,
    "0.clock": 1200,
    "0.max_clock": 2100,
    "0.milliwatts": 35_500,
    "0.celsius": 61,
    "0.reasons": 0x20,
    "0.compute": "4242:500",
    "0.graphics": "",
}


def compile_stub(folder: Path) -> Path:
    """Compile the library into a folder, and return that."""
    options = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{LIBRARY}"]
    subprocess.run(["gcc", *options, "-o", str(folder / LIBRARY), str(SOURCE)], check=True)
    return folder


class Driver:
    """What the library answers from now on; may be changed while a program asks it."""

    def __init__(self, library: Path, folder: Path) -> None:
        """Begin with a library that knows no GPU.

        Args:
            library: The folder that holds it.
            folder: Where the file of its answers may lie.
        """
        self.library = library
        self.state = folder / "nvml.state"
        self.say({})

    def say(self, answers: Mapping[str, Any]) -> None:
        """Answer with these from now on, all at once."""
        write_answers(self.state, answers)

    def run(self, code: str, *, library: Path | None = None) -> str:
        """Run Python code in a program that finds the library, and return what it prints.

        ``say(answers)`` is there for the code, to change what is answered.

        Args:
            code: The program.
            library: Another folder in which it looks for the library.
        """
        prelude = (
            "from pathlib import Path\n"
            "from tests.scaling.nvml_stub import DISCRETE, ORIN, THOR, write_answers\n"
            f"def say(answers): write_answers(Path({str(self.state)!r}), answers)\n"
        )
        where = {"LD_LIBRARY_PATH": str(library or self.library), "NVML_STUB": str(self.state)}
        done = subprocess.run(
            [sys.executable, "-c", prelude + code],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, **where},
            cwd=SOURCE.parents[2],
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def write_answers(state: Path, answers: Mapping[str, Any]) -> None:
    """Replace the file of answers, whole."""
    new = state.with_suffix(".new")
    new.write_text("".join(f"{name}={value}\n" for name, value in answers.items()))
    new.replace(state)
