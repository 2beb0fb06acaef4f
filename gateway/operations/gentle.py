"""Starts a program with hardly any weight against what serves, from its very first instruction on."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from typing import Final

GENTLE: Final = 19  # a nice value: what serves goes very nearly alone
PATIENCE: Final = 5.0  # how many times as long as otherwise a load or a proof may take then
_SHELL: Final = "/bin/sh"
_NICE: Final = 'exec nice -n "$0" "$@"'
# Where the scheduler groups sessions (autogroup), the group's own nice value counts against others.
_GROUP: Final = 'echo "$0" 2>/dev/null >/proc/self/autogroup; ' + _NICE


def gently(command: Sequence[str], politeness: int, *, own_session: bool) -> list[str]:
    """Return the command that starts ``command`` with a nice value; the same process then runs it.

    A program that lowers itself has loaded its libraries by then, at full weight.

    Args:
        command: Program and arguments.
        politeness: Nice value, 1 to 19.
        own_session: True if it is started in a session of its own: then all of that gives way.
    """
    if shutil.which(_SHELL) is None or shutil.which(command[0]) is None:
        return list(command)  # what cannot be started is found out by whoever starts it, not by a shell
    return [_SHELL, "-c", _GROUP if own_session else _NICE, str(politeness), *command]


def give_way(niceness: int) -> None:
    """Give the calling thread a nice value, unless it has a greater one; nobody takes one back."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, max(niceness, os.getpriority(os.PRIO_PROCESS, 0)))
