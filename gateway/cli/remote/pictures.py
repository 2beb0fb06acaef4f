"""From a picture to the pixels that a server's model takes, as far as its shape tells."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.errors import WrongDtype, WrongShape
from gateway.frames.hint import DecodeHint
from gateway.frames.image import decode_jpeg, decode_png, decode_webp
from gateway.frames.limits import PayloadLimits
from gateway.frames.resize import resize
from gateway.serving.model_view import TensorView

LIMITS: Final = PayloadLimits(max_bytes=1 << 30, max_pixels=1 << 27)
_JPEG: Final = b"\xff\xd8\xff"
_PNG: Final = b"\x89PNG\r\n\x1a\n"


def is_picture(data: bytes) -> bool:
    """Return whether bytes begin as a JPEG, PNG or WebP."""
    return data.startswith((_JPEG, _PNG)) or (data.startswith(b"RIFF") and data[8:12] == b"WEBP")


def picture_for(view: TensorView, data: bytes, dtype: np.dtype[Any], scaling: str) -> NDArray[Any]:
    """Return a picture, stretched to an input's size, as (H, W, C) or (C, H, W) elements of its type.

    Args:
        view: The input: of its last three axes, the first or the last is 1 or 3 channels.
        data: A JPEG, PNG or WebP.
        dtype: Elements of the input.
        scaling: For floats, one of ``SCALINGS``: levels as they are, 0 to 1, or -1 to 1.

    Raises:
        Malformed: The picture is damaged.
        TooLarge: It has more pixels than anybody needs.
        WrongShape: The input's shape is no picture's.
        WrongDtype: Its elements are neither levels nor floats.
    """
    height, width, channels, planar = _layout(view)
    hint = DecodeHint(width, height, grey=channels == 1)
    decode = decode_jpeg if data.startswith(_JPEG) else decode_png if data.startswith(_PNG) else decode_webp
    pixels: NDArray[Any] = resize(decode(memoryview(data), LIMITS, hint).pixels, width, height)
    if dtype.kind == "f":
        pixels = pixels.astype(dtype)
        if scaling == "unit":
            pixels /= dtype.type(255)
        elif scaling == "symmetric":
            pixels = pixels / dtype.type(127.5) - dtype.type(1)
    elif dtype != np.uint8:
        raise WrongDtype(f"{view.name}: a picture is UINT8 or floats, and the input is {view.datatype}")
    return pixels.transpose(2, 0, 1) if planar else pixels


def _layout(view: TensorView) -> tuple[int, int, int, bool]:
    """Return height, width, channels, and whether the channels come first."""
    shape = view.shape[-3:]
    if len(shape) == 3:
        for planar, (height, width, channels) in ((False, shape), (True, (*shape[1:], shape[0]))):
            if channels in (1, 3) and height > 0 and width > 0:
                return height, width, channels, planar
    raise WrongShape(f"{view.name}: a picture does not tell how to become {view.datatype} {list(view.shape)}")
