"""Children: their last words, their end, and their end when the parent is killed."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.demo.child import Child
from gateway.errors import Unavailable

ASLEEP = "import time, sys; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + ASLEEP
# Prints the id of a tethered child once it runs, then waits to be killed.
PARENT = """
import asyncio, sys
from pathlib import Path
from gateway.demo.child import Child

async def main():
    child = await Child.start("asleep", ("-c", sys.argv[1]), Path(sys.argv[2]), listen=True)
    await child.line()
    print(child.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_a_child_is_heard_and_ended(tmp_path: Path) -> None:
    async def scenario() -> Child:
        child = await Child.start("asleep", ("-c", ASLEEP), tmp_path, listen=True)
        assert await child.line() == b"up\n"
        assert not child.ended
        await child.stop()
        await child.stop()
        return child

    assert asyncio.run(scenario()).ended


def test_a_child_that_will_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.demo.child.STOP_LIMIT_S", 0.05)

    async def scenario() -> Child:
        child = await Child.start("stubborn", ("-c", STUBBORN), tmp_path, listen=True)
        assert await child.line() == b"up\n"
        await child.stop()
        return child

    assert asyncio.run(scenario()).ended


def test_the_last_words_of_a_child_are_kept(tmp_path: Path) -> None:
    async def scenario() -> Unavailable:
        child = await Child.start("brief", ("-c", "import sys; sys.exit('no broker')"), tmp_path, listen=True)
        assert await child.line() == b""
        await child.stop()
        return child.complaint()

    assert asyncio.run(scenario()).message == "brief ended with code 1:\nno broker"


def test_a_child_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, ASLEEP, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        child = os.pidfd_open(int(parent.stdout.readline()))
        try:
            assert select.select([child], [], [], 0) == ([], [], [])
            parent.send_signal(signal.SIGKILL)
            parent.wait()
            assert select.select([child], [], [], 20) == ([child], [], [])
        finally:
            os.close(child)


def test_what_children_say_to_each_other_goes_past_any_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "house")
    words = "import os; print(os.environ['no_proxy'], flush=True)"

    async def scenario() -> bytes:
        child = await Child.start("asking", ("-c", words), tmp_path, listen=True)
        try:
            return await child.line()
        finally:
            await child.stop()

    assert asyncio.run(scenario()) == b"house,127.0.0.1\n"
