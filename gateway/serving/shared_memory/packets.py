"""Packets with descriptors over a Unix socket: received whole, with nothing that came along left open."""

from __future__ import annotations

import array
import os
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.serving.shared_memory.sealed import is_memory

_RIGHTS: Final = (socket.SOL_SOCKET, socket.SCM_RIGHTS)
_FD_BYTES: Final = array.array("i").itemsize
# Room for two where one is wanted: whoever sends more is told so, and the kernel closes what has no room.
_CONTROL_BYTES: Final = socket.CMSG_SPACE(2 * _FD_BYTES)
# Plain numbers: the standard library's flags are enumerations, and slow.
_RECEIVING: Final = int(socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
_CUT, _LOST = int(socket.MSG_TRUNC), int(socket.MSG_CTRUNC)
SENDING: Final = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
_NOTHING: Final[tuple[int, ...]] = ()
_MOST_CLOSING: Final = 8


@dataclass(frozen=True, slots=True)
class Received:
    """One packet.

    Attributes:
        size: How many bytes of the buffer it fills; 0 for the end.
        fds: Descriptors that came along; the receiver closes them.
        is_cut: It was longer than the buffer.
        lost_fds: More descriptors came along than there was room for.
    """

    size: int
    fds: tuple[int, ...]
    is_cut: bool
    lost_fds: bool


def receive(sock: socket.socket, buffer: bytearray) -> Received:
    """Take the next packet.

    Raises:
        BlockingIOError: There is none.
        OSError: The connection is broken.
    """
    size, control, flags, _ = sock.recvmsg_into([buffer], _CONTROL_BYTES, _RECEIVING)
    if not control:
        return Received(size, _NOTHING, bool(flags & _CUT), bool(flags & _LOST))
    fds: list[int] = []
    for level, kind, data in control:
        if (level, kind) == _RIGHTS:
            whole = array.array("i")
            whole.frombytes(data[: len(data) // _FD_BYTES * _FD_BYTES])
            fds += whole
    return Received(size, tuple(fds), bool(flags & _CUT), bool(flags & _LOST))


class Closer:
    """Closes descriptors that strangers sent, without ever waiting.

    To close a file is to wait for whoever serves its file system, and that may be the stranger's own program
    (FUSE): only memory is closed here and now, anything else on a thread of its own.
    """

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    @property
    def is_stuck(self) -> bool:
        """Whether so many descriptors do not let themselves be closed that no more should be taken."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        return len(self._threads) >= _MOST_CLOSING

    def close(self, fds: Sequence[int]) -> None:
        """Close descriptors."""
        foreign = [fd for fd in fds if not is_memory(fd)]
        for fd in fds:
            if fd not in foreign:
                os.close(fd)
        if foreign:
            thread = threading.Thread(
                target=_close_all, args=(foreign,), name="memory-door-close", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def wait(self, timeout_s: float) -> None:
        """Wait until what is being closed is, at most so long for each."""
        for thread in self._threads:
            thread.join(timeout_s)


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
