"""Makes payloads for the tests of this room: photographs in every format, and damaged copies."""

from __future__ import annotations

import functools
import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import gateway.demo

Pixels = NDArray[np.uint8]

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee")
_FOLDER = Path(next(iter(gateway.demo.__path__))) / "data"


@functools.lru_cache(maxsize=16)
def photograph(name: str, width: int, height: int) -> Pixels:
    """Return a photograph resized to (height, width, 3)."""
    with Image.open(_FOLDER / f"{name}.png") as picture:
        resized = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized)


def encode(pixels: Pixels, form: str, mode: str = "RGB", **options: object) -> bytes:
    """Return pixels as a file of Pillow's format ``form``."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


@functools.lru_cache(maxsize=16)
def jpeg(name: str, width: int, height: int, *, progressive: bool = False) -> bytes:
    """Return a photograph as a JPEG of quality 90."""
    return encode(photograph(name, width, height), "JPEG", quality=90, progressive=progressive)


def png_chunk(name: bytes, body: bytes) -> bytes:
    """Return one chunk of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, depth: int, colour: int, body: bytes, *, interlaced: bool = False) -> bytes:
    """Return a PNG whose scan lines, with their filter bytes, are ``body``."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(body))
        + png_chunk(b"IEND", b"")
    )


def interlaced_png(pixels: Pixels) -> bytes:
    """Return RGB pixels as a PNG in the seven passes of Adam7."""
    passes = (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    )
    lines = []
    for left, top, across, down in passes:
        part = pixels[top::down, left::across]
        lines += [b"\0" + row.tobytes() for row in part if row.size]
    return png(pixels.shape[1], pixels.shape[0], 8, 2, b"".join(lines), interlaced=True)


def damaged(data: bytes, seed: int) -> bytes:
    """Return ``data`` cut, with bits flipped, bytes put in, or pieces doubled, as ``seed`` says."""
    draw = random.Random(seed)
    copy = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        position = draw.randrange(len(copy) + 1)
        match draw.randrange(5):
            case 0 if copy:
                copy[position % len(copy)] ^= 1 << draw.randrange(8)
            case 1 if copy:
                copy[position % len(copy)] = draw.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                copy[position:position] = draw.randbytes(draw.randint(1, 9))
            case 3:
                del copy[position : position + draw.randint(1, 64)]
            case _:
                piece = copy[position : position + draw.randint(1, 64)]
                copy[position:position] = piece
    return bytes(copy)
