"""Reads the size of a JPEG, PNG or WebP picture from its header, before anything is decoded.

Pure and bounded: a few hundred bytes are looked at, whatever the payload's size.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from gateway.errors import Malformed, TooLarge, UnknownMedia
from gateway.frames.limits import PayloadLimits

# Real files have a few dozen segments (EXIF, ICC and tables); a hostile one has millions of empty ones.
_MAX_SEGMENTS = 1024
# Encoders write about ten scans; each one costs the decoder a pass over the whole picture.
_MAX_SCANS = 64

_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PLAIN_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_PROGRESSIVE_FRAMES = frozenset({0xC2, 0xCA})
_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What a header says.

    Attributes:
        width: Pixels across, at least 1.
        height: Pixels down, at least 1.
        channels: Channels as stored; 0 where the header does not tell.
    """

    width: int
    height: int
    channels: int


def read_jpeg_header(data: memoryview, limits: PayloadLimits) -> ImageHeader:
    """Walk the segments of a JPEG up to its frame header.

    Raises:
        Malformed: The segments are broken or end before the frame header.
        UnknownMedia: Lossless, hierarchical or 12-bit JPEG.
        TooLarge: More pixels, segments or progressive scans than allowed.
    """
    marker, body = _find_frame(data)
    if marker not in _PLAIN_FRAMES:
        raise UnknownMedia("image/jpeg: lossless and hierarchical JPEG are not supported")
    if len(body) < 6:
        raise Malformed("image/jpeg: the frame header is cut off")
    precision, height, width, channels = struct.unpack_from(">BHHB", body)
    if precision != 8:
        raise UnknownMedia(f"image/jpeg: {precision}-bit JPEG is not supported")
    if channels not in (1, 3, 4):
        raise Malformed(f"image/jpeg: {channels} colour components")
    if marker in _PROGRESSIVE_FRAMES and bytes(data).count(b"\xff\xda") > _MAX_SCANS:
        raise TooLarge(f"image/jpeg: more than {_MAX_SCANS} progressive scans")
    return _checked("image/jpeg", ImageHeader(width, height, channels), limits)


def read_png_header(data: memoryview, limits: PayloadLimits) -> ImageHeader:
    """Read the IHDR chunk of a PNG.

    Raises:
        Malformed: There is no valid IHDR chunk at the start.
        TooLarge: More pixels than allowed.
    """
    if len(data) < 33 or bytes(data[8:16]) != b"\x00\x00\x00\x0dIHDR":
        raise Malformed("image/png: no IHDR chunk at the start")
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour)
    if channels is None or depth not in (1, 2, 4, 8, 16):
        raise Malformed(f"image/png: colour type {colour} with {depth} bits does not exist")
    return _checked("image/png", ImageHeader(width, height, channels), limits)


def read_webp_header(data: memoryview, limits: PayloadLimits) -> ImageHeader:
    """Read the first chunk of a WebP: simple lossy, simple lossless, or extended (its canvas).

    Raises:
        Malformed: The first chunk is cut off or none of these.
        TooLarge: More pixels than allowed.
    """
    if len(data) < 30 or bytes(data[:4]) != b"RIFF" or bytes(data[8:12]) != b"WEBP":
        raise Malformed("image/webp: the header is cut off")
    chunk = bytes(data[12:16])
    if chunk == b"VP8 " and bytes(data[23:26]) == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        header = ImageHeader(width & 0x3FFF, height & 0x3FFF, 3)
    elif chunk == b"VP8L" and data[20] == 0x2F:
        (packed,) = struct.unpack_from("<I", data, 21)
        header = ImageHeader((packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1, 0)
    elif chunk == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        header = ImageHeader(width, height, 0)
    else:
        raise Malformed("image/webp: no picture in the first chunk")
    return _checked("image/webp", header, limits)


def _find_frame(data: memoryview) -> tuple[int, memoryview]:
    """Return the marker and the body of the frame header."""
    if bytes(data[:2]) != b"\xff\xd8":
        raise Malformed("image/jpeg: does not start with FF D8")
    position = 2
    for _ in range(_MAX_SEGMENTS):
        if position + 4 > len(data):
            raise Malformed("image/jpeg: ends before its frame header")
        if data[position] != 0xFF:
            raise Malformed(f"image/jpeg: no marker at byte {position}")
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in _BARE_MARKERS:
            position += 2
        elif marker in (0x00, _START_OF_SCAN, _END_OF_IMAGE):
            raise Malformed(f"image/jpeg: marker {marker:02X} before the frame header")
        else:
            (length,) = struct.unpack_from(">H", data, position + 2)
            if length < 2:
                raise Malformed(f"image/jpeg: segment of length {length} at byte {position}")
            if marker in _FRAME_MARKERS:
                return marker, data[position + 4 : position + 2 + length]
            position += 2 + length
    raise TooLarge(f"image/jpeg: more than {_MAX_SEGMENTS} segments before the frame header")


def _checked(media: str, header: ImageHeader, limits: PayloadLimits) -> ImageHeader:
    if header.width < 1 or header.height < 1:
        raise Malformed(f"{media}: the header says {header.width}x{header.height} pixels")
    if header.width * header.height > limits.max_pixels:
        raise TooLarge(
            f"{media}: {header.width}x{header.height} pixels are more than max_pixels {limits.max_pixels}"
        )
    return header
