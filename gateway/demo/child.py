"""Child processes of the demo: started tethered, ended by process id, their last words kept."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path

from gateway.errors import Unavailable
from gateway.operations.child_signal import signal_child

STOP_LIMIT_S = 10.0
_LAST_WORDS_BYTES = 4000
_HERE = "127.0.0.1"


class Child:
    """One running process.

    Attributes:
        name: What it is, for messages.
        log: File that takes its standard error.
    """

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    async def start(cls, name: str, command: Sequence[str], folder: Path, *, listen: bool = False) -> Child:
        """Start ``python COMMAND``; it dies with this process.

        Args:
            name: What it is.
            command: Arguments of the Python interpreter.
            folder: Where its log goes.
            listen: Keep its standard output for ``line``; it goes to the log otherwise.
        """
        log = folder / f"{name}.log"
        tether = (sys.executable, "-m", "gateway.demo.tether", str(os.getpid()))
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *tether,
                sys.executable,
                *command,
                stdin=PIPE,
                stdout=PIPE if listen else file,
                stderr=file,
                env=_environment(),
                # Ctrl-C goes to the demo alone, which ends its children in order.
                start_new_session=True,
            )
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.returncode is not None

    async def line(self) -> bytes:
        """Return the next line of its standard output; empty once it is closed or if nobody listens.

        Cancel-safe: a line is lost only if it was half read.
        """
        return await self._process.stdout.readline() if self._process.stdout is not None else b""

    def tell(self, line: bytes) -> None:
        """Write a short line to its standard input; does nothing if it has ended."""
        if not self.ended:
            assert self._process.stdin is not None
            self._process.stdin.write(line)

    def close_input(self) -> None:
        """Let it read the end of its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def complaint(self) -> Unavailable:
        """Return the error that says how it ended, with its last words."""
        code = self._process.returncode
        words = self.log.read_bytes()[-_LAST_WORDS_BYTES:].decode("utf-8", "replace").strip()
        return Unavailable(f"{self.name} ended with code {code}:\n{words}")

    async def stop(self) -> None:
        """Ask it to end, then insist; does nothing if it has ended.

        Cancel-safe: the process is killed.
        """
        try:
            self._send(signal.SIGTERM)
            await asyncio.wait_for(self._drained(), STOP_LIMIT_S)
        except asyncio.TimeoutError:
            pass
        finally:
            if not self.ended:
                self._send(signal.SIGKILL)
                await self._process.wait()

    def _send(self, number: signal.Signals) -> None:
        signal_child(self._process, number)

    async def _drained(self) -> None:
        """Wait for the end while reading what it still writes: a full pipe would hold it up."""
        while await self.line():
            pass
        await self._process.wait()


def _environment() -> dict[str, str]:
    """Return our own environment; what the children have to say to each other goes past any proxy."""
    kept = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return {**os.environ, "no_proxy": f"{kept},{_HERE}".lstrip(",")}
