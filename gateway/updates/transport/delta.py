"""Makes a blob out of another and a patch, as ``zstd --patch-from`` does.

Nothing that a patch says is believed: the room that it may take is bounded
before it is opened, what comes out is cut off at the size that was signed, and
every chunk of it must have its signed hash.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from gateway.errors import FetchRefused, StoreFailed
from gateway.updates.release import CHUNK_BYTES, Blob, Delta

if TYPE_CHECKING:
    import zstandard

    from gateway.updates.transport.download import Incoming

_LEAST_WINDOW: Final = 1 << 20
_MOST_WINDOW: Final = 1 << 31
# The head of a frame is at most this long.
_HEAD_BYTES: Final = 18
_READ_BYTES: Final = 128 << 10


def can_patch() -> bool:
    """Tell whether zstandard is installed: the extra ``delta``."""
    from importlib.util import find_spec

    return find_spec("zstandard") is not None


def memory_bytes(from_bytes: int, to_bytes: int) -> int:
    """Return the memory that a patch takes at most: the old blob, twice while it is read, and the window."""
    return from_bytes + max(from_bytes, window_bytes(from_bytes, to_bytes))


def apply(delta: Delta, old: Path, patch: Path, blob: Blob, into: Incoming) -> None:
    """Write the chunks that come out of a patch into a blob on its way.

    Args:
        delta: What the manifest says of the patch.
        old: File of the blob to start from.
        patch: File of the patch.
        blob: What must come out.
        into: Where its chunks go; each is checked there.

    Raises:
        FetchRefused: It is no such patch, takes more room than it may, or something else comes out.
        StoreFailed: A file cannot be read.
    """
    import zstandard

    what = f"patch {delta.blob.sha256[:12]}"
    try:
        with old.open("rb") as before, patch.open("rb") as file:
            size = os.fstat(before.fileno()).st_size
            if not size:
                raise FetchRefused(f"{what}: the blob to start from is empty")
            most = window_bytes(size, blob.size_bytes)
            _check_head(file.read(_HEAD_BYTES), most, blob, what)
            file.seek(0)
            decoder = zstandard.ZstdDecompressor(dict_data=_dictionary(before, size), max_window_size=most)
            with decoder.stream_reader(file, read_size=_READ_BYTES, read_across_frames=False) as reader:
                for index, data in enumerate(_pieces(reader, blob, what)):
                    into.write(index, data)
    except zstandard.ZstdError as error:
        raise FetchRefused(f"{what}: {error}", blob=delta.blob.sha256) from None
    except OSError as error:
        raise StoreFailed(f"{what}: {error.strerror}") from error


def _check_head(head: bytes, most_window: int, blob: Blob, what: str) -> None:
    """Refuse a patch that says itself that it is not for this blob, or needs more room than one."""
    import zstandard

    said = zstandard.get_frame_parameters(head)
    if said.content_size not in {blob.size_bytes, zstandard.CONTENTSIZE_UNKNOWN}:
        raise FetchRefused(f"{what}: {said.content_size} bytes come out of it, {blob.size_bytes} were signed")
    if said.window_size > most_window:
        raise FetchRefused(f"{what}: it needs a window of {said.window_size} bytes, {most_window} are enough")


def _pieces(reader: BinaryIO, blob: Blob, what: str) -> Iterator[memoryview]:
    """Yield what comes out in chunks; the buffer is used again for the next."""
    buffer = memoryview(bytearray(CHUNK_BYTES))
    left = blob.size_bytes
    while left:
        piece = buffer[: min(left, CHUNK_BYTES)]
        full = 0
        while full < len(piece):
            count = reader.readinto(piece[full:])  # type: ignore[attr-defined]
            if not count:
                raise FetchRefused(f"{what}: {blob.size_bytes - left + full} bytes come out of it, too few")
            full += count
        left -= full
        yield piece
    if reader.read(1):
        raise FetchRefused(f"{what}: more than {blob.size_bytes} bytes come out of it")


def _dictionary(file: BinaryIO, size: int) -> zstandard.ZstdCompressionDict:
    import zstandard

    raw = zstandard.DICT_TYPE_RAWCONTENT
    with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as pages, memoryview(pages) as old:
        return zstandard.ZstdCompressionDict(old, dict_type=raw)


def window_bytes(from_bytes: int, to_bytes: int) -> int:
    """Return the largest window that ``zstd --patch-from`` would use, a power of two."""
    return min(max(1 << max(from_bytes, to_bytes).bit_length(), _LEAST_WINDOW), _MOST_WINDOW)
