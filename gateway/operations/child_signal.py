"""Sends a signal to a child process without taking its exit status away from whoever waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal


def signal_child(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signal a child of asyncio; nothing happens if it has ended.

    ``Process.send_signal`` and ``kill`` poll first: they reap a child that has
    just died, and asyncio then reports exit code 255 whatever it was.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
