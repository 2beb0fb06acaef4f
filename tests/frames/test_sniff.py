"""Detection: the declared type first, then magic bytes, then form; nothing ambiguous is guessed."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UnknownMedia
from gateway.frames.declaration import Declaration
from gateway.frames.sniff import Kind, detect
from tests.frames.samples import encode, jpeg, photograph

SMALL = photograph("chelsea", 16, 12)
PLAIN = Declaration()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (jpeg("chelsea", 16, 12), Kind.JPEG),
        (encode(SMALL, "PNG"), Kind.PNG),
        (encode(SMALL, "WEBP"), Kind.WEBP),
        (b"\x93NUMPY\x01\x00", Kind.NPY),
        (gzip.compress(b"x"), Kind.GZIP),
        (b"RIFF\0\0\0\0WAVEfmt ", Kind.WAV),
        (b"\xd9\xd9\xf7\x01", Kind.CBOR),
        (b"data:image/jpeg;base64,", Kind.DATA_URI),
        (b'{"t": 1}', Kind.JSON),
        (b"[1]", Kind.JSON),
        ("[\u00fc".encode(), Kind.JSON),
    ],
)
def test_an_undeclared_payload_is_known_by_its_bytes(data: bytes, kind: Kind) -> None:
    assert detect(memoryview(data), PLAIN) is kind


@pytest.mark.parametrize(
    "data",
    [
        b"21.5",
        b"ON",
        b" {}",
        b"{\xff",
        b"/9j/4AAQSkZJRg==",
        b"\0\1\2",
        b"\xa1\x61a\x01",
        b"RIFF\0\0\0\0AVI ",
        b"GIF89a",
    ],
)
def test_what_could_be_anything_is_not_guessed(data: bytes) -> None:
    with pytest.raises(UnknownMedia):
        detect(memoryview(data), PLAIN)


def test_zstd_is_recognised_and_refused_by_name() -> None:
    with pytest.raises(UnknownMedia, match="zstd"):
        detect(memoryview(b"\x28\xb5\x2f\xfd\x20\x00"), PLAIN)


@pytest.mark.parametrize(
    ("media", "kind"),
    [
        ("image/jpeg", Kind.JPEG),
        ("image/jpg", Kind.JPEG),
        ("Image/PNG", Kind.PNG),
        ("application/senml+json", Kind.SENML_JSON),
        ("application/senml+cbor", Kind.SENML_CBOR),
        ("application/cbor", Kind.CBOR),
        ("application/geo+json", Kind.JSON),
        ("application/foo+cbor", Kind.CBOR),
        ("application/vnd.gateway.tensor", Kind.TENSOR),
        ("text/plain", Kind.TEXT),
        ("audio/pcm", Kind.PCM),
        ("audio/L16", Kind.PCM_BIG_ENDIAN),
        ("audio/x-wav", Kind.WAV),
        ("application/gzip", Kind.GZIP),
    ],
)
def test_a_declared_type_wins_over_what_the_bytes_look_like(media: str, kind: Kind) -> None:
    assert detect(memoryview(b"\x89PNG\r\n\x1a\n"), Declaration(media=media)) is kind


@pytest.mark.parametrize("media", ["video/mp4", "image/gif", "nonsense", "application/zstd", "data-uri"])
def test_a_declared_type_that_is_not_supported_is_named(media: str) -> None:
    with pytest.raises(UnknownMedia, match=media):
        detect(memoryview(jpeg("chelsea", 16, 12)), Declaration(media=media))


@pytest.mark.parametrize("media", ["application/octet-stream", "image/*", "*/*"])
def test_an_unspecific_type_leaves_it_to_the_bytes(media: str) -> None:
    assert detect(memoryview(jpeg("chelsea", 16, 12)), Declaration(media=media)) is Kind.JPEG


def test_a_declared_element_type_makes_it_a_raw_tensor() -> None:
    assert detect(memoryview(b"\xff\xd8\xff\xe0"), Declaration(dtype="uint8")) is Kind.TENSOR


def test_npy_is_never_taken_for_the_elements_of_a_raw_tensor() -> None:
    assert detect(memoryview(b"\x93NUMPY\x01\x00"), Declaration(dtype="uint8")) is Kind.NPY


@given(st.binary(max_size=40), st.text(max_size=12))
def test_any_bytes_and_type_give_a_kind_or_unknown_media(data: bytes, media: str) -> None:
    for declared in (PLAIN, Declaration(media=media)):
        try:
            assert isinstance(detect(memoryview(data), declared), Kind)
        except UnknownMedia:
            continue
