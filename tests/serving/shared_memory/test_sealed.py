"""Which descriptors are taken for memory: sealed, whole, of plain pages; everything else is refused."""

from __future__ import annotations

import ctypes
import fcntl
import gc
import mmap
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.errors import Malformed, TooLarge, UnknownRegion
from gateway.serving.shared_memory.sealed import NEEDED_SEALS, SealedMemory, check_sealed, is_memory
from tests.serving.shared_memory.small_models import maps, open_files

SIZE = 16_384
FUTURE_WRITE = 0x10


@contextmanager
def memory(
    seals: int = NEEDED_SEALS, size: int = SIZE, flags: int = 0, *, whole: bool = True
) -> Iterator[int]:
    """Make memory with these seals."""
    fd = os.memfd_create("t-memory", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING | flags)
    try:
        if whole and size:
            os.posix_fallocate(fd, 0, size)
        else:
            os.ftruncate(fd, size)
        if seals:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        yield fd
    finally:
        os.close(fd)


def test_sealed_memory_is_read_and_written_through_one_mapping() -> None:
    with memory() as fd:
        held = SealedMemory(fd, "r", SIZE)
        os.pwrite(fd, b"from the client", 100)
        assert bytes(held.part(100, 15)) == b"from the client"
        held.check_place(4096, 11)
        held.write(4096, memoryview(b"the gateway"))
        assert os.pread(fd, 11, 4096) == b"the gateway"
        assert held.writable
        for offset, size in ((SIZE, 1), (SIZE - 1, 2), (-1, 1), (0, SIZE + 1)):
            with pytest.raises(Malformed):
                held.part(offset, size)
            with pytest.raises(Malformed):
                held.check_place(offset, size)


def test_a_mapping_lives_as_long_as_the_last_view_on_it() -> None:
    gc.collect()
    before = open_files()
    with memory() as fd:
        held = SealedMemory(fd, "r", SIZE)
        part = held.part(0, 4)
        os.pwrite(fd, b"here", 0)
        del held
    assert bytes(part) == b"here"
    assert maps() == 1
    del part
    assert maps() == 0
    assert open_files() == before


@pytest.mark.parametrize("seals", [0, fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_SEAL])
def test_memory_that_may_shrink_or_grow_is_refused(seals: int) -> None:
    with memory(seals) as fd, pytest.raises(Malformed, match="seal the memory"):
        SealedMemory(fd, "r", SIZE)


def test_memory_that_is_empty_too_large_or_full_of_holes_is_refused() -> None:
    with memory(size=0) as fd, pytest.raises(Malformed, match="is empty"):
        check_sealed(fd, "r", SIZE)
    with memory() as fd, pytest.raises(TooLarge, match=r"16384 bytes.*allows 16383"):
        check_sealed(fd, "r", SIZE - 1)
    with memory(whole=False) as fd, pytest.raises(Malformed, match="has holes"):
        check_sealed(fd, "r", SIZE)


def test_memory_of_huge_pages_is_refused() -> None:
    try:
        fd = os.memfd_create("t-huge", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING | os.MFD_HUGETLB)
    except OSError as error:
        pytest.skip(f"the kernel makes none: {error}")
    os.ftruncate(fd, 1 << 21)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, NEEDED_SEALS)
    with pytest.raises(Malformed, match="huge pages"):
        check_sealed(fd, "r", 1 << 30)
    os.close(fd)


@pytest.mark.parametrize("seal", [fcntl.F_SEAL_WRITE, FUTURE_WRITE])
def test_memory_that_is_sealed_against_writing_gives_inputs_only(seal: int) -> None:
    with memory(NEEDED_SEALS) as fd:
        os.pwrite(fd, b"input", 0)
        try:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seal)
        except OSError as error:
            pytest.skip(f"the kernel does not know the seal: {error}")
        held = SealedMemory(fd, "r", SIZE)
        assert bytes(held.part(0, 5)) == b"input"
        assert not held.writable
        with pytest.raises(UnknownRegion, match="read-only"):
            held.check_place(0, 5)


def test_a_descriptor_that_reads_only_gives_inputs_only() -> None:
    with memory() as fd:
        reading = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
        held = SealedMemory(reading, "r", SIZE)
        os.close(reading)
        assert not held.writable
        os.pwrite(fd, b"later", 0)
        assert bytes(held.part(0, 5)) == b"later"
        writing = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY)
        with pytest.raises(Malformed, match="cannot be mapped"):
            SealedMemory(writing, "r", SIZE)
        os.close(writing)


def test_files_sockets_pipes_devices_and_paths_are_no_memory(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"x" * SIZE)
    path = os.O_PATH
    fds = [os.open(plain, os.O_RDWR), os.open("/dev/zero", os.O_RDWR), os.open(plain, path), *os.pipe()]
    with socket.socket(socket.AF_UNIX) as door, memory() as sealed:
        fds.append(os.open(f"/proc/self/fd/{sealed}", path))
        assert [is_memory(fd) for fd in (*fds, door.fileno())] == [False] * 7
        assert is_memory(sealed)
    for fd in fds:
        os.close(fd)


def test_nobody_can_shrink_what_was_taken() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with memory() as fd:
        held = SealedMemory(fd, "r", SIZE)
        for size in (0, 100, SIZE - 1, SIZE + 1):
            with pytest.raises(PermissionError):
                os.ftruncate(fd, size)
        # A hole can be made, and is read as zeros: no page of the mapping is ever missing.
        os.pwrite(fd, b"x" * SIZE, 0)
        assert libc.fallocate(fd, 3, ctypes.c_long(0), ctypes.c_long(SIZE)) == 0
        assert bytes(held.part(0, SIZE)) == bytes(SIZE)
        mapped = mmap.mmap(fd, SIZE)
        assert mapped[:4] == bytes(4)
        mapped.close()
