"""Runs the transaction in processes of its own, forked from one that has everything imported.

Started as a program it reads a case a line from standard input, forks, says the
child's number, waits for ``go`` (so that a tracer can attach), lets the child
play, and says how it ended. Whatever kills the child, the facts that it wrote to
its mark file must stay true.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import struct
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.errors import GatewayError
from tests.faults import mutants
from tests.faults.transaction import Say, open_site, play

DONE: Final = 0
REFUSED: Final = 3
BROKE: Final = 4
SHUTDOWN_IOCTL: Final = 0x8004587D
# Neither sync nor log flush: as if the power went.
NO_LOG_FLUSH: Final = 2
_STEPS: Final = frozenset(
    {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate"}
)
# The neighbour is nobody's mutant.
_fsync: Final = os.fsync


@dataclass(frozen=True, slots=True)
class Case:
    """One run of the transaction.

    Attributes:
        root: The store's folder.
        rounds: How many.
        marks: File that gets one line for each acknowledged fact.
        mutant: Which mistake is made on purpose; empty for none.
        neighbour: A file that somebody else on the same disk writes and syncs at each step; empty for nobody.
            His syncs make the file system commit in the middle of things, as a busy board does.
        shutdown_at: At which step the file system is shut down; 0 for never.
        short_at: Which write is cut short, counted from 1; 0 for none. Needs the shim.
        tries: How often a refused try is begun again at once, with the page cache as it is.
    """

    root: str
    rounds: int
    marks: str
    mutant: str = ""
    neighbour: str = ""
    shutdown_at: int = 0
    short_at: int = 0
    tries: int = 1


def serve() -> None:
    """Serve cases until standard input ends."""
    open_site_once()
    for line in sys.stdin:
        case = Case(**json.loads(line))
        ready, go = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(go)
            os._exit(_child(case, ready))
        os.close(ready)
        _say(str(pid))
        sys.stdin.readline()
        with contextlib.suppress(BrokenPipeError):
            os.write(go, b"g")
        os.close(go)
        _, status = os.waitpid(pid, 0)
        _say(str(os.waitstatus_to_exitcode(status)))


def open_site_once() -> None:
    """Import what is imported where it is used, so that a traced child opens nothing but the store."""
    import shutil  # noqa: F401
    import tempfile

    with tempfile.TemporaryDirectory() as folder, contextlib.closing(open_site(Path(folder) / "m")) as site:
        play(site, 1, _ignore, _ignore)


def _child(case: Case, ready: int) -> int:
    marks = os.open(case.marks, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.readv(ready, [bytearray(1)])  # not ``read``: see ``_mark``
    try:
        return _play(case, lambda fact: _mark(marks, fact))
    except GatewayError as error:
        _mark(marks, f"# {type(error).__name__}: {error.message}")
        return REFUSED
    except BaseException:  # noqa: BLE001 - what the parent must hear of
        _mark(marks, "# " + traceback.format_exc().replace("\n", "\n# "))
        return BROKE


def _play(case: Case, ack: Say) -> int:
    steps = _Steps(case, ack)
    if case.mutant:
        mutants.make(case.mutant, steps.pace)
    if case.shutdown_at >= 0:
        sys.addaudithook(steps.seen)
    if case.short_at:
        ctypes.c_int.in_dll(ctypes.CDLL(None), "short_write_at").value = case.short_at
    for left in reversed(range(case.tries)):
        try:
            with contextlib.closing(open_site(Path(case.root))) as site:
                play(site, case.rounds, ack, steps.pace)
            break
        except GatewayError as error:
            ack(f"# {type(error).__name__}: {error.message}")
            steps.refused(error)
            if not left:
                raise
    ack(f"# steps {steps.count}")
    if case.short_at:
        left_over = ctypes.c_int.in_dll(ctypes.CDLL(None), "short_write_at").value
        ack(f"# writes to go {left_over}")
    return DONE


@dataclass(slots=True)
class _Steps:
    """Counts what a child does, and does to it what its case wants.

    Attributes:
        case: What is wanted.
        ack: Where facts go.
        count: Steps so far: what the interpreter itself tells of files, and what ``play`` says.
        parts: A descriptor of each part file that was written to, so that its inode is not used again.
        doubtful: Digests of blobs whose part file met an error of the disk.
    """

    case: Case
    ack: Say
    count: int = 0
    parts: dict[str, int] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)

    def pace(self, step: str) -> None:
        """Let the neighbour write, and look which file the chunks go to."""
        self._step()
        if self.case.neighbour:
            with contextlib.suppress(OSError):  # his troubles are not ours
                self._write_next_door(step)
        if self.case.tries > 1 and step.startswith("chunk "):
            self._look(step.split()[1])

    def seen(self, event: str, _: tuple[object, ...]) -> None:
        """Hear of a system call that the interpreter is about to make."""
        if event in _STEPS:
            self._step()

    def refused(self, error: GatewayError) -> None:
        """Remember of which blobs the kernel may have dropped bytes that its cache still shows."""
        if error.attributes.get("errno") == errno.EIO and error.message.startswith("blob "):
            self.doubtful |= {digest for digest in self.parts if digest.startswith(error.message[5:17])}

    def _write_next_door(self, step: str) -> None:
        fd = os.open(self.case.neighbour, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, step.encode() + b"\n")
            _fsync(fd)
        finally:
            os.close(fd)

    def _look(self, digest: str) -> None:
        held = self.parts.get(digest)
        path = Path(self.case.root) / "partial" / f"{digest}.part"
        with contextlib.suppress(OSError):
            if held is not None and digest in self.doubtful and os.path.samestat(os.fstat(held), path.stat()):
                self.ack(f"reused {digest}")
            if held is None or not os.path.samestat(os.fstat(held), path.stat()):
                self.parts[digest] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                self.doubtful.discard(digest)

    def _step(self) -> None:
        self.count += 1
        if self.count == self.case.shutdown_at:
            shut_down(Path(self.case.root).parent)


def shut_down(mount: Path) -> None:
    """Let the power of a mounted ext4 or xfs fail: what its journal has not written is lost."""
    fd = os.open(mount, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, SHUTDOWN_IOCTL, struct.pack("I", NO_LOG_FLUSH))
    finally:
        os.close(fd)


def _mark(marks: int, fact: str) -> None:
    # By a call that the code under test never makes: so a tracer hits that code alone.
    os.writev(marks, [fact.encode() + b"\n"])


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def _ignore(_: str) -> None:
    """Say nothing to anybody."""


if __name__ == "__main__":
    serve()
