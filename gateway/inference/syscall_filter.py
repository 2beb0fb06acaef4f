"""A filter on system calls for the process that tries models: no forks, programs, sockets, stray signals.

Landlock cannot forbid a fork, and limits on processes do not bind root. A model
that forks would outlive its process; with this filter it cannot. The filter holds
for every thread of the process and cannot be taken off.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 38, 22
_MODE_FILTER = 2

# Name: (x86-64, aarch64); None where the architecture has no such call.
_REFUSED: dict[str, tuple[int | None, int]] = {
    "socket": (41, 198),
    "connect": (42, 203),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_writev": (311, 271),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "pidfd_send_signal": (424, 424),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "reboot": (169, 142),
}
_OLD_FORKS = (57, 58)  # fork and vfork, on x86-64 alone
_CLONE, _CLONE3 = (56, 220), 435
_TO_PROCESS = ((62, 129), (234, 131))  # kill, tgkill: the process is their first argument
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_X32 = 0x40000000
_CLONE_THREAD = 0x10000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000


def forbid() -> str:
    """Put the filter on this process's calling thread and all that it starts; return what holds.

    Returns:
        ``syscalls filtered``, or ``syscalls: not filtered`` and why.
    """
    known = _ARCHITECTURES.get(platform.machine())
    if known is None:
        return f"syscalls: not filtered (unknown machine {platform.machine()})"
    program = b"".join(struct.pack("=HBBI", *step) for step in _program(*known, os.getpid()))
    held = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, header, 0, 0) != 0:
        return f"syscalls: not filtered ({os.strerror(ctypes.get_errno())})"
    return "syscalls filtered"


Step = tuple[int, int, int, int]


def _program(architecture: int, column: int, pid: int) -> list[Step]:
    """Return the filter: code, steps to skip if true, steps to skip if false, operand."""
    refused = (_RETURN, 0, 0, _ERROR | errno.EPERM)
    steps: list[Step] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, architecture),
        refused,
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    if column == 0:
        steps += [(_AT_LEAST, 0, 1, _X32), refused]
        for number in _OLD_FORKS:
            steps += [(_EQUAL, 0, 1, number), refused]
    for numbers in _REFUSED.values():
        steps += [(_EQUAL, 0, 1, numbers[column] or 0), refused]
    # Its flags lie in memory, where no filter sees them: the C library then asks clone.
    steps += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERROR | errno.ENOSYS)]
    steps += [
        (_EQUAL, 0, 4, _CLONE[column]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_ANY_BIT, 1, 0, _CLONE_THREAD),
        refused,
        (_RETURN, 0, 0, _ALLOW),
    ]
    for numbers in _TO_PROCESS:
        steps += [
            (_EQUAL, 0, 4, numbers[column]),
            (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
            (_EQUAL, 1, 0, pid),
            refused,
            (_RETURN, 0, 0, _ALLOW),
        ]
    return [*steps, (_RETURN, 0, 0, _ALLOW)]
