"""Which names and parts of shared memory are taken: the rules, in words that Triton's clients know. Pure."""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import Malformed, TooLarge, UnknownRegion
from gateway.serving.regions import RegionView

_LONGEST_NAME: Final = 255
# One file of one folder: no way up, no way down, nothing hidden.
_OBJECT: Final = re.compile(r"/?(?P<file>[A-Za-z0-9_][A-Za-z0-9_.:@=+,~-]{0,253})")
# The C library's semaphores, and what another server's own processes talk over.
RESERVED: Final = ("sem.", "triton_python_backend_shm_region_")


def object_file(name: str, key: str) -> str:
    """Return the file of ``/dev/shm`` that a key of ``shm_open`` names, with or without its leading slash.

    Args:
        name: What the client calls the region; for the message.
        key: Name of the object.

    Raises:
        Malformed: It names no file of that folder, or one that is not for clients.
    """
    found = _OBJECT.fullmatch(key)
    if found is None:
        raise Malformed(
            f"cannot register shared memory region {_quoted(name)} with key {_quoted(key)}: a key is '/' and "
            "up to 254 letters, digits or _.:@=+,~- and does not begin with a dot",
            region=name[:80],
        )
    for prefix in RESERVED:
        if found["file"].startswith(prefix):
            raise Malformed(
                f"cannot register shared memory region {_quoted(name)} with key {_quoted(key)} as the key "
                f"contains the reserved prefix '{prefix}'",
                region=name[:80],
            )
    return found["file"]


def check_region_name(name: str) -> None:
    """Check what a client calls a region.

    Raises:
        Malformed: It is empty, too long, or holds what cannot be printed.
    """
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise Malformed(
            f"{_quoted(name)} is no name of a region: use 1 to {_LONGEST_NAME} printable characters"
        )


def check_extent(region: RegionView, max_bytes: int) -> None:
    """Check where a region begins and how long it is.

    Raises:
        Malformed: It begins before its object, or is empty.
        TooLarge: It is longer than allowed.
    """
    if region.offset < 0 or region.byte_size < 1:
        raise Malformed(
            f"failed to register shared memory region {_quoted(region.name)}: invalid args: the offset "
            f"must be 0 or more and the size 1 or more, not {region.offset} and {region.byte_size}",
            region=region.name,
        )
    if region.byte_size > max_bytes:
        raise TooLarge(
            f"shared memory region {_quoted(region.name)} has {region.byte_size} bytes; "
            f"serving.shared_memory.max_region_bytes allows {max_bytes}",
            region=region.name,
        )


def check_part(name: str, region_bytes: int, offset: int, byte_size: int) -> None:
    """Check that a part lies in a region.

    Raises:
        Malformed: It does not.
    """
    where = f"for shared memory region: {_quoted(name)}"
    if offset < 0 or offset > region_bytes or (offset == region_bytes and byte_size):
        raise Malformed(
            f"Invalid offset {where}: {offset} lies outside of its {region_bytes} bytes", region=name
        )
    if byte_size < 0 or byte_size > region_bytes - offset:
        raise Malformed(
            f"Invalid offset + byte size {where}: {offset} + {byte_size} ends after its {region_bytes} bytes",
            region=name,
        )


def no_region(name: str) -> UnknownRegion:
    """Return the error for a region that nobody registered."""
    return UnknownRegion(f"Unable to find shared memory region: {_quoted(name)}", region=name[:80])


def _quoted(text: str) -> str:
    short = text if len(text) <= 80 else text[:79] + "…"
    return "'" + "".join(each if each.isprintable() else "?" for each in short) + "'"
