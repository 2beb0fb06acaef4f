"""Wrappings come off within the limit, and only if they are whole."""

from __future__ import annotations

import base64
import gzip
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Malformed, RequestRefused, TooLarge, UnknownMedia
from gateway.frames.limits import PayloadLimits
from gateway.frames.unwrap import unwrap, unwrap_base64, unwrap_data_uri, unwrap_gzip
from tests.frames.samples import damaged

LIMITS = PayloadLimits(max_bytes=100_000)


@given(st.binary(max_size=200))
def test_base64_in_all_its_spellings_is_decoded(data: bytes) -> None:
    for text in (
        base64.b64encode(data),
        base64.urlsafe_b64encode(data),
        base64.b64encode(data).rstrip(b"="),
        base64.encodebytes(data).replace(b"\n", b"\r\n"),
    ):
        assert data == bytes(unwrap_base64(memoryview(text), LIMITS))


@pytest.mark.parametrize(
    "text", [b"A", b"AAAAA", b"AA!A", b"AA=A", b"====", b"\xff\xd8\xff", b"AA\x00A", b"AA==="]
)
def test_what_is_not_base64_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        unwrap_base64(memoryview(text), LIMITS)


@given(st.binary(max_size=200), st.sampled_from(["image/jpeg", "application/x-npy", ""]))
def test_a_data_uri_gives_its_bytes_and_its_type(data: bytes, media: str) -> None:
    uri = f"data:{media};base64,{base64.b64encode(data).decode()}".encode()
    content, named = unwrap_data_uri(memoryview(uri), LIMITS)
    assert (bytes(content), named) == (data, media)


def test_parameters_and_capitals_in_a_data_uri_do_not_matter() -> None:
    content, media = unwrap_data_uri(memoryview(b"DATA:Image/JPEG;name=a.jpg;BASE64,AQI="), LIMITS)
    assert (bytes(content), media) == (b"\1\2", "image/jpeg")


@pytest.mark.parametrize("uri", [b"data:", b"data:image/jpeg;base64", b"http://x", b"data:a b/c;base64,AA"])
def test_what_is_no_data_uri_is_malformed(uri: bytes) -> None:
    with pytest.raises(Malformed):
        unwrap_data_uri(memoryview(uri), LIMITS)


def test_percent_encoding_is_named_as_unsupported() -> None:
    with pytest.raises(UnknownMedia):
        unwrap_data_uri(memoryview(b"data:text/plain,21.5"), LIMITS)


@given(st.binary(max_size=500))
def test_gzip_is_decompressed(data: bytes) -> None:
    assert data == bytes(unwrap_gzip(memoryview(gzip.compress(data)), LIMITS))


def test_the_limit_itself_is_allowed_after_decompression() -> None:
    full = bytes(LIMITS.max_bytes)
    assert unwrap_gzip(memoryview(gzip.compress(full)), LIMITS).nbytes == LIMITS.max_bytes
    with pytest.raises(TooLarge):
        unwrap_gzip(memoryview(gzip.compress(full + b"\0")), LIMITS)


def test_a_gzip_bomb_is_given_up_at_the_limit() -> None:
    bomb = memoryview(gzip.compress(bytes(50_000_000)))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            unwrap_gzip(bomb, LIMITS)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 10 * LIMITS.max_bytes


@pytest.mark.parametrize("cut", [1, 10, 100, 300])
def test_cut_gzip_is_malformed(cut: int) -> None:
    data = gzip.compress(bytes(range(256)) * 4)
    with pytest.raises(Malformed):
        unwrap_gzip(memoryview(data[:-cut]), LIMITS)


def test_bytes_after_gzip_and_a_wrong_checksum_are_malformed() -> None:
    data = gzip.compress(b"reading")
    with pytest.raises(Malformed):
        unwrap_gzip(memoryview(data + b"more"), LIMITS)
    with pytest.raises(Malformed):
        unwrap_gzip(memoryview(data[:-8] + b"\0\0\0\0" + data[-4:]), LIMITS)


def test_too_long_base64_is_refused() -> None:
    with pytest.raises(TooLarge):
        unwrap_base64(memoryview(b"A" * 200_000), LIMITS)


def test_a_data_uri_is_taken_where_base64_is_declared() -> None:
    content, media = unwrap("base64", memoryview(b"data:image/png;base64,AQI="), LIMITS)
    assert (bytes(content), media) == (b"\1\2", "image/png")


@pytest.mark.parametrize("encoding", ["zstd", "br", "gzip, base64"])
def test_an_unknown_encoding_is_named(encoding: str) -> None:
    with pytest.raises(UnknownMedia):
        unwrap(encoding, memoryview(b"x"), LIMITS)


SAMPLES = (gzip.compress(b"reading" * 50), b"data:image/jpeg;base64," + base64.b64encode(bytes(range(99))))


@given(st.sampled_from(SAMPLES), st.integers(0, 10**9), st.sampled_from(["gzip", "base64", "data-uri"]))
@settings(max_examples=300)
def test_damaged_wrappings_give_bytes_or_a_typed_error(sample: bytes, seed: int, encoding: str) -> None:
    try:
        content, _ = unwrap(encoding, memoryview(damaged(sample, seed)), LIMITS)
    except RequestRefused:
        return
    assert content.nbytes <= LIMITS.max_bytes
