"""What a lane lives in: the seam behind which workers are started, and its first kind, a process.

A lane speaks over a socket and takes payloads from two pages, wherever it lives.
A body carries these three descriptors to the other side, and tells how that ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Final, Protocol

from gateway.operations.child_end import last_words, signal_name
from gateway.operations.child_environment import child_environment
from gateway.operations.child_signal import signal_child

# A lane is one of many workers: libraries that start a thread a processor would only be in their way.
ENVIRONMENT: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
# What runtimes need of our environment beside what every child gets.
KEPT_PREFIXES: Final = ("OPENBLAS_", "OMP_", "CUDA_", "NVIDIA_", "ORT_")
_STDERR_TAIL_BYTES: Final = 4096
_PR_SET_CHILD_SUBREAPER: Final = 36


class Body(Protocol):
    """Where a lane's worker runs. Begun once, and waited for once it was begun.

    Attributes:
        loaded: Whether the worker has the model when it begins; if not, the lane tells it what to load.
        kin: Our end of a socket over which the worker is handed descriptors when it is to divide; None
            where no worker ever divides.
        fate: What it shares its end with: lanes whose bodies name the same die together. None where it
            dies alone.
    """

    loaded: bool
    kin: socket.socket | None

    @property
    def is_spared(self) -> bool:
        """Whether it ended for another lane's fault; known once it has ended."""
        ...

    @property
    def fate(self) -> object | None:
        """What it shares its end with; None where it dies alone."""
        ...

    @property
    def pid(self) -> int:
        """Process in which it runs; 0 before it was begun."""
        ...

    async def begin(self, fds: Sequence[int]) -> None:
        """Start the worker with a socket and two read-only pages; the caller closes its own descriptors.

        Raises:
            OSError: It cannot be started.
            WorkerCrashed: Whoever was to start it is gone, or refused.

        Cancel-safe as long as ``leave`` and ``ended`` follow.
        """
        ...

    def kill(self) -> None:
        """End the worker at once, whatever that costs; nothing happens if it has ended or never began."""
        ...

    def leave(self) -> None:
        """End a worker that nobody waits for any more, at once where that harms no other. Idempotent."""
        ...

    def quiet(self) -> None:
        """Forget what the worker has written so far: what comes later may tell why it ended."""
        ...

    async def ended(self) -> str:
        """Wait until the worker has ended; return how, and what it said last.

        Returns at once, with nothing to say, if it was never begun. Cancel-safe: it may be asked again.
        """
        ...


class StderrTail:
    """The end of what a worker writes on standard error."""

    def __init__(self) -> None:
        self._tail = bytearray()

    async def keep(self, stream: asyncio.StreamReader) -> None:
        """Read until the last writer has closed its end."""
        while chunk := await stream.read(4096):
            self._tail += chunk
            del self._tail[:-_STDERR_TAIL_BYTES]

    def clear(self) -> None:
        """Forget it."""
        self._tail.clear()

    def words(self) -> str:
        """Return the last line, after a colon; empty if there is none."""
        return last_words(bytes(self._tail))


class ProcessBody:
    """A process of its own, with libraries and model loaded afresh.

    Attributes:
        kin: Our end of the socket over which the worker is handed descriptors when it is to divide.
    """

    loaded = False
    fate = None
    is_spared = False

    def __init__(self) -> None:
        self.kin: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._stderr = StderrTail()
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Process id of the worker; 0 before it was begun."""
        return self._process.pid if self._process else 0

    async def begin(self, fds: Sequence[int]) -> None:
        """Start a worker process.

        Raises:
            OSError: It cannot be started.
        """
        adopt_orphans()
        self.kin, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.kin.setblocking(False)
        with theirs:
            inherited = (*fds, theirs.fileno())
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "gateway.inference.worker", *map(str, inherited)),
                    pass_fds=inherited,
                    env=ENVIRONMENT | child_environment(prefixes=KEPT_PREFIXES),
                    stdin=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                )
            except BaseException:
                close_kin(self.kin)
                raise
        loop = asyncio.get_running_loop()
        self._watch = loop.create_task(self._wait(self._process), name=f"lane[{self.pid}].watch")

    def kill(self) -> None:
        """Kill the process."""
        if self._process is not None:
            signal_child(self._process, signal.SIGKILL)

    def leave(self) -> None:
        """Kill the process: it is nobody else's."""
        self.kill()

    def quiet(self) -> None:
        """Forget what it wrote: runtimes chatter while they load."""
        self._stderr.clear()

    async def ended(self) -> str:
        """Wait until the process has ended; return how."""
        if self._watch is None or self._process is None:
            return ""
        await asyncio.wait({self._watch})
        code = self._process.returncode
        return end_words(code or 0, self._stderr.words())

    async def _wait(self, process: asyncio.subprocess.Process) -> None:
        try:
            assert process.stderr is not None
            await self._stderr.keep(process.stderr)
            await process.wait()
        finally:
            close_kin(self.kin)


def end_words(code: int, said: str) -> str:
    """Return how a process ended, such as ``was ended by SIGKILL: out of memory``.

    Args:
        code: Its exit code, or a signal's number below zero.
        said: What it said last.
    """
    how = f"was ended by {signal_name(-code)}" if code < 0 else f"exited with code {code}"
    return how + said


def adopt_orphans() -> None:
    """Become the parent of what our children leave behind: of workers whose makers have ended.

    To be called before a child is started that may leave some: kernels before 4.11 tell a process at its
    start alone whether anybody adopts.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def close_kin(kin: socket.socket | None) -> None:
    """Close our end of the socket by which a worker divides."""
    if kin is not None:
        with contextlib.suppress(OSError):
            kin.close()
