"""Regions of the real ``/dev/shm``: taken by name, read and written in bounds, safe from their owners."""

from __future__ import annotations

import multiprocessing
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest
import tritonclient.utils.shared_memory as triton_shm
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.serving_settings import SharedMemorySettings
from gateway.errors import (
    AlreadyThere,
    GatewayError,
    Malformed,
    NotSupported,
    RequestRefused,
    TooLarge,
    UnknownRegion,
)
from gateway.serving.regions import Regions, RegionView
from gateway.serving.shared_memory.local_regions import LocalRegions, NoRegions

SIZE = 4096


@dataclass(frozen=True, slots=True)
class Shared:
    """An object that another part of the program made."""

    name: str
    buf: memoryview


@contextmanager
def made(size: int) -> Iterator[Shared]:
    """Make an object as Python programs do."""
    memory = SharedMemory(create=True, size=size)
    assert memory.buf is not None
    yield Shared(memory.name, memory.buf)
    memory.close()
    memory.unlink()


@pytest.fixture
def shared() -> Iterator[Shared]:
    """Make an object full of numbers."""
    with made(SIZE) as memory:
        memory.buf[:] = bytes(range(256)) * 16
        yield memory


def regions(**limits: int | bool) -> LocalRegions:
    """Return regions within these limits."""
    return LocalRegions(SharedMemorySettings(**limits))  # type: ignore[arg-type]


def open_files() -> int:
    """Count this process's descriptors."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def maps(name: str) -> int:
    """Count this process's mappings of an object."""
    return Path("/proc/self/maps").read_text().count(name)


def test_a_part_of_a_region_is_read_at_the_regions_offset(shared: Shared) -> None:
    held = regions()
    for name, key in (("plain", shared.name), ("slash", f"/{shared.name}")):
        held.register(RegionView(name, key, 16, 64))
        assert bytes(held.read(name, 4, 8)) == bytes(range(20, 28))
        assert bytes(held.read(name, 0, 64)) == bytes(range(16, 80))
        assert bytes(held.read(name, 64, 0)) == b""


def test_what_was_read_does_not_change_any_more(shared: Shared) -> None:
    held = regions()
    held.register(RegionView("in", shared.name, 0, SIZE))
    before = held.read("in", 0, 16)
    shared.buf[:16] = b"\xff" * 16
    assert bytes(before) == bytes(range(16))
    assert before.readonly


def test_an_output_is_written_where_the_client_wants_it(shared: Shared) -> None:
    held = regions()
    held.register(RegionView("out", shared.name, 100, 50))
    held.write("out", 10, 8, b"12345678")
    held.write("out", 20, 30, np.arange(3, dtype=np.int32).data)
    assert bytes(shared.buf[110:118]) == b"12345678"
    assert np.frombuffer(bytes(shared.buf[120:132]), np.int32).tolist() == [0, 1, 2]
    with pytest.raises(TooLarge, match=r"9 bytes.*'out' has 8"):
        held.write("out", 10, 8, b"123456789")
    assert bytes(shared.buf[110:119]) == b"12345678" + bytes([118])


@pytest.mark.parametrize(
    ("offset", "byte_size", "words"),
    [
        (64, 1, "Invalid offset for shared memory region: 'in'"),
        (-1, 4, "Invalid offset for shared memory region: 'in'"),
        (2**64 - 32, 4, "Invalid offset for shared memory region: 'in'"),
        (60, 64, r"Invalid offset \+ byte size for shared memory region: 'in'"),
        (0, 65, r"Invalid offset \+ byte size for shared memory region: 'in'"),
        (0, -1, r"Invalid offset \+ byte size for shared memory region: 'in'"),
        (1, 2**64 - 1, r"Invalid offset \+ byte size for shared memory region: 'in'"),
    ],
)
def test_nothing_outside_of_a_region_is_touched(
    shared: Shared, offset: int, byte_size: int, words: str
) -> None:
    held = regions()
    held.register(RegionView("in", shared.name, 0, 64))
    before = bytes(shared.buf)
    with pytest.raises(Malformed, match=words):
        held.read("in", offset, byte_size)
    with pytest.raises(Malformed, match=words):
        held.write("in", offset, byte_size, b"")
    assert bytes(shared.buf) == before


@pytest.mark.parametrize(
    "key",
    [
        *("", "/", "//x", "..", "/..", ".", "/.hidden", "../etc/passwd", "/a/b", "a/../b", "x\0", "x\n", "ü"),
        *("a" * 256, "/sem.lock", "sem.mp-1", "/triton_python_backend_shm_region_1", "a b", "\\x", "-x"),
    ],
)
def test_a_key_that_is_no_plain_name_opens_nothing(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", None)
    with pytest.raises(Malformed, match="cannot register shared memory region 'r' with key"):
        regions().register(RegionView("r", key, 0, 1))


@given(key=st.text(max_size=300) | st.text("/.sem~a", max_size=12), name=st.text(max_size=300))
def test_any_key_is_a_file_of_the_folder_or_a_typed_error(key: str, name: str) -> None:
    before = open_files()
    held = regions()
    with pytest.raises(RequestRefused):
        held.register(RegionView(name, key, 0, 2**40))
    assert open_files() == before


def test_links_folders_pipes_and_sockets_are_not_taken_for_memory(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 64)
    folder = tmp_path / "shm"
    folder.mkdir()
    (folder / "link").symlink_to(secret)
    (folder / "dangling").symlink_to(folder / "none")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(folder / "socket"))
        held = LocalRegions(SharedMemorySettings(), str(folder))
        before = open_files()
        for name in ("link", "dangling", "folder", "pipe", "socket"):
            with pytest.raises(
                UnknownRegion, match=r"Unable to open shared memory region: '/.*no regular object"
            ):
                held.register(RegionView("r", f"/{name}", 0, 1))
        with pytest.raises(UnknownRegion, match="Unable to open shared memory region: '/none': No such file"):
            held.register(RegionView("r", "/none", 0, 1))
        assert open_files() == before
    assert held.status() == ()


def test_registering_says_what_is_wrong_in_words_that_clients_know(shared: Shared) -> None:
    held = regions(max_regions=2, max_region_bytes=2048)
    held.register(RegionView("a", shared.name, 0, 1024))
    with pytest.raises(AlreadyThere, match="shared memory region 'a' already in manager"):
        held.register(RegionView("a", shared.name, 0, 1024))
    with pytest.raises(Malformed, match=r"failed to register shared memory region 'b': invalid args: .*4096"):
        held.register(RegionView("b", shared.name, 4000, 97))
    with pytest.raises(TooLarge, match=r"2049 bytes; serving\.shared_memory\.max_region_bytes allows 2048"):
        held.register(RegionView("b", shared.name, 0, 2049))
    for offset, byte_size in ((-1, 10), (0, 0), (0, -5)):
        with pytest.raises(Malformed, match="invalid args"):
            held.register(RegionView("b", shared.name, offset, byte_size))
    for name in ("", "x" * 256, "a\nb"):
        with pytest.raises(Malformed, match="no name of a region"):
            held.register(RegionView(name, shared.name, 0, 1))
    held.register(RegionView("b", shared.name, 0, 1))
    with pytest.raises(TooLarge, match="max_regions"):
        held.register(RegionView("c", shared.name, 0, 1))
    held.unregister("a")
    held.register(RegionView("c", shared.name, 0, 1))


def test_status_lists_what_is_registered_until_it_is_unregistered(shared: Shared) -> None:
    held = regions()
    views = [RegionView(name, shared.name, 0, 8) for name in ("b", "a")]
    before = open_files()
    for view in views:
        held.register(view)
    assert held.status() == (views[1], views[0])
    assert held.status("b") == (views[0],)
    held.unregister("b")
    held.unregister("never was there")
    assert held.status() == (views[1],)
    with pytest.raises(UnknownRegion, match="Unable to find shared memory region: 'b'"):
        held.status("b")
    with pytest.raises(UnknownRegion, match="Unable to find shared memory region: 'b'"):
        held.read("b", 0, 1)
    held.unregister()
    assert held.status() == ()
    assert open_files() == before


def test_an_output_finds_its_place_although_the_region_was_unregistered_meanwhile(
    shared: Shared,
) -> None:
    held = regions()
    before = open_files()
    held.register(RegionView("out", shared.name, 0, 64))
    place = held.place("out", 8, 8)
    held.unregister("out")
    with made(64) as other:
        held.register(RegionView("out", other.name, 0, 64))
        place.write(b"answered")
        assert bytes(shared.buf[8:16]) == b"answered"
        assert bytes(other.buf) == bytes(64)
    held.unregister()
    assert open_files() == before + 1
    del place
    assert open_files() == before


def test_an_object_that_the_gateway_may_only_read_gives_inputs_and_takes_no_outputs(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def refuse_writing(path: str, flags: int) -> int:
        if flags & os.O_ACCMODE == os.O_RDWR:
            raise PermissionError(13, "Permission denied")
        return real(path, flags)

    monkeypatch.setattr(os, "open", refuse_writing)  # the tests' user may be one who may everything
    held = regions()
    held.register(RegionView("in", shared.name, 0, 64))
    assert bytes(held.read("in", 0, 4)) == bytes(range(4))
    with pytest.raises(UnknownRegion, match="takes no output"):
        held.place("in", 0, 4)


def test_an_object_that_was_shrunk_gives_an_error_and_is_not_made_longer_again() -> None:
    path = Path("/dev/shm") / f"gateway-test-{uuid.uuid4().hex}"
    path.write_bytes(b"x" * SIZE)
    held = regions()
    held.register(RegionView("in", path.name, 0, SIZE))
    os.truncate(path, 100)
    assert bytes(held.read("in", 0, 100)) == b"x" * 100
    for work in (lambda: held.read("in", 50, 51), lambda: held.write("in", 0, 101, b"y" * 101)):
        with pytest.raises(UnknownRegion, match="was shrunk"):
            work()
    assert path.stat().st_size == 100
    path.unlink()
    assert bytes(held.read("in", 0, 100)) == b"x" * 100


def _shrink_and_grow(name: str, stop: multiprocessing.synchronize.Event) -> None:
    path = f"/dev/shm/{name}"
    while not stop.is_set():
        os.truncate(path, 0)
        os.truncate(path, 1 << 20)


def test_a_client_that_shrinks_its_object_under_our_reads_and_writes_does_not_end_the_process() -> None:
    """With a mapping in place of the descriptor this process would be gone (SIGBUS)."""
    name = f"gateway-test-{uuid.uuid4().hex}"
    path = Path("/dev/shm") / name
    path.write_bytes(bytes(1 << 20))
    held = regions()
    held.register(RegionView("in", name, 0, 1 << 20))
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    other = context.Process(target=_shrink_and_grow, args=(name, stop))
    other.start()
    seen = {"whole": 0, "short": 0}
    try:
        while min(seen.values()) < 20:
            try:
                whole = len(held.read("in", 0, 1 << 20)) == 1 << 20
                held.write("in", 0, 1 << 20, bytes(1 << 20))
            except UnknownRegion:
                whole = False
            seen["whole" if whole else "short"] += 1
    finally:
        stop.set()
        other.join()
        path.unlink()
    assert other.exitcode == 0
    assert maps(name) == 0


def test_a_region_that_tritons_client_made_is_read_and_written() -> None:
    key = f"/gateway-test-{uuid.uuid4().hex}"
    handle = triton_shm.create_shared_memory_region("in", key, 256)
    try:
        values = np.arange(16, dtype=np.float32)
        triton_shm.set_shared_memory_region(handle, [values], offset=64)
        held = regions()
        held.register(RegionView("in", key, 0, 256))
        assert np.frombuffer(held.read("in", 64, 64), np.float32).tolist() == values.tolist()
        held.write("in", 128, 64, (values * 2).data)
        back = triton_shm.get_contents_as_numpy(handle, np.float32, [16], offset=128)
        assert back.tolist() == (values * 2).tolist()
        del back
    finally:
        triton_shm.destroy_shared_memory_region(handle)


@pytest.mark.parametrize("held", [NoRegions(), regions(system=False)])
def test_where_shared_memory_is_off_every_question_has_an_answer(held: Regions) -> None:
    with pytest.raises(NotSupported, match=r"shared memory"):
        held.register(RegionView("in", "/x", 0, 1))
    held.unregister()
    held.unregister("in")
    assert list(held.status()) == []
    for work in (lambda: held.read("in", 0, 1), lambda: held.place("in", 0, 1), lambda: held.status("in")):
        with pytest.raises(GatewayError, match=r"in"):
            work()
    with pytest.raises((NotSupported, UnknownRegion)):
        held.write("in", 0, 1, b"")
