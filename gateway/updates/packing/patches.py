"""Makes patches from an earlier release, as ``zstd --patch-from`` does, and keeps those that pay."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import PublishRefused
from gateway.updates.manifest import DELTA_ALGORITHM
from gateway.updates.packing.contents import blob_of
from gateway.updates.release import Delta, Release, ReleaseFile
from gateway.updates.transport.delta import can_patch, window_bytes

LEAST_SAVING: Final = 0.3
LEAST_BYTES: Final = 4096
# The old file, the new one and the patch are held in memory, here and on the boards.
MOST_BYTES: Final = 1 << 30
_LEVEL: Final = 19


@dataclass(frozen=True, slots=True)
class Patched:
    """What became of one changed file.

    Attributes:
        path: The file.
        size_bytes: Bytes of the whole file.
        patch_bytes: Bytes of the patch.
        delta: The patch; None if it saves too little to be kept.
    """

    path: str
    size_bytes: int
    patch_bytes: int
    delta: Delta | None

    @property
    def saving(self) -> float:
        """Share of the bytes that need not be fetched."""
        return 1 - self.patch_bytes / self.size_bytes


def make_patches(
    old: tuple[Path, Release], new: tuple[Path, Sequence[ReleaseFile]], into: Path
) -> Iterator[Patched]:
    """Write a patch for each changed file for which that pays, named by its SHA-256.

    Args:
        old: Folder and manifest of the earlier release.
        new: Folder and files of the new one.
        into: Folder for the patches; made if need be.

    Raises:
        PublishRefused: zstandard is not installed, or an old file is not what its manifest says.
        OSError: A file cannot be read or written.
    """
    if not can_patch():
        raise PublishRefused("patches need the package zstandard: pip install 'jetson-gateway[delta]'")
    held = {file.blob.sha256 for file in old[1].files}
    made = set()
    for file in new[1]:
        before = _ancestor(old[1], file, new[1])
        if file.blob.sha256 in held or file.blob.sha256 in made or before is None:
            continue
        sizes = (file.blob.size_bytes, before.blob.size_bytes)
        if min(sizes) < LEAST_BYTES or max(sizes) > MOST_BYTES:
            continue
        made.add(file.blob.sha256)
        yield _patched((old[0] / before.path, before), (new[0] / file.path, file), into)


def _ancestor(old: Release, file: ReleaseFile, files: Sequence[ReleaseFile]) -> ReleaseFile | None:
    """Return the old file of the same name; for the largest the largest: models change their names."""
    for before in old.files:
        if before.path == file.path:
            return before
    if file == max(files, key=lambda each: each.blob.size_bytes):
        return max(old.files, key=lambda each: each.blob.size_bytes)
    return None


def _patched(before: tuple[Path, ReleaseFile], after: tuple[Path, ReleaseFile], into: Path) -> Patched:
    old, new = before[0].read_bytes(), after[0].read_bytes()
    if hashlib.sha256(old).hexdigest() != before[1].blob.sha256:
        raise PublishRefused(f"{before[0]}: is not what its manifest says")
    patch = _compress(old, new)
    size = len(new)
    if len(patch) > size * (1 - LEAST_SAVING):
        return Patched(after[1].path, size, len(patch), None)
    if _decompress(old, patch, size) != new:
        raise PublishRefused(f"{after[0]}: its patch does not give it back")
    into.mkdir(exist_ok=True)
    place = into / hashlib.sha256(patch).hexdigest()
    place.write_bytes(patch)
    delta = Delta(before[1].blob.sha256, after[1].blob.sha256, DELTA_ALGORITHM, blob_of(place))
    return Patched(after[1].path, size, len(patch), delta)


def _compress(old: bytes, new: bytes) -> bytes:
    import zstandard

    window_log = window_bytes(len(old), len(new)).bit_length() - 1
    parameters = zstandard.ZstdCompressionParameters.from_level(
        _LEVEL, source_size=len(new), window_log=window_log, enable_ldm=True, write_content_size=True
    )
    reference = zstandard.ZstdCompressionDict(old, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdCompressor(dict_data=reference, compression_params=parameters).compress(new)


def _decompress(old: bytes, patch: bytes, size: int) -> bytes:
    import zstandard

    reference = zstandard.ZstdCompressionDict(old, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    decoder = zstandard.ZstdDecompressor(dict_data=reference, max_window_size=window_bytes(len(old), size))
    return decoder.decompress(patch, max_output_size=size)
