"""Decodes JPEG, PNG and WebP into pixels; the only user of simplejpeg, and of Pillow's readers.

JPEG goes through libjpeg-turbo's scaled decoding: when the model's picture is
smaller than half of the source, only that half, quarter or eighth is computed.
Orientation tags are ignored: a camera's pixels are used as they were sent.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gateway.errors import Malformed
from gateway.frames.hint import DecodeHint
from gateway.frames.image_header import ImageHeader, read_jpeg_header, read_png_header, read_webp_header
from gateway.frames.limits import PayloadLimits
from gateway.frames.values import Image

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

# What Pillow's pure Python readers raise on broken files; SyntaxError is its word for a broken PNG.
_READER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    struct.error,
    zlib.error,
)


def decode_jpeg(data: memoryview, limits: PayloadLimits, hint: DecodeHint | None = None) -> Image:
    """Decode a JPEG: baseline or progressive; grey, YCbCr, RGB or CMYK.

    Bytes after the end marker are ignored; a cut or damaged picture is refused,
    because the decoder would fill what is missing with grey.

    Args:
        data: The whole file; only read.
        limits: Checked against the header first.
        hint: What is needed of it; all of it in RGB when None.

    Returns:
        Pixels owned by the caller, RGB, or grey if the hint asks for it. They
        are never smaller than the hint needs.

    Raises:
        Malformed: The file is cut or damaged.
        UnknownMedia: A kind of JPEG that is not supported.
        TooLarge: More pixels or scans than allowed.
    """
    import simplejpeg

    header = read_jpeg_header(data, limits)
    width, height = (0, 0) if hint is None else hint.needed_size(header.width, header.height)
    colours = "GRAY" if hint is not None and hint.grey else "RGB"
    try:
        rows, columns, _, _ = simplejpeg.decode_jpeg_header(data, strict=True)
        if (columns, rows) != (header.width, header.height):
            raise Malformed("image/jpeg: holds two frame headers that differ")
        pixels = simplejpeg.decode_jpeg(
            data, colours, fastdct=False, fastupsample=False, min_height=height, min_width=width, strict=True
        )
    except ValueError as error:
        raise Malformed(f"image/jpeg: {_first_line(error)}") from error
    return Image(pixels, header.width, header.height)


def decode_png(data: memoryview, limits: PayloadLimits, hint: DecodeHint | None = None) -> Image:
    """Decode a PNG of any colour type; 16 bits are cut to 8, transparency is dropped.

    Args:
        data: The whole file; only read.
        limits: Checked against the header first.
        hint: Whether grey is wanted; PNG has no scaled decoding.

    Returns:
        Pixels owned by the caller, RGB, or grey if the hint asks for it.

    Raises:
        Malformed: The file is cut or damaged.
        TooLarge: More pixels than allowed.
    """
    from PIL.PngImagePlugin import PngImageFile

    header = read_png_header(data, limits)
    return _decode_with(PngImageFile, "image/png", data, header, grey=hint is not None and hint.grey)


def decode_webp(data: memoryview, limits: PayloadLimits, hint: DecodeHint | None = None) -> Image:
    """Decode a WebP, lossy or lossless; of an animation its first picture.

    Args:
        data: The whole file; only read.
        limits: Checked against the header first.
        hint: Whether grey is wanted; WebP has no scaled decoding here.

    Returns:
        Pixels owned by the caller, RGB, or grey if the hint asks for it.

    Raises:
        Malformed: The file is cut or damaged.
        TooLarge: More pixels than allowed.
    """
    from PIL.WebPImagePlugin import WebPImageFile

    header = read_webp_header(data, limits)
    return _decode_with(WebPImageFile, "image/webp", data, header, grey=hint is not None and hint.grey)


def _decode_with(
    reader: type[ImageFile], media: str, data: memoryview, header: ImageHeader, *, grey: bool
) -> Image:
    """Decode with one Pillow reader.

    The reader is called by its class: Image.open would import every format that
    Pillow knows and let the bytes choose among them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with reader(io.BytesIO(data)) as picture:
                if picture.size != (header.width, header.height):
                    raise Malformed(f"{media}: its parts disagree about the size")
                picture.load()
                pixels = _pixels(picture, grey=grey)
        except _READER_ERRORS as error:
            raise Malformed(f"{media}: {_first_line(error)}") from error
    return Image(pixels, header.width, header.height)


def _pixels(picture: ImageFile, *, grey: bool) -> NDArray[np.uint8]:
    if picture.mode.startswith("I"):  # 16 bits a pixel, grey; Pillow's own conversion would clip at 255
        levels = np.asarray(picture)
        deep = (levels >> 8).astype(np.uint8)[:, :, np.newaxis]
        return deep if grey else np.repeat(deep, 3, axis=2)
    picture.info.pop("transparency", None)
    mode = "L" if grey else "RGB"
    plain = np.asarray(picture.convert(mode))
    return plain[:, :, np.newaxis] if grey else plain


def _first_line(error: BaseException) -> str:
    text = str(error).strip().split("\n", 1)[0][:120]
    return text or type(error).__name__
