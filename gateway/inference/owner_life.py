"""One life of the GPU owner as the front end sees it: from its start to its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Final, Protocol

from gateway.errors import WorkerCrashed
from gateway.inference.body import ENVIRONMENT, KEPT_PREFIXES, StderrTail, end_words
from gateway.inference.engines import providers
from gateway.inference.owner_words import MOST_BYTES, MOST_WORDS, pack, unpack
from gateway.inference.wire import Head
from gateway.operations.child_environment import child_environment
from gateway.operations.child_signal import signal_child

_END_WAIT_S: Final = 1.0


class Lodger(Protocol):
    """Who is told what becomes of one lane; called in the event loop."""

    def turn_came(self) -> None:
        """It may load now."""
        ...

    def progressed(self, what: str, seconds: float) -> None:
        """Its load has come so far."""
        ...

    def lane_ended(self, how: str, *, is_spared: bool) -> None:
        """It has gone, alone or with the owner; ``is_spared`` if the owner ended for another's fault."""
        ...


class OwnerLife:
    """One process, and the lanes in it. Made by ``start``; it ends when its last lane has gone."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        """Watch a process; ``start`` is the way to make one."""
        self.pid = process.pid
        self._process = process
        self._control = control
        self._lodgers: dict[int, Lodger] = {}
        self._deaths: dict[int, asyncio.TimerHandle] = {}
        self._next = 0
        self._fatal = ""
        self._culprit = 0  # the lane for whose fault it ends; 0 where nobody said
        self._stderr = StderrTail()
        self._is_leaving = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(control, self._read)
        self._over = self._loop.create_task(self._watch(), name=f"gpu-owner[{self.pid}]")

    @classmethod
    async def start(cls) -> OwnerLife:
        """Start the process.

        Raises:
            OSError: It cannot be started.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "gateway.inference.owner_process", str(theirs.fileno())),
                    pass_fds=[theirs.fileno()],
                    env={**ENVIRONMENT, **providers.ENVIRONMENT, **child_environment(prefixes=KEPT_PREFIXES)},
                    stdin=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                )
            ours.setblocking(False)
        except BaseException:
            ours.close()
            raise
        return cls(process, ours)

    @property
    def takes_lanes(self) -> bool:
        """Whether it goes on."""
        return not self._is_leaving and not self._over.done()

    def enter(self, lodger: Lodger) -> int:
        """Take a lane in; return its number."""
        self._next += 1
        self._lodgers[self._next] = lodger
        return self._next

    def order(self, number: int, head: Head, fds: Sequence[int]) -> None:
        """Hand a lane's order and descriptors over.

        Raises:
            WorkerCrashed: The owner is gone.
            OSError: It does not read.
            ValueError: The order is too large.
        """
        if number not in self._lodgers:
            raise WorkerCrashed("the GPU owner has ended")
        try:
            socket.send_fds(self._control, [pack(head)], list(fds))
        except (OSError, ValueError):
            self._forget(number, "was never begun")
            self._leave_if_empty()
            raise

    def leave(self, number: int, patience_s: float) -> None:
        """End a lane when it can be; one that stays longer than ``patience_s`` ends the owner. Idempotent."""
        if self._lodgers.get(number) is None or number in self._deaths:
            return
        self._tell({"t": "leave", "n": number})
        self._deaths[number] = self._loop.call_later(patience_s, self.end, number)
        self._leave_if_empty()

    def end(self, number: int) -> None:
        """End the owner, because this lane hangs; nothing happens if the lane has gone."""
        if self._lodgers.get(number) is None or self._over.done():
            return
        if (waiting := self._deaths.pop(number, None)) is not None:
            waiting.cancel()
        self._culprit = self._culprit or number
        self._tell({"t": "end", "n": number})
        # One that is stuck in native code with the interpreter's lock cannot even obey.
        self._deaths[number] = self._loop.call_later(_END_WAIT_S, self.kill)

    def kill(self) -> None:
        """Kill the process."""
        self._is_leaving = True
        signal_child(self._process, signal.SIGKILL)

    def quiet(self) -> None:
        """Forget what it wrote."""
        self._stderr.clear()

    async def close(self) -> None:
        """End the process and wait for it. Idempotent; cancel-safe: a second call finishes the first."""
        self._hang_up()
        await asyncio.wait({self._over}, timeout=_END_WAIT_S)
        self.kill()
        await asyncio.wait({self._over})

    def _tell(self, head: Head) -> None:
        with contextlib.suppress(OSError):
            self._control.send(pack(head))

    def _leave_if_empty(self) -> None:
        if all(number in self._deaths for number in self._lodgers):
            self._hang_up()

    def _hang_up(self) -> None:
        """Tell the owner to end: by the closed socket, once what it still said was read."""
        self._is_leaving = True
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    def _read(self) -> None:
        try:
            while packet := self._control.recv(MOST_BYTES):
                self._take(unpack(packet))
            self._is_leaving = True
            self._loop.remove_reader(self._control)
        except BlockingIOError:
            return
        except OSError:
            self._is_leaving = True
            self._loop.remove_reader(self._control)
        except (ValueError, KeyError, TypeError) as error:
            self._fatal = self._fatal or f"sent what is no message: {error}"
            self.kill()

    def _take(self, head: Head) -> None:
        if head["t"] == "fatal":
            self._fatal = str(head["why"])[:MOST_WORDS]
            self._culprit = int(head["n"])
            self._is_leaving = True
            return
        number = head["n"]
        lodger = self._lodgers.get(number)
        if lodger is None:
            return
        if head["t"] == "turn":
            lodger.turn_came()
        elif head["t"] == "progress":
            lodger.progressed(str(head["what"])[:MOST_WORDS], float(head["s"]))
        elif head["t"] == "ended":
            self._forget(number, f"ended: {head['why'] or 'its socket was closed'}")
            self._leave_if_empty()

    def _forget(self, number: int, how: str, *, is_spared: bool = False) -> None:
        if (waiting := self._deaths.pop(number, None)) is not None:
            waiting.cancel()
        self._lodgers.pop(number).lane_ended(how, is_spared=is_spared)

    async def _watch(self) -> None:
        assert self._process.stderr is not None
        try:
            await self._stderr.keep(self._process.stderr)
            code = await self._process.wait()
        finally:
            self._loop.remove_reader(self._control)
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            while packet := self._control.recv(MOST_BYTES):  # its last words may still be on their way
                self._take(unpack(packet))
        self._control.close()
        said = f": {self._fatal}" if self._fatal else self._stderr.words()
        how = f"was lost with the GPU owner, which {end_words(code, said)}"
        for number in tuple(self._lodgers):
            self._forget(number, how, is_spared=self._culprit not in (0, number))
