"""Compression of bodies: what a client wants, and taking apart what it sent, within a bound. Pure."""

from __future__ import annotations

import re
import zlib
from typing import Final

from gateway.errors import Malformed, TooLarge, UnknownMedia
from gateway.serving.call import Buffer

IDENTITY: Final = ""
GZIP: Final = "gzip"
DEFLATE: Final = "deflate"

# zlib's words for the frame: 16 more than the window is gzip.
_GZIP_BITS: Final = 31
_ZLIB_BITS: Final = 15
_RAW_BITS: Final = -15
# Speed matters more than a few per cent.
_LEVEL: Final = 1
# Each further member means a copy of what is left.
_MOST_MEMBERS: Final = 64
_QUALITY: Final = re.compile(r"\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*", re.IGNORECASE)
_NAMES: Final = {
    "gzip": GZIP,
    "x-gzip": GZIP,
    "deflate": DEFLATE,
    "identity": IDENTITY,
    "": IDENTITY,
}


def sent_encoding(header: str) -> str:
    """Return how a body is compressed, of a ``content-encoding`` header.

    Raises:
        UnknownMedia: It is compressed otherwise, or twice.
    """
    found = _NAMES.get(header.strip().lower())
    if found is None:
        raise UnknownMedia(f"content-encoding {header[:40]!a} is not taken: send gzip, deflate or identity")
    return found


def wanted_encoding(header: str) -> tuple[str, bool]:
    """Return how an answer should be compressed, of an ``accept-encoding`` header.

    Returns:
        The encoding, and whether it is the only one that the client names: lists are sent by HTTP
        libraries of themselves, a single one by somebody who wants just that.
    """
    qualities: dict[str, float] = {}
    for part in header.split(","):
        name, *words = part.split(";")
        found = _QUALITY.fullmatch(words[0]) if words else None
        if name.strip() and (found or not words):
            qualities[name.strip().lower()] = float(found[1]) if found else 1.0
    other = qualities.get("*", 0.0)
    gzip = max(qualities.get("gzip", other), qualities.get("x-gzip", 0.0))
    deflate = qualities.get("deflate", other)
    plain = qualities.get("identity", 0.0)
    best, encoding = max((gzip, GZIP), (deflate, DEFLATE), key=lambda pair: pair[0])
    if best <= 0.0 or plain > best:
        return IDENTITY, False
    return encoding, len(qualities) == 1 and "*" not in qualities


def compress(body: bytes, encoding: str) -> bytes:
    """Return a body compressed; ``deflate`` has zlib's frame, as HTTP wants it."""
    bits = _GZIP_BITS if encoding == GZIP else _ZLIB_BITS
    writer = zlib.compressobj(_LEVEL, zlib.DEFLATED, bits)
    return writer.compress(body) + writer.flush()


class Unpacking:
    """Takes a body apart piece by piece, so that there can be room for each piece before it is made.

    Attributes:
        is_done: Whether there is no more.
    """

    def __init__(self, body: Buffer, encoding: str, most_bytes: int) -> None:
        """Prepare.

        Args:
            body: Compressed.
            encoding: ``gzip``, of several members too, or ``deflate``, with or without zlib's frame.
            most_bytes: Largest result; not much more is ever held.
        """
        self.is_done = False
        self._encoding = encoding
        self._most_bytes = most_bytes
        self._bits = _GZIP_BITS if encoding == GZIP else _ZLIB_BITS if _has_zlib_frame(body) else _RAW_BITS
        self._reader = zlib.decompressobj(self._bits)
        self._left: Buffer = body
        self._made_bytes = 0
        self._members = 1

    def more(self, count: int) -> bytes:
        """Return the next bytes: ``count`` at most, which is at least one; fewer where a member ends.

        Raises:
            Malformed: The body is damaged, cut short, or has more behind it.
            TooLarge: It becomes larger than allowed.
        """
        # One more byte than allowed shows that there are more.
        asked = min(count, self._most_bytes - self._made_bytes + 1)
        try:
            part = self._reader.decompress(self._left, asked)
        except zlib.error as error:
            raise Malformed(f"content-encoding {self._encoding}: the body is damaged: {error}") from None
        self._made_bytes += len(part)
        if self._made_bytes > self._most_bytes:
            raise TooLarge(f"the body is larger than {self._most_bytes} bytes after decompression")
        if self._reader.eof:
            self._end_member()
        elif len(part) < asked:
            raise Malformed("content-encoding: the compressed body is cut short")
        else:
            self._left = self._reader.unconsumed_tail
        return part

    def _end_member(self) -> None:
        self._left = self._reader.unused_data
        if not self._left:
            self.is_done = True
            return
        if self._encoding != GZIP:
            raise Malformed("content-encoding: there is more behind the compressed body")
        if self._members == _MOST_MEMBERS:
            raise TooLarge(f"content-encoding gzip: more than {_MOST_MEMBERS} members")
        self._members += 1
        self._reader = zlib.decompressobj(self._bits)


def _has_zlib_frame(body: Buffer) -> bool:
    return len(body) >= 2 and body[0] & 0x0F == zlib.DEFLATED and (body[0] << 8 | body[1]) % 31 == 0
