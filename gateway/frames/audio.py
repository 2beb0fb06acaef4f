"""Decodes sound to mono float32 in [-1, 1): headerless PCM as declared, and WAV files.

Channels are averaged; the rate is passed on as it is and never changed here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gateway.errors import Malformed, UnknownMedia, WrongDtype, WrongShape
from gateway.frames.declaration import Declaration
from gateway.frames.limits import PayloadLimits
from gateway.frames.shape import check_elements
from gateway.frames.tensors import check_finite
from gateway.frames.values import Audio

MAX_CHANNELS = 64
_MAX_CHUNKS = 256
_BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))

# Names that people give to sample formats; an empty one is by far the most common.
_FORMATS = {
    "": "<i2", "int16": "<i2", "INT16": "<i2", "s16le": "<i2", "s16be": ">i2",
    "uint8": "u1", "UINT8": "u1", "u8": "u1",
    "int32": "<i4", "INT32": "<i4", "s32le": "<i4",
    "float32": "<f4", "FP32": "<f4", "f32": "<f4", "f32le": "<f4",
}  # fmt: skip

_WAV_PCM, _WAV_FLOAT, _WAV_EXTENSIBLE = 1, 3, 0xFFFE
_WAV_FORMATS = {
    (_WAV_PCM, 8): "u1",
    (_WAV_PCM, 16): "<i2",
    (_WAV_PCM, 32): "<i4",
    (_WAV_FLOAT, 32): "<f4",
}
# Writers that stream leave the length open.
_OPEN_LENGTHS = (0, 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class WavFormat:
    """What a WAV file's ``fmt`` chunk says.

    Attributes:
        descr: NumPy type of a sample.
        channels: Channels, interleaved.
        rate_hz: Samples a second and channel.
    """

    descr: str
    channels: int
    rate_hz: int


def decode_pcm(data: memoryview, declared: Declaration, limits: PayloadLimits) -> Audio:
    """Decode headerless PCM; ``dtype`` is int16 little-endian when not declared.

    Args:
        data: Interleaved samples; only read.
        declared: ``dtype``, ``channels`` and ``rate_hz`` are used.
        limits: Its ``max_elements`` is used.

    Returns:
        Samples owned by the caller; ``rate_hz`` is 0 if nobody declared it.

    Raises:
        WrongDtype: The declared sample format does not exist.
        Malformed: The bytes are no whole number of samples of all channels.
        WrongShape: No samples, or a number of channels that cannot be.
        NotFinite: Float samples hold NaN or infinity.
        TooLarge: More samples than allowed.
    """
    descr = _FORMATS.get(declared.dtype)
    if descr is None:
        raise WrongDtype(f"audio: sample format {declared.dtype[:40]!r} is not one of {sorted(_FORMATS)[1:]}")
    return Audio(_mono(data, descr, declared.channels, limits), declared.rate_hz)


def decode_l16(data: memoryview, declared: Declaration, limits: PayloadLimits) -> Audio:
    """Decode ``audio/L16`` (RFC 2586): 16-bit PCM in network byte order; raises as ``decode_pcm``."""
    return decode_pcm(data, replace(declared, dtype="s16be"), limits)


def decode_wav(data: memoryview, _declared: Declaration, limits: PayloadLimits) -> Audio:
    """Decode a WAV file: PCM of 8, 16 or 32 bits, or 32-bit float.

    Args:
        data: The whole file; only read. It describes itself: no declaration counts.
        limits: Its ``max_elements`` is used.

    Returns:
        Samples owned by the caller.

    Raises:
        Malformed: The chunks are broken or cut.
        UnknownMedia: A compressed or unusual sample format.
        WrongShape: No samples, or a number of channels that cannot be.
        NotFinite: Float samples hold NaN or infinity.
        TooLarge: More samples than allowed.
    """
    if len(data) < 12 or bytes(data[:4]) != b"RIFF" or bytes(data[8:12]) != b"WAVE":
        raise Malformed("audio/wav: no RIFF WAVE header")
    form: WavFormat | None = None
    position = 12
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(data):
            break
        name = bytes(data[position : position + 4])
        (length,) = struct.unpack_from("<I", data, position + 4)
        body = data[position + 8 : position + 8 + length]
        if name == b"data" and form is not None:
            if length in _OPEN_LENGTHS:
                body = data[position + 8 :]
                body = body[: len(body) - len(body) % (np.dtype(form.descr).itemsize * form.channels)]
            elif len(body) < length:
                raise Malformed(f"audio/wav: {len(body)} of {length} bytes of samples")
            return Audio(_mono(body, form.descr, form.channels, limits), float(form.rate_hz))
        if name == b"fmt ":
            form = _wav_format(body)
        position += 8 + length + length % 2
    raise Malformed("audio/wav: no format and samples found")


def _wav_format(body: memoryview) -> WavFormat:
    if len(body) < 16:
        raise Malformed("audio/wav: the format chunk is cut off")
    code, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if code == _WAV_EXTENSIBLE and len(body) >= 26:
        (code,) = struct.unpack_from("<H", body, 24)
    descr = _WAV_FORMATS.get((code, bits))
    if descr is None:
        raise UnknownMedia(f"audio/wav: format {code} with {bits} bits is not supported")
    if not 1 <= channels <= MAX_CHANNELS or rate_hz < 1:
        raise WrongShape(f"audio/wav: {channels} channels at {rate_hz} Hz")
    return WavFormat(descr, channels, rate_hz)


def _mono(data: memoryview, descr: str, channels: int, limits: PayloadLimits) -> NDArray[np.float32]:
    """Return interleaved samples as (n,) float32 in [-1, 1)."""
    dtype = np.dtype(descr)
    if not 1 <= channels <= MAX_CHANNELS:
        raise WrongShape(f"audio: {channels} channels; 1 to {MAX_CHANNELS} are taken")
    if len(data) % (dtype.itemsize * channels):
        raise Malformed(f"audio: {len(data)} bytes are no whole samples of {channels} channels")
    check_elements("audio", len(data) // dtype.itemsize, limits)
    raw = np.frombuffer(data, dtype)
    if dtype.kind == "f":
        check_finite(raw)
        samples = np.clip(raw.astype(np.float32), -1.0, _BELOW_ONE)
    elif dtype.kind == "u":
        samples = raw.astype(np.float32)
        samples -= np.float32(128)
        samples *= np.float32(1 / 128)
    else:
        samples = raw.astype(np.float32)
        samples *= np.float32(0.5 ** (8 * dtype.itemsize - 1))
        if dtype.itemsize > 2:  # float32 rounds the loudest of 32 bits up to 1
            np.minimum(samples, _BELOW_ONE, out=samples)
    if channels == 1:
        return samples
    mean: NDArray[np.float32] = samples.reshape(-1, channels).mean(axis=1, dtype=np.float32)
    return mean
