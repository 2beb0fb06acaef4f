"""The ends of the child: killed, hanging, talking rubbish, orphaned; each is one typed error."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from gateway.configuration.secret import Secret
from gateway.configuration.settings import MqttSettings
from gateway.errors import (
    FetchFailed,
    StoreBusy,
    StoreFailed,
)
from gateway.updates import updater
from gateway.updates.updater import UpdaterSession
from tests.updates.transport.static_server import Call, StaticServer
from tests.updates.updater_world import (
    World,
    lives,
    look,
)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
def test_a_child_that_dies_or_hangs_is_one_typed_error(
    board: World, server: StaticServer, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    board.release(1)
    monkeypatch.setattr(updater, "_GRACE_S", 0.5)
    asked = threading.Event()

    def stuck(call: Call) -> None:
        asked.set()
        server.stopping.wait(30)

    server.fault = stuck

    async def scenario() -> None:
        limit_s = 3.0 if number is signal.SIGSTOP else 60.0  # a death is told at once, however slow its start
        options = board.with_options(repository=server.url, refresh_s=limit_s)
        async with UpdaterSession(options, board.store.lock_fd) as session:
            work = asyncio.ensure_future(session.refresh(["door"]))
            await asyncio.to_thread(asked.wait, 20)
            os.kill(session.pid, number)
            with pytest.raises(FetchFailed) as caught:
                await work
            words = "in time" if number is signal.SIGSTOP else number.name
            assert words in caught.value.message
            assert not lives(session.pid)

    asyncio.run(scenario())


RUBBISH = {
    "no JSON": "print('hello', flush=True)",
    "no object": "print('[1]', flush=True)",
    "another error": "print('{\"error\": 7}', flush=True)",
    "no end": "sys.stdout.write('x' * (3 << 20)); sys.stdout.flush()",
    "bytes": "os.write(1, bytes(range(256)) + b'\\n')",
    "half": 'os.write(1, b\'{"refreshed": {"assignment": null}}\\n\')',
}


@pytest.mark.parametrize("rubbish", RUBBISH.values(), ids=RUBBISH)
def test_a_child_that_writes_rubbish_is_one_typed_error(
    board: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rubbish: str
) -> None:
    program = tmp_path / "child"
    body = f"#!{sys.executable}\nimport os, sys\n{rubbish}\nsys.stdin.read()\n"
    program.write_text(body)
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(FetchFailed, match="nobody can read"):
        look(board)


def test_a_child_that_cannot_be_started_is_the_stores_fault(
    board: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(StoreFailed, match="cannot be started"):
        look(board)


def test_a_child_without_the_lock_does_nothing(board: World, tmp_path: Path) -> None:
    board.release(1)

    async def scenario(lock_fd: int) -> None:
        async with UpdaterSession(board.options, lock_fd) as session:
            await session.refresh(["door"])

    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    with pytest.raises((StoreBusy, StoreFailed)):
        asyncio.run(scenario(other))
    os.close(other)


def test_the_child_gets_no_secret_of_the_environment_and_shows_none_in_its_command_line(
    board: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "hunter2")
    mqtt = MqttSettings(username="ann", password=Secret("hunter2"))

    async def scenario() -> bytes:
        async with UpdaterSession(board.with_options(mqtt=mqtt), board.store.lock_fd) as session:
            await session.refresh(["door"])
            seen = Path(f"/proc/{session.pid}")
            return (seen / "environ").read_bytes() + (seen / "cmdline").read_bytes()

    shown = asyncio.run(scenario())
    assert b"hunter2" not in shown
    assert b"updater_child" in shown


def test_the_child_dies_with_its_parent(board: World, server: StaticServer) -> None:
    board.release(1)

    def stuck(call: Call) -> None:
        server.stopping.wait(30)

    server.fault = stuck
    parent = textwrap.dedent(
        f"""
        import asyncio, os
        from pathlib import Path
        from gateway.updates.store.store import Store
        from gateway.updates.updater import UpdaterOptions, UpdaterSession

        async def main():
            store = Store.open(Path({str(server.root / "other")!r}), quota_bytes=1 << 30, reserve_bytes=0)
            options = UpdaterOptions(store.root, {server.url!r}, {board.options.root!r}, "porch")
            async with UpdaterSession(options, store.lock_fd) as session:
                work = asyncio.ensure_future(session.refresh([]))
                print(session.pid, flush=True)
                await work

        asyncio.run(main())
        """
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        child = os.pidfd_open(pid)
        while not server.calls:
            assert process.poll() is None
        process.kill()
        process.wait()
    ended, _, _ = select.select([child], [], [], 20)
    os.close(child)
    assert ended
