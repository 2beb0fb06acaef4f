"""Takes the wrapping off a payload: base64, data URIs and gzip, each within the byte limit."""

from __future__ import annotations

import binascii
import re
import zlib

from gateway.errors import Malformed, TooLarge, UnknownMedia
from gateway.frames.limits import PayloadLimits

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

_BLANKS = b" \t\r\n"
_ALPHABET = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_URI = re.compile(rb"(?i:data):([A-Za-z0-9.+-]{1,64}/[A-Za-z0-9.+-]{1,64})?((?:;[^;,]{1,128}){0,8}),")
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def unwrap_base64(data: memoryview, limits: PayloadLimits) -> memoryview:
    """Decode base64, standard or URL-safe, padded or not, with blanks between.

    Raises:
        Malformed: Other characters, or a length that no bytes have.
        TooLarge: More bytes than allowed.
    """
    text = bytes(data).translate(_TO_STANDARD, _BLANKS)
    if not _ALPHABET.fullmatch(text):
        raise Malformed("base64: characters that are not of its alphabet")
    text = text.rstrip(b"=")
    if len(text) // 4 * 3 > limits.max_bytes:
        raise TooLarge(f"base64: more than {limits.max_bytes} bytes")
    try:
        return memoryview(binascii.a2b_base64(text + b"=" * (-len(text) % 4)))
    except binascii.Error as error:
        raise Malformed(f"base64: {error}") from error


def unwrap_data_uri(data: memoryview, limits: PayloadLimits) -> tuple[memoryview, str]:
    """Decode a ``data:`` URI in base64.

    Returns:
        The bytes and the media type that the URI names, empty if none.

    Raises:
        Malformed: No such URI.
        UnknownMedia: A URI in percent encoding.
        TooLarge: More bytes than allowed.
    """
    match = _URI.match(bytes(data[:2048]))
    if match is None:
        raise Malformed("data-uri: not of the form data:TYPE;base64,...")
    if not match[2].lower().endswith(b";base64"):
        raise UnknownMedia("data-uri: only base64 is taken")
    media = (match[1] or b"").decode("ascii").lower()
    return unwrap_base64(data[match.end() :], limits), media


def unwrap_gzip(data: memoryview, limits: PayloadLimits) -> memoryview:
    """Decompress one gzip member; never makes more than the limit.

    Raises:
        Malformed: No gzip, damaged, cut, or followed by other bytes.
        TooLarge: More bytes than allowed after decompression.
    """
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    try:
        plain = inflater.decompress(data, limits.max_bytes + 1)
    except zlib.error as error:
        raise Malformed(f"gzip: {error}") from error
    if len(plain) > limits.max_bytes:
        raise TooLarge(f"gzip: more than {limits.max_bytes} bytes after decompression")
    if not inflater.eof or inflater.unused_data:
        raise Malformed("gzip: cut off, or followed by other bytes")
    return memoryview(plain)


def unwrap(encoding: str, data: memoryview, limits: PayloadLimits) -> tuple[memoryview, str]:
    """Take off a declared wrapping.

    Returns:
        The bytes, and the media type that the wrapping names, empty if none.

    Raises:
        UnknownMedia: An encoding that is not known or not supported.
        Malformed: The bytes are not so wrapped.
        TooLarge: More bytes than allowed.
    """
    if encoding == "base64":
        # Devices that say base64 often send a whole data URI.
        if bytes(data[:5]).lower() == b"data:":
            return unwrap_data_uri(data, limits)
        return unwrap_base64(data, limits), ""
    if encoding == "data-uri":
        return unwrap_data_uri(data, limits)
    if encoding == "gzip":
        return unwrap_gzip(data, limits), ""
    raise UnknownMedia(f"encoding {encoding[:40]!r} is not supported; gzip, base64 and data-uri are")
