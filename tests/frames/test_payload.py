"""The one entry: every payload ends as a value or a leaf of RequestRefused, whatever it holds."""

from __future__ import annotations

import base64
import gzip
import io
import json
import struct
import subprocess
import sys
import tracemalloc
import wave
from dataclasses import replace
from typing import cast

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.error_words import leaves
from gateway.errors import (
    Malformed,
    NotFinite,
    RequestRefused,
    TooLarge,
    UnknownMedia,
    WrongDtype,
    WrongShape,
)
from gateway.frames.declaration import Declaration
from gateway.frames.hint import DecodeHint
from gateway.frames.limits import PayloadLimits
from gateway.frames.payload import decode
from gateway.frames.values import Audio, Image, Numbers, Tensors, Value
from tests.frames.samples import damaged, encode, interlaced_png, jpeg, photograph, png

LIMITS = PayloadLimits()
PLAIN = Declaration()
SMALL = photograph("chelsea", 32, 24)
JPEG = jpeg("chelsea", 32, 24)


def npy(values: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(values), allow_pickle=False)
    return buffer.getvalue()


def wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(bytes(64))
    return buffer.getvalue()


def media(name: str, **declared: object) -> Declaration:
    return Declaration(media=name).overridden(declared)


# Every accepted payload once: bytes, declaration, what it becomes.
SAMPLES: tuple[tuple[bytes, Declaration, type[Value]], ...] = (
    (JPEG, PLAIN, Image),
    (jpeg("chelsea", 32, 24, progressive=True), media("image/jpeg"), Image),
    (encode(SMALL, "PNG"), PLAIN, Image),
    (interlaced_png(SMALL), media("image/png"), Image),
    (encode(SMALL, "WEBP"), PLAIN, Image),
    (npy(np.eye(3)), PLAIN, Tensors),
    (bytes(12), Declaration(dtype="uint8", shape=(2, 2, 3)), Tensors),
    (np.eye(2, dtype="<f4").tobytes(), media("application/vnd.gateway.tensor", dtype="FP32"), Tensors),
    (b'{"imu": {"x": [1, 2], "y": [3, 4]}}', PLAIN, Numbers),
    (b"[[1,2],[3,4]]", media("application/json"), Numbers),
    (b"21.5", media("text/plain"), Numbers),
    (cbor2.dumps({"x": [1.5, 2.5]}), media("application/cbor"), Numbers),
    (
        cbor2.dumps(cbor2.CBORTag(40, [[1, 2, 2], cbor2.CBORTag(64, bytes(4))])),
        media("application/cbor"),
        Tensors,
    ),
    (json.dumps([{"bn": "a/", "n": "t", "v": 1}]).encode(), media("application/senml+json"), Numbers),
    (cbor2.dumps([{-2: "a/", 0: "t", 2: 1}]), media("application/senml+cbor"), Numbers),
    (bytes(320), media("audio/pcm", rate_hz=16_000.0), Audio),
    (bytes(320), media("audio/l16", rate_hz=16_000.0), Audio),
    (wav(), PLAIN, Audio),
    (base64.b64encode(JPEG), Declaration(encoding="base64"), Image),
    (b"data:image/jpeg;base64," + base64.b64encode(JPEG), PLAIN, Image),
    (b"data:;base64," + base64.b64encode(JPEG), Declaration(encoding="data-uri"), Image),
    (gzip.compress(npy([1, 2])), PLAIN, Tensors),
    (gzip.compress(bytes(8)), Declaration(dtype="float32", encoding="gzip"), Tensors),
    (gzip.compress(b"[1,2]"), media("application/gzip"), Numbers),
    (gzip.compress(b"[1,2]"), media("application/json", encoding="gzip"), Numbers),
)


@pytest.mark.parametrize(("data", "declared", "kind"), SAMPLES)
def test_every_accepted_payload_becomes_its_kind_of_value(
    data: bytes, declared: Declaration, kind: type[Value]
) -> None:
    assert isinstance(decode(memoryview(data), declared, LIMITS), kind)


@pytest.mark.parametrize(
    ("data", "declared", "error"),
    [
        (b"", PLAIN, Malformed),
        (JPEG[: len(JPEG) // 2], PLAIN, Malformed),
        (png(65_500, 65_500, 8, 2, b""), PLAIN, TooLarge),
        (np.array([1, np.nan], "<f4").tobytes(), Declaration(dtype="FP32"), NotFinite),
        (b"[1e999]", PLAIN, NotFinite),
        (bytes(7), Declaration(dtype="uint8", shape=(2, 4)), WrongShape),
        (npy(np.zeros(3)), media("application/x-npy", dtype="uint8"), WrongDtype),
        (b"[" * 100_000, PLAIN, TooLarge),
        (b'["\xff"]', PLAIN, UnknownMedia),
        (b'["\xff"]', media("application/json"), Malformed),
        (b"\x28\xb5\x2f\xfd", PLAIN, UnknownMedia),
        (base64.b64encode(JPEG), PLAIN, UnknownMedia),
        (b"not base64!", Declaration(encoding="base64"), Malformed),
        (gzip.compress(gzip.compress(gzip.compress(b"[1]"))), PLAIN, TooLarge),
        (gzip.compress(bytes(20_000_000)), PLAIN, TooLarge),
        (gzip.compress(b""), PLAIN, Malformed),
        (JPEG, media("image/png"), Malformed),
        (JPEG, media("video/mp4"), UnknownMedia),
    ],
)
def test_bad_payloads_are_refused_by_their_reason(
    data: bytes, declared: Declaration, error: type[RequestRefused]
) -> None:
    with pytest.raises(error) as caught:
        decode(memoryview(data), declared, LIMITS)
    assert type(caught.value) in set(leaves(RequestRefused))
    assert len(caught.value.message) < 400


def test_100_megabytes_are_refused_without_being_touched() -> None:
    payload = memoryview(bytes(100_000_000))
    tracemalloc.start()
    try:
        for declared in (PLAIN, media("application/json"), Declaration(encoding="gzip")):
            with pytest.raises(TooLarge):
                decode(payload, declared, LIMITS)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000


def test_a_hint_reaches_the_picture_through_its_wrapping() -> None:
    uri = b"data:image/jpeg;base64," + base64.b64encode(jpeg("coffee", 256, 192))
    image = decode(memoryview(uri), PLAIN, LIMITS, DecodeHint(32, 24, grey=True))
    assert isinstance(image, Image)
    assert image.pixels.shape == (24, 32, 1)
    assert (image.source_width, image.source_height) == (256, 192)


def test_a_payload_of_words_instead_of_bytes_is_read_as_bytes() -> None:
    words = cast("memoryview", memoryview(struct.pack("<2f", 1, 2)).cast("f"))
    value = decode(words, Declaration(dtype="FP32"), LIMITS)
    assert isinstance(value, Tensors)
    assert value.arrays[""].tolist() == [1, 2]


def test_pillow_and_simplejpeg_are_not_loaded_before_the_first_picture() -> None:
    script = (
        "import sys, gateway.frames.payload, gateway.frames.resize\n"
        "print(sorted({'PIL', 'simplejpeg', 'asyncio', 'cbor2'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "[]"


DECLARATIONS = (
    *dict.fromkeys(declared for _, declared, _ in SAMPLES),
    media("application/x-npy"),
    media("image/webp"),
    media("text/csv"),
    media("audio/wav"),
    Declaration(dtype="float16", shape=(-1, 3)),
    Declaration(fields=("imu.x", "[0]")),
)
FUZZ_LIMITS = PayloadLimits(max_bytes=20_000, max_pixels=20_000, max_elements=20_000, max_depth=8)


def check_value_or_leaf(data: bytes, declared: Declaration) -> None:
    try:
        value = decode(memoryview(data), declared, FUZZ_LIMITS, DecodeHint(16, 16))
    except RequestRefused as error:
        assert type(error) in set(leaves(RequestRefused))
        return
    match value:
        case Image():
            assert 0 < value.source_width * value.source_height <= FUZZ_LIMITS.max_pixels
        case Audio():
            assert 0 < value.samples.size <= FUZZ_LIMITS.max_elements
        case Numbers():
            assert 0 < value.values.size <= FUZZ_LIMITS.max_elements
        case Tensors():
            assert all(0 < array.size <= FUZZ_LIMITS.max_elements for array in value.arrays.values())


@given(st.binary(max_size=100), st.sampled_from(range(len(DECLARATIONS))))
@settings(max_examples=400)
def test_any_bytes_under_any_declaration_give_a_value_or_a_typed_error(data: bytes, index: int) -> None:
    check_value_or_leaf(data, DECLARATIONS[index])


@given(st.sampled_from(range(len(SAMPLES))), st.integers(0, 10**9), st.booleans(), st.integers(0, 10**9))
@settings(max_examples=500)
def test_damaged_payloads_give_a_value_or_a_typed_error(
    index: int, seed: int, swapped: bool, other: int
) -> None:
    data, declared, _ = SAMPLES[index]
    if swapped:
        declared = DECLARATIONS[other % len(DECLARATIONS)]
    check_value_or_leaf(damaged(data, seed), declared)
    wrapped = replace(declared, encoding="gzip")
    check_value_or_leaf(gzip.compress(damaged(data, seed)), wrapped)
