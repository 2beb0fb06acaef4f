"""Reads small files of the kernel and the system below a root, and asks commands within a time limit."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.operations.kernel_text import number_or_none, text_or_none

_MOST_BYTES: Final = 1 << 20
_COMMAND_LIMIT_S: Final = 5.0

# Runs a command and returns what it printed; None if it is absent, failed, or took too long.
Run = Callable[[tuple[str, ...]], "str | None"]


def read_text(path: Path) -> str:
    """Return a small file without white space around it; empty if it cannot be read, whatever the reason."""
    return text_or_none(str(path)) or ""


def is_there(path: Path) -> bool | None:
    """Say whether a file or folder is there; None where we may not look."""
    try:
        path.stat()
    except PermissionError:
        return None
    except (OSError, ValueError):
        return False
    return True


def read_number(path: Path) -> int | None:
    """Return the whole number that a file holds; None if it holds none."""
    return number_or_none(str(path))


def run_command(command: tuple[str, ...]) -> str | None:
    """Return what a command printed; None if it is absent, failed, or took too long."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "SYSTEMD_PAGER": "cat"}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_COMMAND_LIMIT_S,
            check=True,
            env=environment,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout[:_MOST_BYTES].decode("utf-8", "replace")
