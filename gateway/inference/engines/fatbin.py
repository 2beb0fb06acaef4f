"""For which GPUs a shared library holds code: read out of its fat binaries, without CUDA and within bounds.

A package may install, import and list the CUDA provider, and hold no code at all
for the GPU of this board; then the first kernel fails with "no kernel image".
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import LoadFailed

MOST_SECTIONS: Final = 65_536
MOST_ENTRIES: Final = 1_000_000

_ELF64_LITTLE: Final = b"\x7fELF\x02\x01"
_ELF_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SECTION_NAMES: Final = (b".nv_fatbin", b"__nv_relfatbin")
_MOST_NAME_BYTES: Final = 32
_NO_BITS: Final = 8

_MAGICS: Final = (
    b"\x50\xed\x55\xba",
    b"\xb1\x43\x62\x46",
)  # of code that is linked, and of code to be linked
_CONTAINER: Final = struct.Struct("<IHHQ")
_ENTRY: Final = struct.Struct(
    "<HHIQIIHHI"
)  # kind, version, header, size, packed size, options, minor, major, sm
_PTX, _CUBIN = 1, 2
_NOTHING: Final = (0, 0)  # what begins like a container and is none counts as a piece of unknown kind

_TEGRA: Final = frozenset({53, 62, 72, 87, 101, 110})


@dataclass(frozen=True, slots=True)
class GpuCode:
    """The GPUs that a library has code for.

    Attributes:
        sass: Those whose own code it holds, as numbers such as 87.
        ptx: Those whose intermediate code it holds, from which drivers make code for later GPUs.
    """

    sass: frozenset[int]
    ptx: frozenset[int]

    def runs_on(self, sm: int) -> bool:
        """Say whether a GPU can run this code.

        GPUs of cards run code of earlier ones of the same generation; those of Tegra chips only their own.
        """
        if sm in self.sass or any(each <= sm for each in self.ptx):
            return True
        return sm not in _TEGRA and any(
            each // 10 == sm // 10 and each <= sm and each not in _TEGRA for each in self.sass
        )

    def __str__(self) -> str:
        words = [f"sm_{each}" for each in sorted(self.sass)] + [f"PTX {each}" for each in sorted(self.ptx)]
        return ", ".join(words) or "no GPU code"


def gpu_code(path: Path) -> GpuCode:
    """Read for which GPUs a shared library holds code.

    Args:
        path: The library; it is mapped, and only headers are read.

    Raises:
        LoadFailed: It cannot be read, is no 64-bit ELF file, or its tables lead out of it.
    """
    sass: set[int] = set()
    ptx: set[int] = set()
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            entries = 0
            for start, end in _sections(data, path):
                for kind, sm in _code(data, start, end):
                    entries += 1
                    if entries > MOST_ENTRIES:
                        raise LoadFailed(f"{path}: more than {MOST_ENTRIES} pieces of GPU code")
                    if kind in (_PTX, _CUBIN):
                        (ptx if kind == _PTX else sass).add(sm)
    except (OSError, ValueError) as error:
        raise LoadFailed(f"{path}: cannot be read: {error}") from error
    return GpuCode(frozenset(sass), frozenset(ptx))


def _sections(data: mmap.mmap, path: Path) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each section with fat binaries."""
    if len(data) < _ELF_HEADER.size or data[:6] != _ELF64_LITTLE:
        raise LoadFailed(f"{path}: is no 64-bit ELF file")
    head = _ELF_HEADER.unpack_from(data)
    table, size, count, names = head[6], head[11], head[12], head[13]
    if not count:
        return
    if size < _SECTION.size or count > MOST_SECTIONS or table + size * count > len(data) or names >= count:
        raise LoadFailed(f"{path}: its table of sections leads out of it")
    name_start = _SECTION.unpack_from(data, table + size * names)[4]
    for index in range(count):
        name, kind, _, _, start, length, *_ = _SECTION.unpack_from(data, table + size * index)
        at = name_start + name
        if kind == _NO_BITS or data[at : at + _MOST_NAME_BYTES].partition(b"\0")[0] not in _SECTION_NAMES:
            continue
        if start + length > len(data):
            raise LoadFailed(f"{path}: a section leads out of it")
        yield start, start + length


def _code(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield kind and GPU of each piece of code between two places; what is no container is passed over."""
    at = start
    nearest = dict.fromkeys(_MAGICS, -1)  # each is looked for anew only once it was passed
    while True:
        for magic, place in nearest.items():
            if place < at:
                found = data.find(magic, at, end)
                nearest[magic] = found if found >= 0 else end
        at = min(nearest.values())
        if at >= end:
            return
        after = _container_end(data, at, end)
        if after is None:
            yield _NOTHING
            at += len(_MAGICS[0])
            continue
        yield from _entries(data, at + _CONTAINER.unpack_from(data, at)[2], after)
        at = after


def _container_end(data: mmap.mmap, at: int, end: int) -> int | None:
    """Return where a container ends; None if what stands here is none."""
    if at + _CONTAINER.size > end:
        return None
    _, version, header, size = _CONTAINER.unpack_from(data, at)
    after = at + int(header) + int(size)
    return after if version == 1 and header >= _CONTAINER.size and after <= end else None


def _entries(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int]]:
    while at + _ENTRY.size <= end:
        kind, _, header, size, _, _, _, _, sm = _ENTRY.unpack_from(data, at)
        if header < _ENTRY.size:
            return
        yield kind, sm
        at += header + size
