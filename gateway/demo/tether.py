"""Starts a command that ends when its parent does: ``python -m gateway.demo.tether PARENT COMMAND ...``.

The kernel remembers the request across exec, so what runs afterwards is the
command itself, under the same process id.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become the command; exit at once if the parent is gone already.

    Args:
        arguments: The parent's process id, then the command.
    """
    parent, *command = arguments
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # The parent may have died before the kernel was told.
    if os.getppid() != int(parent):
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - the command is the point of this program


if __name__ == "__main__":
    main(sys.argv[1:])
