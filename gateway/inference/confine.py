"""What a process that runs models may do to the machine: read, and no more.

Landlock is a lock that a process puts on itself and cannot take off, without
being root. Where the kernel has none (before 5.13, and so on boards with Linux
4.9) nothing is locked and the answer says so. A thread passes its locks on to the
threads that it starts, so the main thread locks itself before there are others.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterable
from glob import glob
from pathlib import Path

_PR_SET_NO_NEW_PRIVS = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_ASK_VERSION = 1
_RULE_PATH_BENEATH = 1

_CPU = "CPUExecutionProvider"
_DELEGATES_ON_CPU = frozenset({"xnnpack", "compiled"})

_EXECUTE, _WRITE_FILE = 1 << 0, 1 << 1
_CHANGES = sum(1 << bit for bit in range(4, 13))  # remove and make entries of every kind
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_TCP = 0b11  # bind, connect
_SCOPES = 0b11  # abstract sockets, signals

# What a runtime on a GPU opens for writing; there is nothing of it on other machines.
_DEVICES = ("/dev/nv*", "/dev/dri", "/dev/shm")  # noqa: S108 - no file of ours


def confine(*, writable: Iterable[Path] = (), devices: bool = False, sealed: bool = False) -> str:
    """Take from this thread, and all that it starts, every right to change files; return what holds.

    What is open already stays as it is: standard streams, sockets, shared pages.

    Args:
        writable: Folders in which files may be made and changed all the same.
        devices: Whether GPU drivers are needed.
        sealed: Also start no program and speak no TCP: for models that nobody has loaded yet.

    Returns:
        ``landlock N`` with the kernel's version of it, or ``landlock: off`` and why.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    version = libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    if version < 1:
        return f"landlock: off ({os.strerror(ctypes.get_errno())})"
    files = _changes(version) | (_EXECUTE if sealed else 0)
    ruleset = _create(libc, version, files, _TCP if sealed else 0)
    if ruleset < 0:
        return f"landlock: off ({os.strerror(ctypes.get_errno())})"
    try:
        beneath = [*writable, *_present_devices()] if devices else [*writable]
        for path in (Path(os.devnull), *beneath):
            _allow(libc, ruleset, path, _changes(version))
        if libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
            return f"landlock: off ({os.strerror(ctypes.get_errno())})"
    finally:
        os.close(ruleset)
    return f"landlock {version}"


def needs_devices(providers: Iterable[str], delegates: Iterable[str]) -> bool:
    """Say whether anything but the processor was asked for: drivers write to their devices."""
    return not (set(providers) <= {_CPU} and set(delegates) <= _DELEGATES_ON_CPU)


def _changes(version: int) -> int:
    rights = _WRITE_FILE | _CHANGES
    return rights | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)


def _create(libc: ctypes.CDLL, version: int, files: int, network: int) -> int:
    """Return the descriptor of a rule set; each version of the kernel's took a longer struct."""
    words = [files]
    if version >= 4:
        words.append(network)
    if version >= 6:
        words.append(_SCOPES)
    attributes = struct.pack(f"={len(words)}Q", *words)
    return int(libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0))


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    """Allow changes at and beneath a path; nothing happens if it is not there."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not path.is_dir():
                rights &= _WRITE_FILE | _TRUNCATE
            libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, fd), 0)
        finally:
            os.close(fd)


def _present_devices() -> list[Path]:
    return [Path(name) for pattern in _DEVICES for name in sorted(glob(pattern))]  # noqa: PTH207 - absolute
