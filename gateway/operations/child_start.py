"""What a child process does first: it ties its life to its parent's and keeps standard output for answers."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_OOM_SCORE: Final = "500"


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; end at once if it has ended.

    Args:
        parent: Process id of the parent, as it said itself, or as it is now.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)


def leave_signals_to_the_parent() -> None:
    """Ignore what reaches a whole group: Ctrl-C, a stop, a terminal's end, a reload. The parent decides."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def offer_to_the_oom_killer() -> None:
    """Have the kernel take this process under memory pressure, and not the front end."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")


def take_stdout() -> int:
    """Return a descriptor of standard output; whatever else prints goes to standard error from now on."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers
