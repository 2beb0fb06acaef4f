"""Starts the process that forks workloads, and runs one case after another in it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.faults.workload import Case
from tests.rules.tree import ROOT

# One case takes a second on a busy machine; whoever takes this long hangs.
LIMIT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a case ended.

    Attributes:
        status: ``DONE``, ``REFUSED``, ``BROKE``, or the negative number of the signal that ended it.
        facts: What it said was durable, in order.
        words: What else it said: errors, and how many steps there were.
    """

    status: int
    facts: tuple[str, ...]
    words: tuple[str, ...]


class Crew:
    """One process that forks workloads. Not for several threads."""

    def __init__(self, log: Path, preload: Path | None = None) -> None:
        """Start it.

        Args:
            log: File that gets what it says on standard error.
            preload: Library for ``LD_PRELOAD``.
        """
        environ = {**os.environ, **({"LD_PRELOAD": str(preload)} if preload else {})}
        with log.open("ab") as errors:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.workload"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env=environ,
            )
        self._log = log
        self._child = 0

    def __enter__(self) -> Crew:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.close()

    def close(self) -> None:
        """End the process, and a child that hangs. Idempotent."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        if self._child:
            os.kill(self._child, signal.SIGKILL)
            self._child = 0
        self._server.stdin.close()
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server.stdout.close()

    def run(self, case: Case, attach: Callable[[int], object] | None = None) -> Ending:
        """Run one case to its end.

        Args:
            case: Which.
            attach: Called with the number of the process before it begins.
        """
        self._tell(json.dumps(asdict(case)))
        self._child = int(self._heard())
        if attach is not None:
            attach(self._child)
        self._tell("go")
        status = int(self._heard())
        self._child = 0
        marks = Path(case.marks)
        lines = marks.read_text().splitlines() if marks.is_file() else []
        return sorted_words(status, lines)

    def _tell(self, line: str) -> None:
        assert self._server.stdin is not None
        self._server.stdin.write(line.encode() + b"\n")
        self._server.stdin.flush()

    def _heard(self) -> str:
        assert self._server.stdout is not None
        if not select.select([self._server.stdout], [], [], LIMIT_S)[0]:
            raise TimeoutError(f"the workload hangs (process {self._child})")
        line = self._server.stdout.readline()
        if not line:
            raise ChildProcessError(f"the workload's server ended:\n{self._log.read_text()[-2000:]}")
        return line.decode().strip()


def sorted_words(status: int, lines: list[str]) -> Ending:
    """Sort what a case wrote into facts and other words."""
    facts = tuple(line for line in lines if not line.startswith("#"))
    return Ending(status, facts, tuple(line[2:] for line in lines if line.startswith("#")))
