"""Listening at a path: for owner and group, in the place of the dead, never in that of the living."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.serving.listener import Listener
from gateway.serving.unix_socket import PathConnection, bind_path
from tests.serving.test_listener import echo


@pytest.fixture(params=[0o000, 0o022, 0o777])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def asked(path: Path) -> bytes:
    """Return what is answered at a path."""
    connection = PathConnection(str(path), 30.0)
    try:
        connection.request("GET", "/page")
        return connection.getresponse().read()
    finally:
        connection.close()


def test_a_listener_serves_at_a_path_and_takes_it_away(tmp_path: Path) -> None:
    path = tmp_path / "door"

    async def run() -> None:
        async with Listener(echo, f"unix:{path}") as listener:
            assert listener.address == str(path)
            assert await asyncio.to_thread(asked, path) == b"GET /page"
        assert not path.exists()

    for _ in range(2):
        asyncio.run(run())


@pytest.mark.usefixtures("umask")
def test_owner_and_group_may_ask_and_nobody_else(tmp_path: Path) -> None:
    bound = bind_path(str(tmp_path / "door"))
    assert stat.S_IMODE((tmp_path / "door").stat().st_mode) == 0o660
    bound.sock.close()


def test_what_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "door"))
        dead.listen()
    bound = bind_path(str(tmp_path / "door"))
    with bound.sock, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "door"))


@pytest.mark.parametrize("waiting", [0, 1])
def test_a_living_one_is_left_alone_even_with_a_full_queue(tmp_path: Path, waiting: int) -> None:
    path = str(tmp_path / "door")
    with socket.socket(socket.AF_UNIX) as alive, socket.socket(socket.AF_UNIX) as queued:
        alive.bind(path)
        alive.listen(0)
        if waiting:
            queued.connect(path)
        with pytest.raises(OSError, match=r"cannot listen at .*door: somebody listens there already"):
            bind_path(path)
        assert Path(path).is_socket()


def test_a_file_is_never_taken_for_a_socket(tmp_path: Path) -> None:
    (tmp_path / "door").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "door")
    for name in ("door", "link"):
        with pytest.raises(OSError, match="something that is no socket is there"):
            bind_path(str(tmp_path / name))
    assert (tmp_path / "door").read_text() == "precious"


def test_a_folder_that_is_not_there_is_said_with_the_path(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot listen at .*none/door: No such file"):
        bind_path(str(tmp_path / "none" / "door"))


def test_who_has_taken_the_path_meanwhile_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "door"
    first = bind_path(str(path))
    # Another inode than the first one's, which is kept from being used again.
    path.rename(tmp_path / "kept")
    second = bind_path(str(path))
    first.remove()
    assert path.is_socket()
    second.remove()
    assert not path.exists()
    second.remove()
    first.sock.close()
    second.sock.close()
