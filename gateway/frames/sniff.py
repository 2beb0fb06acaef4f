"""Decides what a payload is: what is declared goes first, then magic bytes, then its form.

The order: declared media type, declared element type (a raw tensor), magic
bytes, data URI, JSON by its first byte. Text, PCM and base64 look like anything,
so they are never guessed.
"""

from __future__ import annotations

import enum

from gateway.errors import UnknownMedia
from gateway.frames.declaration import Declaration
from gateway.frames.npy import NPY_MAGIC
from gateway.frames.unwrap import GZIP_MAGIC, ZSTD_MAGIC

TENSOR_MEDIA = "application/vnd.gateway.tensor"


class Kind(enum.Enum):
    """What a payload can be; the value is its usual media type."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    WEBP = "image/webp"
    NPY = "application/x-npy"
    TENSOR = TENSOR_MEDIA
    JSON = "application/json"
    CBOR = "application/cbor"
    SENML_JSON = "application/senml+json"
    SENML_CBOR = "application/senml+cbor"
    TEXT = "text/plain"
    PCM = "audio/pcm"
    PCM_BIG_ENDIAN = "audio/l16"
    WAV = "audio/wav"
    GZIP = "application/gzip"
    DATA_URI = "data-uri"


_OTHER_NAMES = {
    "image/jpg": Kind.JPEG,
    "image/pjpeg": Kind.JPEG,
    "application/npy": Kind.NPY,
    "application/vnd.numpy.npy": Kind.NPY,
    "application/vnd.numpy": Kind.NPY,
    "text/json": Kind.JSON,
    "application/sensml+json": Kind.SENML_JSON,
    "application/sensml+cbor": Kind.SENML_CBOR,
    "text/csv": Kind.TEXT,
    "audio/x-wav": Kind.WAV,
    "audio/wave": Kind.WAV,
    "audio/vnd.wave": Kind.WAV,
    "audio/x-pcm": Kind.PCM,
    "audio/raw": Kind.PCM,
    "application/x-gzip": Kind.GZIP,
}
_BY_MEDIA = {kind.value: kind for kind in Kind if "/" in kind.value} | _OTHER_NAMES

# These say nothing about the content: the bytes are looked at.
_UNSPECIFIC = frozenset({"", "image/*", "audio/*", "application/*", "application/octet-stream", "*/*"})

_MAGIC = (
    (b"\xff\xd8\xff", Kind.JPEG),
    (b"\x89PNG\r\n\x1a\n", Kind.PNG),
    (NPY_MAGIC, Kind.NPY),
    (GZIP_MAGIC, Kind.GZIP),
    (b"\xd9\xd9\xf7", Kind.CBOR),  # RFC 8949's self-description
)


def detect(data: memoryview, declared: Declaration) -> Kind:
    """Return what ``data`` is.

    Args:
        data: The payload, or what was in its wrapping; a few bytes are looked
            at, all of them only if it may be JSON.
        declared: What the message and its stream say, the message first.

    Raises:
        UnknownMedia: The declared type is not supported, or nothing is declared
            and the bytes do not tell.
    """
    media = declared.media.lower()
    if media not in _UNSPECIFIC:
        kind = kind_of_media(media)
        if kind is None:
            raise UnknownMedia(f"media type {media[:80]!r} is not supported")
        return kind
    if declared.dtype:
        # The type may be declared of the .npy file that is sent; other magic is too short to overrule it.
        return Kind.NPY if bytes(data[: len(NPY_MAGIC)]) == NPY_MAGIC else Kind.TENSOR
    guess = _by_magic(data) or _by_form(data)
    if guess is None:
        raise UnknownMedia("nothing is declared about the payload, and its bytes do not tell what it is")
    return guess


def kind_of_media(media: str) -> Kind | None:
    """Return the kind of a media type in lower case without parameters; None if unsupported."""
    kind = _BY_MEDIA.get(media)
    if kind is None and media.endswith("+json"):
        return Kind.JSON
    if kind is None and media.endswith("+cbor"):
        return Kind.CBOR
    return kind


def _by_magic(data: memoryview) -> Kind | None:
    head = bytes(data[:16])
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head.startswith(b"RIFF"):
        return {b"WEBP": Kind.WEBP, b"WAVE": Kind.WAV}.get(head[8:12])
    if head.startswith(ZSTD_MAGIC):
        raise UnknownMedia("zstd compression is not supported: send gzip, or plain bytes")
    return None


def _by_form(data: memoryview) -> Kind | None:
    if bytes(data[:5]).lower() == b"data:":
        return Kind.DATA_URI
    if bytes(data[:1]) not in (b"{", b"["):
        return None
    try:
        str(data, "utf-8")
    except UnicodeDecodeError:
        return None
    return Kind.JSON
