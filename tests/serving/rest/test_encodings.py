"""Compressed bodies: taken apart within a bound whatever they are, and made as the client wants them."""

from __future__ import annotations

import contextlib
import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import Malformed, RequestRefused, TooLarge, UnknownMedia
from gateway.serving.rest.encodings import (
    DEFLATE,
    GZIP,
    IDENTITY,
    Unpacking,
    compress,
    sent_encoding,
    wanted_encoding,
)


def decompress(body: bytes, encoding: str, most_bytes: int) -> bytes:
    """Take a body apart, each of its members at once."""
    reader = Unpacking(body, encoding, most_bytes)
    parts = []
    while not reader.is_done:
        parts.append(reader.more(most_bytes + 1))
    return b"".join(parts)


@given(st.binary(max_size=300), st.sampled_from([GZIP, DEFLATE]))
def test_what_is_compressed_is_the_same_afterwards(body: bytes, encoding: str) -> None:
    packed = compress(body, encoding)
    assert decompress(packed, encoding, len(body)) == body
    assert (gzip.decompress if encoding == GZIP else zlib.decompress)(packed) == body
    if body:
        with pytest.raises(TooLarge):
            decompress(packed, encoding, len(body) - 1)


def test_deflate_is_taken_with_and_without_its_frame() -> None:
    bare = zlib.compressobj(wbits=-15)
    assert decompress(bare.compress(b"hello") + bare.flush(), DEFLATE, 9) == b"hello"


def test_gzip_may_have_members_but_not_endlessly_many() -> None:
    assert decompress(gzip.compress(b"a") + gzip.compress(b"b"), GZIP, 2) == b"ab"
    with pytest.raises(TooLarge, match="bytes"):
        decompress(gzip.compress(b"a") + gzip.compress(b"b"), GZIP, 1)
    with pytest.raises(TooLarge, match="members"):
        decompress(gzip.compress(b"") * 65, GZIP, 9)


@given(st.binary(max_size=300), st.sampled_from([GZIP, DEFLATE]), st.integers(1, 400))
@example(bytes(64), GZIP, 64)
def test_a_body_is_the_same_in_pieces_of_any_size(body: bytes, encoding: str, size: int) -> None:
    reader = Unpacking(compress(body, encoding), encoding, len(body))
    pieces = []
    while not reader.is_done:
        pieces.append(reader.more(size))
    assert b"".join(pieces) == body
    assert all(len(piece) <= size for piece in pieces)


@pytest.mark.parametrize("encoding", [GZIP, DEFLATE])
def test_a_bomb_costs_no_more_than_the_limit(encoding: str) -> None:
    bomb = compress(bytes(200_000_000), encoding)
    tracemalloc.start()
    with pytest.raises(TooLarge):
        decompress(bomb, encoding, 1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000


@given(st.binary(max_size=60), st.sampled_from([GZIP, DEFLATE]))
@example(b"", GZIP)
@example(gzip.compress(b"a") + b"x", GZIP)
@example(zlib.compress(b"a") + b"x", DEFLATE)
@example(zlib.compress(b"a")[:-1], DEFLATE)
def test_any_bytes_are_taken_apart_or_refused(body: bytes, encoding: str) -> None:
    with contextlib.suppress(RequestRefused):
        assert len(decompress(body, encoding, 100)) <= 100


@pytest.mark.parametrize("body", [gzip.compress(b"a") + b"x", gzip.compress(b"abc")[:-1], b"", b"junk"])
def test_damaged_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        decompress(body, GZIP, 100)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("", (IDENTITY, False)),
        ("gzip", (GZIP, True)),
        ("deflate", (DEFLATE, True)),
        ("gzip, deflate", (GZIP, False)),
        ("gzip;q=0.2, deflate;q=0.9", (DEFLATE, False)),
        ("gzip;q=0", (IDENTITY, False)),
        ("br, zstd", (IDENTITY, False)),
        ("*", (GZIP, False)),
        ("identity, gzip;q=0.5", (IDENTITY, False)),
        ("gzip;q=x, deflate;q=2", (IDENTITY, False)),
        ("GZIP;Q=1.0", (GZIP, True)),
        (";,;q=1,,", (IDENTITY, False)),
    ],
)
def test_the_client_says_how_it_wants_answers(header: str, wanted: tuple[str, bool]) -> None:
    assert wanted_encoding(header) == wanted


@given(st.text(max_size=40))
def test_any_header_says_something(header: str) -> None:
    assert wanted_encoding(header)[0] in {IDENTITY, GZIP, DEFLATE}


def test_bodies_come_in_known_encodings() -> None:
    assert [sent_encoding(each) for each in ("", "identity", " GZip", "x-gzip", "deflate")] == [
        *(IDENTITY, IDENTITY, GZIP, GZIP, DEFLATE)
    ]
    for unknown in ("br", "gzip, deflate", "gzip,"):
        with pytest.raises(UnknownMedia):
            sent_encoding(unknown)
