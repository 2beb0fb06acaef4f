"""Long readings in a thread of their own."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from gateway.daemon.background import in_background
from gateway.errors import StoreFailed


def test_what_it_returns_and_what_it_raises_comes_back() -> None:
    def fails() -> int:
        raise StoreFailed("unreadable")

    assert asyncio.run(in_background(lambda: 7)) == 7
    with pytest.raises(StoreFailed, match="unreadable"):
        asyncio.run(in_background(fails))


def test_the_end_of_the_process_does_not_wait_for_it() -> None:
    program = """
import asyncio, threading
from gateway.daemon.background import in_background

async def main():
    begun = threading.Event()
    def endless():
        begun.set()
        threading.Event().wait()
    reading = asyncio.ensure_future(in_background(endless))
    await asyncio.to_thread(begun.wait)
    reading.cancel()

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
