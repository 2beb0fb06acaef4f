"""How a worker divides: it forks twice, so that the new process is the front end's child and not its own.

Only a worker whose runtime keeps no threads of its own may do so: a fork takes
along the memory, and of the threads only the one that forks.
"""

from __future__ import annotations

import os
import socket
import warnings
from typing import Final

from gateway.operations.child_start import die_with_parent

_DESCRIPTORS: Final = 5  # channel, two pages, kin, standard error
_STDERR: Final = 2


def divide(kin: socket.socket, front_end: int) -> tuple[int, ...]:
    """Divide into two processes.

    Args:
        kin: Where the descriptors for the new process lie.
        front_end: Process id of the front end.

    Returns:
        Nothing in the old process. In the new one its descriptors: channel, two pages, kin. Its standard
        error is its own already, and has told its process id.

    Raises:
        OSError: The descriptors did not come, or there is no memory for another process.
    """
    _, fds, _, _ = socket.recv_fds(kin, 1, _DESCRIPTORS)
    if len(fds) != _DESCRIPTORS:
        _close(fds)
        raise OSError(f"{len(fds)} descriptors came, {_DESCRIPTORS} are needed")
    waits, go = os.pipe()
    try:
        between = _fork()
    except OSError:
        _close((waits, go, *fds))
        raise
    if between == 0:
        _make_child_and_end(fds[-1])
        return _settle(fds, (waits, go), front_end)
    try:
        _, status = os.waitpid(between, 0)
    finally:
        # Closing `go` lets the new process run: its first parent is waited for now.
        _close((waits, go, *fds))
    if status:
        raise OSError("no memory for another process")
    return ()


def _make_child_and_end(stderr: int) -> None:
    """Fork once more; return in the grandchild alone.

    Whoever waits for the grandchild is told of this process too: if the worker dies now, it is nobody else's.
    """
    try:
        os.write(stderr, f"{os.getpid()}\n".encode())
        child = _fork()
    except OSError:
        os._exit(1)
    if child:
        os._exit(0)


def _settle(fds: list[int], pipe: tuple[int, int], front_end: int) -> tuple[int, ...]:
    """Wait until the front end is our parent, and take what is ours."""
    waits, go = pipe
    os.close(go)
    os.read(waits, 1)
    os.close(waits)
    channel, page, other_page, kin, stderr = fds
    os.write(stderr, f"{os.getpid()}\n".encode())
    os.dup2(stderr, _STDERR)
    os.close(stderr)
    die_with_parent(front_end)
    return channel, page, other_page, kin


def _fork() -> int:
    with warnings.catch_warnings():
        # Runtimes keep a thread that only waits; where they keep others, nobody divides.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _close(fds: tuple[int, ...] | list[int]) -> None:
    for fd in fds:
        os.close(fd)
