"""Image headers: sizes are found, bombs and broken headers refused, any bytes survived."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import Malformed, RequestRefused, TooLarge, UnknownMedia
from gateway.frames.image_header import ImageHeader, read_jpeg_header, read_png_header, read_webp_header
from gateway.frames.limits import PayloadLimits
from tests.frames.samples import damaged, encode, jpeg, photograph, png

LIMITS = PayloadLimits()
READERS = (read_jpeg_header, read_png_header, read_webp_header)
SMALL = photograph("chelsea", 64, 48)
FILES = (
    jpeg("chelsea", 64, 48),
    jpeg("chelsea", 64, 48, progressive=True),
    encode(SMALL, "PNG"),
    encode(SMALL, "WEBP"),
    encode(SMALL, "WEBP", lossless=True),
    encode(SMALL, "WEBP", mode="RGBA", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"),
)


def frame(marker: int, precision: int = 8, height: int = 48, width: int = 64, channels: int = 3) -> bytes:
    body = struct.pack(">BHHB", precision, height, width, channels) + bytes(3 * channels)
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpegs_size_is_in_its_frame_header(progressive: bool) -> None:
    data = jpeg("chelsea", 64, 48, progressive=progressive)
    assert read_jpeg_header(memoryview(data), LIMITS) == ImageHeader(64, 48, 3)


def test_a_grey_and_a_cmyk_jpeg_tell_their_channels() -> None:
    grey = encode(SMALL, "JPEG", mode="L")
    ink = encode(SMALL, "JPEG", mode="CMYK")
    assert read_jpeg_header(memoryview(grey), LIMITS).channels == 1
    assert read_jpeg_header(memoryview(ink), LIMITS).channels == 4


def test_a_pngs_size_is_in_its_first_chunk() -> None:
    data = memoryview(encode(SMALL, "PNG", mode="RGBA"))
    assert read_png_header(data, LIMITS) == ImageHeader(64, 48, 4)


@pytest.mark.parametrize("data", FILES[3:])
def test_all_three_forms_of_webp_tell_their_size(data: bytes) -> None:
    header = read_webp_header(memoryview(data), LIMITS)
    assert (header.width, header.height) == (64, 48)


def test_a_png_of_65500_squared_is_refused_by_its_header() -> None:
    bomb = png(65_500, 65_500, 8, 2, b"")
    with pytest.raises(TooLarge, match="65500x65500"):
        read_png_header(memoryview(bomb), LIMITS)


def test_a_jpeg_of_65500_squared_is_refused_by_its_header() -> None:
    with pytest.raises(TooLarge, match="65500x65500"):
        read_jpeg_header(memoryview(b"\xff\xd8" + frame(0xC0, height=65_500, width=65_500)), LIMITS)


def test_a_webp_canvas_above_the_limit_is_refused() -> None:
    head = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\xff\xff" + b"\xff\xff\xff"
    with pytest.raises(TooLarge):
        read_webp_header(memoryview(head), LIMITS)


def test_the_limit_itself_is_allowed() -> None:
    data = memoryview(jpeg("chelsea", 64, 48))
    assert read_jpeg_header(data, PayloadLimits(max_pixels=64 * 48)).width == 64
    with pytest.raises(TooLarge):
        read_jpeg_header(data, PayloadLimits(max_pixels=64 * 48 - 1))


@pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCF])
def test_lossless_and_hierarchical_jpeg_are_named_as_unsupported(marker: int) -> None:
    with pytest.raises(UnknownMedia):
        read_jpeg_header(memoryview(b"\xff\xd8" + frame(marker)), LIMITS)


def test_12_bit_jpeg_is_named_as_unsupported() -> None:
    with pytest.raises(UnknownMedia):
        read_jpeg_header(memoryview(b"\xff\xd8" + frame(0xC1, precision=12)), LIMITS)


@pytest.mark.parametrize("change", [{"height": 0}, {"width": 0}, {"channels": 2}])
def test_a_frame_that_cannot_be_is_malformed(change: dict[str, int]) -> None:
    with pytest.raises(Malformed):
        read_jpeg_header(memoryview(b"\xff\xd8" + frame(0xC0, **change)), LIMITS)


def test_a_progressive_jpeg_of_endless_scans_is_refused() -> None:
    scans = b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00" * 65
    with pytest.raises(TooLarge, match="scans"):
        read_jpeg_header(memoryview(b"\xff\xd8" + frame(0xC2) + scans), LIMITS)


def test_a_jpeg_of_endless_empty_segments_is_refused_after_a_thousand() -> None:
    with pytest.raises(TooLarge, match="segments"):
        read_jpeg_header(memoryview(b"\xff\xd8" + b"\xff\xfe\x00\x02" * 100_000), LIMITS)


def test_fill_bytes_before_a_marker_are_allowed() -> None:
    data = memoryview(b"\xff\xd8\xff\xff\xff" + frame(0xC0))
    assert read_jpeg_header(data, LIMITS) == ImageHeader(64, 48, 3)


@pytest.mark.parametrize("colour", [1, 5, 7])
def test_a_png_colour_type_that_does_not_exist_is_malformed(colour: int) -> None:
    with pytest.raises(Malformed):
        read_png_header(memoryview(png(4, 4, 8, colour, b"")), LIMITS)


@given(st.binary(max_size=200), st.sampled_from([b"", *(file[:40] for file in FILES)]))
@example(b"\xff\xc0\x00\x02", b"\xff\xd8")
@example(bytes(20), b"RIFF\0\0\0\0WEBPVP8 ")
def test_any_bytes_give_a_header_or_a_typed_error(tail: bytes, head: bytes) -> None:
    for read in READERS:
        try:
            header = read(memoryview(head + tail), LIMITS)
        except RequestRefused:
            continue
        assert header.width * header.height <= LIMITS.max_pixels


@given(st.sampled_from(range(len(FILES))), st.integers(0, 10**9))
def test_damaged_headers_give_a_header_or_a_typed_error(index: int, seed: int) -> None:
    data = memoryview(damaged(FILES[index][:700], seed))
    for read in READERS:
        try:
            header = read(data, LIMITS)
        except RequestRefused:
            continue
        assert 1 <= header.width * header.height <= LIMITS.max_pixels
