"""Turns a payload into a value: the one entry to everything in this room that reads outside bytes.

Any bytes give a value or a leaf of ``RequestRefused``, in time and memory that
the limits bound. Pillow and simplejpeg are loaded when the first picture comes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gateway.errors import Malformed, TooLarge
from gateway.frames.audio import decode_l16, decode_pcm, decode_wav
from gateway.frames.cbor_values import decode_cbor
from gateway.frames.declaration import Declaration
from gateway.frames.hint import DecodeHint
from gateway.frames.image import decode_jpeg, decode_png, decode_webp
from gateway.frames.limits import PayloadLimits
from gateway.frames.npy import decode_npy
from gateway.frames.numbers import decode_json, decode_text
from gateway.frames.senml import decode_senml_cbor, decode_senml_json
from gateway.frames.sniff import Kind, detect
from gateway.frames.tensors import decode_tensor
from gateway.frames.unwrap import unwrap
from gateway.frames.values import Value

_MAX_WRAPPINGS = 3
_WRAPPINGS = {Kind.GZIP: "gzip", Kind.DATA_URI: "data-uri"}


def decode(
    payload: memoryview, declared: Declaration, limits: PayloadLimits, hint: DecodeHint | None = None
) -> Value:
    """Decode one payload.

    Args:
        payload: The bytes as they came; only read.
        declared: What the message says of itself over what its stream says.
        limits: Bounds, checked against headers before anything is decoded.
        hint: What the pipeline will do with a picture.

    Returns:
        The value. Tensors may be views on ``payload``; all else is owned by the caller.

    Raises:
        UnknownMedia: The kind is not declared, not detectable, or not supported.
        Malformed: The bytes are not what they are declared to be, or cut.
        WrongShape: The shape does not fit the declaration.
        WrongDtype: The element type is unknown or does not fit the declaration.
        NotFinite: Numbers hold NaN or infinity.
        TooLarge: More bytes, pixels, elements or nesting than allowed.
    """
    if payload.nbytes > limits.max_bytes:
        raise TooLarge(f"the payload has {payload.nbytes} bytes; max_payload_bytes is {limits.max_bytes}")
    if not payload.nbytes:
        raise Malformed("the payload is empty")
    data = payload if payload.format == "B" and payload.ndim == 1 else payload.cast("B")
    kind, data, declared = _unwrapped(data, declared, limits)
    if kind in _PICTURES:
        return _PICTURES[kind](data, limits, hint)
    return _DECODERS[kind](data, declared, limits)


def _unwrapped(
    data: memoryview, declared: Declaration, limits: PayloadLimits
) -> tuple[Kind, memoryview, Declaration]:
    """Take off declared and detected wrappings; return what is inside."""
    encoding = declared.encoding
    if encoding:
        declared = replace(declared, encoding="")
    for _ in range(_MAX_WRAPPINGS):
        if encoding:
            data, media = unwrap(encoding, data, limits)
            declared = replace(declared, media=declared.media or media)
            if not data.nbytes:
                raise Malformed(f"{encoding}: there is nothing inside")
        kind = detect(data, declared)
        if kind not in _WRAPPINGS:
            return kind, data, declared
        encoding = _WRAPPINGS[kind]
        if kind is Kind.GZIP and declared.media:  # declared as gzip itself: what is inside is open
            declared = replace(declared, media="")
    raise TooLarge(f"the payload is wrapped more than {_MAX_WRAPPINGS - 1} times")


_PICTURES: dict[Kind, Callable[[memoryview, PayloadLimits, DecodeHint | None], Value]] = {
    Kind.JPEG: decode_jpeg,
    Kind.PNG: decode_png,
    Kind.WEBP: decode_webp,
}
_DECODERS: dict[Kind, Callable[[memoryview, Declaration, PayloadLimits], Value]] = {
    Kind.TENSOR: decode_tensor,
    Kind.NPY: decode_npy,
    Kind.JSON: decode_json,
    Kind.TEXT: decode_text,
    Kind.CBOR: decode_cbor,
    Kind.SENML_JSON: decode_senml_json,
    Kind.SENML_CBOR: decode_senml_cbor,
    Kind.PCM: decode_pcm,
    Kind.PCM_BIG_ENDIAN: decode_l16,
    Kind.WAV: decode_wav,
}
