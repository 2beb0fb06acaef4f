"""Watching a folder: real changes on a real file system, told by the kernel."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt.wait import done_by
from gateway.operations import folder_watch, inotify
from gateway.operations.folder_watch import FolderWatch, mounted_as
from gateway.operations.inotify import Inotify, events_of

LIMIT_S = 30.0
QUIET_S = 0.1

Scene = Callable[[FolderWatch], Awaitable[None]]


async def told(watch: FolderWatch) -> None:
    """Wait for one change; fail if none comes."""
    waiting = asyncio.ensure_future(watch.__anext__())
    try:
        assert await done_by(waiting, asyncio.get_running_loop().time() + LIMIT_S), "no change was told"
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def told_until(watch: FolderWatch, holds: Callable[[], bool]) -> None:
    """Take changes until something holds."""
    while not holds():
        await told(watch)


def watched(path: Path, scene: Scene, **more: Any) -> None:
    """Play a scene on a folder that is watched."""

    async def play() -> None:
        async with FolderWatch(path, quiet_s=QUIET_S, **more) as watch:
            assert more or watch.slow == ""
            await scene(watch)

    asyncio.run(play())


CHANGES: dict[str, Callable[[Path, Path], object]] = {
    "written": lambda path, _: (path / "new.onnx").write_bytes(b"x"),
    "overwritten": lambda path, _: (path / "there.onnx").write_bytes(b"y"),
    "appended": lambda path, _: _append(path / "there.onnx"),
    "deleted": lambda path, _: (path / "there.onnx").unlink(),
    "renamed": lambda path, _: (path / "there.onnx").rename(path / "renamed.onnx"),
    "moved here": lambda path, other: other.rename(path / "moved.onnx"),
    "moved away": lambda path, other: (path / "there.onnx").rename(other),
    "replaced": lambda path, other: other.replace(path / "there.onnx"),
    "linked": lambda path, other: os.link(other, path / "linked.onnx"),
    "a link": lambda path, other: (path / "link.onnx").symlink_to(other),
    "a folder": lambda path, _: (path / "folder").mkdir(),
    "made readable": lambda path, _: (path / "there.onnx").chmod(0o600),
    "touched": lambda path, _: os.utime(path / "there.onnx", (1, 1)),
}


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"z")


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_happens_in_the_folder_is_told(tmp_path: Path, what: str) -> None:
    path, other = tmp_path / "models", tmp_path / "other.onnx"
    path.mkdir()
    (path / "there.onnx").write_bytes(b"x")
    other.write_bytes(b"x")

    async def scene(watch: FolderWatch) -> None:
        CHANGES[what](path, other)
        await told(watch)
        assert watch.writing == frozenset()

    watched(path, scene)


def test_what_happens_in_a_folder_inside_is_told_even_if_it_came_later(tmp_path: Path) -> None:
    async def scene(watch: FolderWatch) -> None:
        inner = tmp_path / "model" / "golden"
        inner.mkdir(parents=True)
        await told(watch)
        (inner / "cat.jpg").write_bytes(b"x")
        await told(watch)
        (tmp_path / "model").rename(tmp_path / "other")
        await told(watch)
        (tmp_path / "other" / "golden" / "cat.jpg").write_bytes(b"y")
        await told(watch)

    watched(tmp_path, scene)


def test_a_file_is_being_written_until_its_writer_closes_it(tmp_path: Path) -> None:
    async def scene(watch: FolderWatch) -> None:
        path = tmp_path / "slow.onnx"
        file = path.open("wb", buffering=0)
        file.write(b"first")
        await told(watch)
        assert watch.writing == {path}
        file.write(b"more")  # no news: it is known to be written
        (tmp_path / "other.onnx").write_bytes(b"x")
        await told(watch)
        assert watch.writing == {path}
        file.close()
        await told_until(watch, lambda: not watch.writing)

    watched(tmp_path, scene)


def test_a_file_that_is_opened_again_to_be_changed_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "there.onnx"
    path.write_bytes(b"x" * 100)

    async def scene(watch: FolderWatch) -> None:
        file = path.open("r+b", buffering=0)
        file.write(b"y")
        await told(watch)
        assert watch.writing == {path}
        path.unlink()  # nobody waits for a writer of what has gone
        await told_until(watch, lambda: not watch.writing)
        file.close()

    watched(tmp_path, scene)


def test_many_changes_are_told_together_and_hidden_ones_not_at_all(tmp_path: Path) -> None:
    async def scene(watch: FolderWatch) -> None:
        for number in range(500):
            (tmp_path / f"{number}.onnx").write_bytes(b"x")
        await told(watch)
        (tmp_path / ".hidden").write_bytes(b"x")
        (tmp_path / ".folder").mkdir()
        (tmp_path / "last.onnx").write_bytes(b"x")
        await told(watch)
        # Whatever was told twice would be told by now.
        silent = asyncio.ensure_future(watch.__anext__())
        assert not await done_by(silent, asyncio.get_running_loop().time() + 5 * QUIET_S)
        silent.cancel()
        await asyncio.gather(silent, return_exceptions=True)

    watched(tmp_path, scene)


def test_a_folder_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "far" / "away" / "models"

    async def scene(watch: FolderWatch) -> None:
        path.parent.mkdir(parents=True)
        await told(watch)
        path.mkdir()
        await told(watch)
        (path / "m.onnx").write_bytes(b"x")
        await told(watch)
        (path / "m.onnx").unlink()
        path.rmdir()
        await told_until(watch, lambda: not path.exists())
        path.mkdir()
        await told(watch)
        (path / "m.onnx").write_bytes(b"x")
        await told(watch)

    watched(path, scene)


def test_a_folder_that_is_replaced_by_another_is_watched_anew(tmp_path: Path) -> None:
    path, other = tmp_path / "models", tmp_path / "other"
    path.mkdir()
    other.mkdir()

    async def scene(watch: FolderWatch) -> None:
        path.rename(tmp_path / "old")
        await told(watch)
        other.rename(path)
        await told(watch)
        (path / "m.onnx").write_bytes(b"x")
        await told(watch)

    watched(path, scene)


def test_lost_events_count_as_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = [inotify.FolderEvent(-1, inotify.OVERFLOW, "")]
    real = Inotify.read

    def read(kernel: Inotify) -> list[inotify.FolderEvent]:
        real(kernel)
        return lost

    async def scene(watch: FolderWatch) -> None:
        monkeypatch.setattr(Inotify, "read", read)
        (tmp_path / ".hidden").write_bytes(b"x")  # only the loss of events is told
        await told(watch)

    watched(tmp_path, scene)


@pytest.mark.parametrize("call", ["__init__", "watch"])
def test_without_the_kernel_s_help_a_look_is_called_for_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Inotify, call, refuse)

    async def scene(watch: FolderWatch) -> None:
        assert "No space left on device" in watch.slow
        await told(watch)
        await told(watch)

    watched(tmp_path, scene, slow_s=0.05)


def test_changes_on_a_network_are_looked_for_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_watch, "_file_system", lambda _: "nfs4")

    async def scene(watch: FolderWatch) -> None:
        assert "nfs4" in watch.slow
        await told(watch)

    watched(tmp_path, scene, slow_s=0.05)


def test_the_kind_of_a_file_system_is_the_innermost_mount_s() -> None:
    lines = (
        "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
        "30 22 0:40 / /mnt/my\\040disk rw - nfs4 host:/x rw\n"
        "31 30 0:41 / /mnt/my\\040disk/inner rw master:2 - tmpfs tmpfs rw\n"
        "garbage\n"
    )
    assert mounted_as(lines, Path("/srv/models")) == "ext4"
    assert mounted_as(lines, Path("/mnt/my disk/models")) == "nfs4"
    assert mounted_as(lines, Path("/mnt/my disk/inner/models")) == "tmpfs"
    assert mounted_as(lines, Path("/mnt/my disks")) == "ext4"
    assert mounted_as("", Path("/")) == ""


@given(st.text(), st.text(max_size=20))
def test_any_mount_table_gives_a_word(lines: str, path: str) -> None:
    assert isinstance(mounted_as(lines, Path("/") / path.replace("\0", "")), str)


@given(st.binary(max_size=200))
def test_any_bytes_give_events_that_end(data: bytes) -> None:
    assert len(list(events_of(data))) <= len(data) // 16


def test_nothing_is_open_after_the_watch(tmp_path: Path) -> None:
    def held() -> set[str]:
        return {str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if os.path.lexists(each)}

    async def scene(watch: FolderWatch) -> None:
        assert any("inotify" in each for each in held())

    before = held()
    watched(tmp_path, scene)
    assert not any("inotify" in each for each in held() - before)
