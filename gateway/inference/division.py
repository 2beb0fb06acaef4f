"""A lane that came of another: a worker with one thread divides by fork, and both go on with the same model.

What the first one loaded is not loaded again, and not copied: the two share every
page that neither writes to, which is all of the weights, packed ones included. The
new process becomes a child of the front end, like every other worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import BinaryIO, Final

from gateway.errors import WorkerCrashed
from gateway.inference.body import StderrTail, close_kin, end_words

_MOST_PID_BYTES: Final = 16
_TRIES: Final = 6
_PAUSE_S: Final = 0.05

# Hands descriptors to a ready worker and has it divide.
Divide = Callable[[Sequence[int]], Awaitable[object]]


class DividedBody:
    """A process that another lane's worker made by dividing.

    Its standard error is a pipe of its own, which begins with the process id of the one
    between it and the worker that made it, and then its own: so both are known, and
    their ends waited for, whatever becomes of that worker.

    Attributes:
        kin: Our end of the socket over which it is handed descriptors when it is to divide.
    """

    loaded = True
    fate = None
    is_spared = False

    def __init__(self, divide: Divide) -> None:
        """Remember whom to ask."""
        self.kin: socket.socket | None = None
        self.pid = 0
        self._divide = divide
        self._stderr = StderrTail()
        self._watch: asyncio.Task[int | None] | None = None
        self._named = asyncio.Event()
        self._is_unwanted = self._is_reaped = False

    async def begin(self, fds: Sequence[int]) -> None:
        """Have the other worker divide.

        Raises:
            OSError: It cannot be handed the descriptors.
            WorkerCrashed: It died, or ended before it divided.
            GatewayError: It could not divide.
        """
        self.kin, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.kin.setblocking(False)
        said, says = os.pipe()
        loop = asyncio.get_running_loop()
        self._watch = loop.create_task(
            self._wait(os.fdopen(said, "rb", buffering=0)), name="lane.divided.watch"
        )
        try:
            with theirs:
                await self._divide((*fds, theirs.fileno(), says))
        finally:
            os.close(says)
        await self._named.wait()
        if not self.pid:
            raise WorkerCrashed("the worker that was to divide has ended")

    def kill(self) -> None:
        """Kill the process; if it is not known yet, as soon as it is."""
        self._is_unwanted = True
        if self.pid and not self._is_reaped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def leave(self) -> None:
        """Kill the process: it is nobody else's."""
        self.kill()

    def quiet(self) -> None:
        """Forget what it wrote."""
        self._stderr.clear()

    async def ended(self) -> str:
        """Wait until the process has ended; return how."""
        if self._watch is None:
            return ""
        await asyncio.wait({self._watch})
        if not self.pid:
            return ""
        code = self._watch.result()
        said = self._stderr.words()
        return f"has ended and is not ours to ask how{said}" if code is None else end_words(code, said)

    async def _wait(self, said: BinaryIO) -> int | None:
        """Learn who it is, wait for the end of its standard error, and take its exit status."""
        stream = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), said)
        except BaseException:
            self._named.set()
            said.close()
            raise
        try:
            between = _pid(await stream.readline())
            self.pid = _pid(await stream.readline())
            self._named.set()
            if self._is_unwanted:
                self.kill()
            # The one between is the worker's to wait for, and ours only if the worker died meanwhile.
            if between:
                await asyncio.to_thread(_end_of, between)
            await self._stderr.keep(stream)
        finally:
            self._named.set()
            transport.close()
            close_kin(self.kin)
        return await asyncio.to_thread(self._reap) if self.pid else None

    def _reap(self) -> int | None:
        """Return its exit status; None if it became somebody else's child, and ended for that."""
        try:
            return _end_of(self.pid)
        finally:
            self._is_reaped = True


def _pid(line: bytes) -> int:
    return int(line) if line.strip().isdigit() and len(line) <= _MOST_PID_BYTES else 0


def _end_of(pid: int) -> int | None:
    """Wait for a process that ends; return its exit code, None if it is not our child.

    What a process leaves behind becomes ours a moment after its descriptors are closed.
    """
    for still in reversed(range(_TRIES)):
        try:
            _, status = os.waitpid(pid, 0)
        except ChildProcessError:
            time.sleep(_PAUSE_S if still else 0.0)
        else:
            return os.waitstatus_to_exitcode(status)
    return None
