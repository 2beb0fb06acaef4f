"""The audit log: one JSON object a line, each with the digest of the line before it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.errors import StoreFailed
from gateway.updates.store.durable import aside, rename, sync_folder, write_all
from gateway.updates.store.failpoints import failpoint
from gateway.updates.store.layout import Layout
from gateway.updates.store.reading import read_small
from gateway.updates.store.trouble import told

MOST_FILE_BYTES: Final = 1 << 20
OLDER_FILES: Final = 4
FIRST: Final = "0" * 64
_MOST_TEXT: Final = 500
_MOST_LINE_BYTES: Final = 32 << 10


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain is: enough to find out later whether lines before it are gone.

    Attributes:
        seq: Number of the last line; 0 before the first.
        sha256: Its digest in hex.
    """

    seq: int
    sha256: str


class AuditLog:
    """The files ``audit.jsonl``, ``audit.jsonl.1`` and older. One process writes, one thread at a time."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._head: Head | None = None

    def head(self) -> Head:
        """Return where the chain is; a tail that a power cut tore is cut off first.

        Raises:
            StoreFailed: The log cannot be read or mended.
        """
        if self._head is None:
            with told("audit log"):
                self._head = self._find_head()
        return self._head

    def append(self, event: str, unix_s: int, fields: dict[str, str | int | float]) -> Head:
        """Add a line, durably; return where the chain is now.

        Raises:
            DiskFull: There is no room; nothing was added.
            StoreFailed: The disk did not take it.
        """
        head = self.head()
        line = encode(event, head, unix_s, fields)
        self._head = None  # until it is known to be there
        with told("audit log"):
            self._rotate(len(line))
            self._add(line)
        self._head = Head(head.seq + 1, hashlib.sha256(line[:-1]).hexdigest())
        return self._head

    def _add(self, line: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(self._layout.audit, flags, 0o600)
        try:
            facts = os.fstat(fd)
            if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
                raise StoreFailed("audit log: it is no file of the store's making; move it away")
            end = facts.st_size
            try:
                failpoint("audit.write")
                write_all(fd, line, end)
                failpoint("audit.fsync")
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, end)
                raise
        finally:
            os.close(fd)
        if end == 0:
            sync_folder(self._layout.root, "audit.folder_fsync")

    def _rotate(self, more_bytes: int) -> None:
        path = self._layout.audit
        try:
            if path.lstat().st_size + more_bytes <= MOST_FILE_BYTES:
                return
        except FileNotFoundError:
            return
        for older, newer in zip(range(OLDER_FILES, 1, -1), range(OLDER_FILES - 1, 0, -1), strict=True):
            if file_at(path, newer).exists():
                rename(file_at(path, newer), file_at(path, older), "audit.rotate")
        rename(path, file_at(path, 1), "audit.rotate")
        sync_folder(self._layout.root, "audit.folder_fsync")

    def _find_head(self) -> Head:
        for path in files(self._layout):
            if head := self._last_line(path):
                return head
        return Head(0, FIRST)

    def _last_line(self, path: Path) -> Head | None:
        """Return the last whole line of a file, after cutting off what comes behind it; None without one."""
        try:
            data = read_small(self._layout.root, path, 2 * MOST_FILE_BYTES)
        except FileNotFoundError:
            return None
        except StoreFailed:
            aside(path)
            return None
        end = len(data)
        while end:
            start = data.rfind(b"\n", 0, end - 1) + 1
            line = data[start:end]
            if line.endswith(b"\n") and (said := decode(line)):
                if end < len(data):
                    _cut(path, end)
                return Head(said["seq"], hashlib.sha256(line[:-1]).hexdigest())
            end = start
        if data:
            aside(path)
        return None


def _cut(path: Path, end: int) -> None:
    failpoint("audit.cut")
    fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, end)
        os.fsync(fd)
    finally:
        os.close(fd)


def file_at(path: Path, number: int) -> Path:
    """Return the name of an older file of the log."""
    return path.with_name(f"{path.name}.{number}")


def files(layout: Layout) -> Iterator[Path]:
    """Yield where files of the log may lie, the newest first."""
    yield layout.audit
    for number in range(1, OLDER_FILES + 1):
        yield file_at(layout.audit, number)


def encode(event: str, head: Head, unix_s: int, fields: dict[str, str | int | float]) -> bytes:
    """Return the line that follows ``head``; texts are cut to what a line may hold."""
    told_fields = {name: _brief(value) for name, value in fields.items()}
    body = {**told_fields, "event": event, "prev": head.sha256, "seq": head.seq + 1, "unix_s": unix_s}
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any] | None:
    """Return what a line says; None if it is no line of the log."""
    if len(line) > _MOST_LINE_BYTES:
        return None
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if (
        not isinstance(said, dict)
        or type(said.get("seq")) is not int
        or not isinstance(said.get("prev"), str)
    ):
        return None
    return said


@dataclass(frozen=True, slots=True)
class Break:
    """A place where the chain does not hold.

    Attributes:
        path: Which file.
        problem: What is wrong with it.
        torn: True for the very last line, half written: what a power cut leaves, never acknowledged.
    """

    path: Path
    problem: str
    torn: bool


def breaks(layout: Layout) -> Iterator[Break]:
    """Yield what is wrong with the chain, from the oldest line to the newest."""
    before: Head | None = None
    for path in reversed(list(files(layout))):
        try:
            data = read_small(layout.root, path, 2 * MOST_FILE_BYTES)
        except FileNotFoundError:
            continue
        except (OSError, StoreFailed) as error:
            yield Break(path, str(error), torn=False)
            continue
        lines = data.splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            said = decode(line)
            if said is None or not line.endswith(b"\n"):
                torn = path == layout.audit and number == len(lines)
                yield Break(path, f"line {number} cannot be read", torn)
                continue
            if before is not None and (said["prev"], said["seq"]) != (before.sha256, before.seq + 1):
                problem = f"line {number} (number {said['seq']}) does not follow number {before.seq}"
                yield Break(path, problem, torn=False)
            before = Head(said["seq"], hashlib.sha256(line[:-1]).hexdigest())


def _brief(value: str | float) -> str | int | float:
    return value[:_MOST_TEXT] if isinstance(value, str) else value
