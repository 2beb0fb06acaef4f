"""Sound: sample formats to float32 in [-1, 1), channels averaged, WAV against Python's own writer."""

from __future__ import annotations

import io
import struct
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import (
    Malformed,
    NotFinite,
    RequestRefused,
    TooLarge,
    UnknownMedia,
    WrongDtype,
    WrongShape,
)
from gateway.frames.audio import decode_l16, decode_pcm, decode_wav
from gateway.frames.declaration import Declaration
from gateway.frames.limits import PayloadLimits
from tests.frames.samples import damaged

LIMITS = PayloadLimits()
PLAIN = Declaration()


def pcm(data: bytes, **declared: object) -> list[float]:
    audio = decode_pcm(memoryview(data), PLAIN.overridden(declared), LIMITS)
    assert audio.samples.dtype == np.float32
    return [float(sample) for sample in audio.samples]


def wav(width: int = 2, channels: int = 1, frames: bytes = bytes(range(64))) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(16_000)
        writer.writeframes(frames)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("dtype", "data", "expected"),
    [
        ("", struct.pack("<4h", -32_768, 0, 16_384, 32_767), [-1, 0, 0.5, 32_767 / 32_768]),
        ("s16le", struct.pack("<h", 1), [1 / 32_768]),
        ("uint8", bytes([0, 128, 192, 255]), [-1, 0, 0.5, 127 / 128]),
        ("int32", struct.pack("<3i", -(2**31), 2**30, 2**31 - 1), [-1, 0.5, 1 - 2**-24]),
        ("f32", struct.pack("<4f", -0.25, 0.75, 1.0, -7.5), [-0.25, 0.75, 1 - 2**-24, -1]),
    ],
)
def test_every_sample_format_lands_in_minus_one_to_below_one(
    dtype: str, data: bytes, expected: list[float]
) -> None:
    assert pcm(data, dtype=dtype) == expected


def test_channels_are_averaged() -> None:
    assert pcm(struct.pack("<4h", 16_384, 0, -16_384, -32_768), channels=2) == [0.25, -0.75]


def test_l16_is_in_network_order() -> None:
    audio = decode_l16(memoryview(struct.pack(">2h", 16_384, -16_384)), Declaration(rate_hz=8000), LIMITS)
    assert audio.samples.tolist() == [0.5, -0.5]
    assert audio.rate_hz == 8000


@pytest.mark.parametrize(
    ("data", "declared", "error"),
    [
        (b"", {}, WrongShape),
        (b"123", {}, Malformed),
        (b"123456", {"channels": 2}, Malformed),
        (b"1234", {"dtype": "float64"}, WrongDtype),
        (b"1234", {"channels": 0}, WrongShape),
        (b"1234", {"channels": 65}, WrongShape),
        (struct.pack("<f", float("nan")), {"dtype": "f32"}, NotFinite),
        (struct.pack("<f", float("inf")), {"dtype": "FP32"}, NotFinite),
    ],
)
def test_pcm_that_cannot_be_is_refused_by_its_reason(
    data: bytes, declared: dict[str, object], error: type[RequestRefused]
) -> None:
    with pytest.raises(error):
        pcm(data, **declared)


def test_the_element_limit_holds() -> None:
    with pytest.raises(TooLarge):
        decode_pcm(memoryview(bytes(22)), PLAIN, PayloadLimits(max_elements=10))


@pytest.mark.parametrize(("width", "dtype"), [(1, "uint8"), (2, "int16"), (4, "int32")])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_wav_file_sounds_like_its_pcm(width: int, dtype: str, channels: int) -> None:
    audio = decode_wav(memoryview(wav(width, channels)), PLAIN, LIMITS)
    assert pcm(bytes(range(64)), dtype=dtype, channels=channels) == audio.samples.tolist()
    assert audio.rate_hz == 16_000


def test_float_and_extensible_wav_files_are_read() -> None:
    samples = struct.pack("<2f", 0.5, -0.5)
    plain = struct.pack("<HHIIHH", 3, 1, 8000, 32_000, 4, 32)
    extended = struct.pack("<HHIIHHHHIH", 0xFFFE, 1, 8000, 32_000, 4, 32, 22, 32, 4, 3) + bytes(14)
    for form in (plain, extended):
        head = b"WAVEfmt " + struct.pack("<I", len(form)) + form
        odd = b"LIST\x03\0\0\0abc\0"
        body = head + odd + b"data" + struct.pack("<I", len(samples)) + samples
        data = b"RIFF" + struct.pack("<I", len(body)) + body
        assert decode_wav(memoryview(data), PLAIN, LIMITS).samples.tolist() == [0.5, -0.5]


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
def test_a_length_left_open_by_a_streaming_writer_means_the_rest(length: int) -> None:
    data = bytearray(wav())
    struct.pack_into("<I", data, 40, length)
    assert len(decode_wav(memoryview(data + b"\1"), PLAIN, LIMITS).samples) == 32


@pytest.mark.parametrize("end", [4, 11, 12, 20, 40, 60, 107])
def test_a_cut_wav_file_is_malformed(end: int) -> None:
    with pytest.raises(Malformed):
        decode_wav(memoryview(wav()[:end]), PLAIN, LIMITS)


@pytest.mark.parametrize(("offset", "value"), [(20, 6), (20, 85), (34, 24), (34, 7)])
def test_compressed_and_unusual_wav_formats_are_named(offset: int, value: int) -> None:
    data = bytearray(wav())
    struct.pack_into("<H", data, offset, value)
    with pytest.raises(UnknownMedia):
        decode_wav(memoryview(data), PLAIN, LIMITS)


@pytest.mark.parametrize(("offset", "form", "value"), [(22, "<H", 0), (22, "<H", 65), (24, "<I", 0)])
def test_impossible_channels_and_rates_are_refused(offset: int, form: str, value: int) -> None:
    data = bytearray(wav())
    struct.pack_into(form, data, offset, value)
    with pytest.raises(WrongShape):
        decode_wav(memoryview(data), PLAIN, LIMITS)


def test_endless_empty_chunks_are_given_up() -> None:
    with pytest.raises(Malformed):
        decode_wav(memoryview(b"RIFF\0\0\0\0WAVE" + b"JUNK\0\0\0\0" * 100_000), PLAIN, LIMITS)


@given(st.integers(0, 10**9), st.sampled_from([wav(), wav(1, 2), wav(4)]))
@settings(max_examples=200)
def test_damaged_files_give_sound_or_a_typed_error(seed: int, sample: bytes) -> None:
    try:
        audio = decode_wav(memoryview(damaged(sample, seed)), PLAIN, LIMITS)
    except RequestRefused:
        return
    assert audio.samples.min() >= -1
    assert audio.samples.max() < 1


@given(st.binary(max_size=64), st.sampled_from(["", "uint8", "f32", "int32", "x"]), st.integers(-1, 66))
def test_any_pcm_gives_sound_or_a_typed_error(data: bytes, dtype: str, channels: int) -> None:
    try:
        audio = decode_pcm(memoryview(data), Declaration(dtype=dtype, channels=channels), LIMITS)
    except RequestRefused:
        return
    assert -1 <= audio.samples.min() <= audio.samples.max() < 1
