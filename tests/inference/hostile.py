"""A step that tries to do harm and says what it could: what a model that takes its process over would try."""

from __future__ import annotations

import os
from pathlib import Path

STEP = """
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gateway.frames.specs import NumbersSpec
from gateway.frames.steps import Fitted


def fork():
    reads, writes = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.execv("/bin/sleep", ["sleep", "987"])
    os.close(writes)
    os.read(reads, 1)  # until it sleeps
    os.close(reads)


HARM = {{
    "write": lambda: Path({target!r}).write_text("harm"),
    "create": lambda: Path({target!r} + ".new").touch(),
    "replace": lambda: os.replace({target!r}, {target!r} + ".moved"),
    "fork": fork,
    "run": lambda: subprocess.run(["/bin/true"], check=True),
    "connect": lambda: socket.create_connection(("127.0.0.1", {port})).close(),
    "signal": lambda: os.kill(os.getppid(), 0),
    "descriptors": lambda: [os.dup(0) for _ in range(2000)],
}}


@dataclass(frozen=True, slots=True)
class Hostile:
    takes: ClassVar = (NumbersSpec,)

    def bind(self, spec, site):
        return Fitted(spec, self.harm)

    @staticmethod
    def harm(numbers, journey):
        could = []
        for name, attempt in HARM.items():
            try:
                attempt()
            except OSError:
                continue
            could.append(name)
        raise RuntimeError("could: [" + " ".join(could) + "]")
"""


def install(at: Path, target: Path, port: int) -> str:
    """Write the step as somebody's package under ``at``; return what PYTHONPATH must be.

    Args:
        at: Where to write.
        target: File that it tries to change.
        port: Where somebody listens.
    """
    (at / "hostile_steps.py").write_text(STEP.format(target=str(target), port=port))
    about = at / "hostile_steps-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile-steps\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[gateway.steps]\npre.hostile = hostile_steps:Hostile\n")
    return f"{at}{os.pathsep}{Path(__file__).parents[2]}"
