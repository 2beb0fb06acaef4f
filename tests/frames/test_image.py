"""Picture decoding: near to Pillow's antialiased numbers, honest about damage, one typed error at worst."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow

from gateway.errors import Malformed, RequestRefused, TooLarge
from gateway.frames.geometry import Fit
from gateway.frames.hint import DecodeHint
from gateway.frames.image import decode_jpeg, decode_png, decode_webp
from gateway.frames.limits import PayloadLimits
from gateway.frames.resize import draw
from tests.frames.samples import PHOTOGRAPHS, damaged, encode, interlaced_png, jpeg, photograph, png

LIMITS = PayloadLimits()
SMALL = photograph("chelsea", 64, 48)
SIZES = ((640, 480), (1280, 720), (1920, 1080))


def levels_apart(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(np.int16) - other.astype(np.int16)).mean())


def with_pillow(data: bytes, hint: DecodeHint) -> NDArray[np.uint8]:
    """Decode whole with Pillow, crop and resize antialiased."""
    with Pillow.open(io.BytesIO(data)) as picture:
        laid = hint.placement(*picture.size)
        plain = picture.convert("L" if hint.grey else "RGB")
        inner = plain.resize((laid.inner_width, laid.inner_height), Pillow.Resampling.BILINEAR, laid.box)
    return np.asarray(inner).reshape(laid.inner_height, laid.inner_width, -1)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("size", SIZES)
def test_scaled_decoding_stays_within_three_levels_of_a_full_antialiased_resize(
    name: str, size: tuple[int, int]
) -> None:
    data = jpeg(name, *size)
    hint = DecodeHint(224, 224)
    image = decode_jpeg(memoryview(data), LIMITS, hint)
    assert image.pixels.shape[1] <= size[0] // 2  # it was scaled
    assert levels_apart(draw(image.pixels, hint.placement(*size)), with_pillow(data, hint)) < 1.5


@pytest.mark.parametrize(
    "hint",
    [
        DecodeHint(224, 224, Fit.COVER, 0.875),
        DecodeHint(192, 192, Fit.LETTERBOX),
        DecodeHint(128, 128, Fit.COVER, grey=True),
        DecodeHint(320, 96),
    ],
)
@pytest.mark.parametrize("size", [(640, 480), (641, 487)])
def test_crops_and_letterboxes_stay_near_the_full_resize(hint: DecodeHint, size: tuple[int, int]) -> None:
    data = jpeg("astronaut", *size)
    laid = hint.placement(*size)
    drawn = draw(decode_jpeg(memoryview(data), LIMITS, hint).pixels, laid)
    inner = drawn[laid.top : laid.top + laid.inner_height, laid.left : laid.left + laid.inner_width]
    assert levels_apart(inner, with_pillow(data, hint)) < 1.5


@given(
    st.sampled_from(list(Fit)), st.integers(1, 300), st.integers(1, 300), st.floats(0.3, 1.0), st.booleans()
)
@settings(max_examples=40)
def test_a_scaled_decode_is_never_smaller_than_needed(
    fit: Fit, width: int, height: int, fraction: float, grey: bool
) -> None:
    hint = DecodeHint(width, height, fit, fraction, grey)
    image = decode_jpeg(memoryview(jpeg("coffee", 256, 192)), LIMITS, hint)
    needed = hint.needed_size(256, 192)
    assert image.pixels.shape[1] >= needed[0]
    assert image.pixels.shape[0] >= needed[1]
    assert image.pixels.shape[2] == (1 if grey else 3)
    assert (image.source_width, image.source_height) == (256, 192)


def test_without_a_hint_a_jpeg_is_decoded_whole_and_as_pillow_decodes_it() -> None:
    data = jpeg("astronaut", 320, 240)
    image = decode_jpeg(memoryview(data), LIMITS)
    assert levels_apart(image.pixels, np.asarray(Pillow.open(io.BytesIO(data)))) < 0.1


def test_a_progressive_jpeg_shows_the_same_picture() -> None:
    plain = decode_jpeg(memoryview(jpeg("astronaut", 320, 240)), LIMITS).pixels
    progressive = decode_jpeg(memoryview(jpeg("astronaut", 320, 240, progressive=True)), LIMITS).pixels
    np.testing.assert_array_equal(plain, progressive)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_jpegs_become_rgb(mode: str) -> None:
    data = encode(photograph("coffee", 160, 120), "JPEG", mode=mode, quality=95)
    expected = np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB"))
    assert levels_apart(decode_jpeg(memoryview(data), LIMITS).pixels, expected) < 1.5


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.5, 0.9, 0.99])
def test_a_cut_jpeg_is_refused_instead_of_filled_with_grey(part: float, progressive: bool) -> None:
    data = jpeg("chelsea", 640, 480, progressive=progressive)
    cut = data[: int(len(data) * part)]
    for hint in (None, DecodeHint(224, 224)):
        with pytest.raises(Malformed):
            decode_jpeg(memoryview(cut), LIMITS, hint)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_cut_jpeg_with_an_end_marker_put_after_it_is_refused_too(progressive: bool) -> None:
    data = jpeg("chelsea", 640, 480, progressive=progressive)
    with pytest.raises(Malformed):
        decode_jpeg(memoryview(data[: len(data) // 2] + b"\xff\xd9"), LIMITS)


@pytest.mark.parametrize("tail", [b"\0" * 512, b"\r\n", b"\xff\xd8\xff garbage"])
def test_bytes_after_the_end_of_a_jpeg_do_not_matter(tail: bytes) -> None:
    data = jpeg("chelsea", 320, 240)
    clean = decode_jpeg(memoryview(data), LIMITS).pixels
    np.testing.assert_array_equal(clean, decode_jpeg(memoryview(data + tail), LIMITS).pixels)


def test_stray_bytes_before_the_end_marker_do_not_matter() -> None:
    data = jpeg("chelsea", 320, 240)
    stray = data[:-2] + b"\0\x12\0" + data[-2:]  # as some camera chips pad their pictures
    np.testing.assert_array_equal(
        decode_jpeg(memoryview(data), LIMITS).pixels, decode_jpeg(memoryview(stray), LIMITS).pixels
    )


@pytest.mark.parametrize("orientation", [3, 6])
def test_orientation_tags_are_ignored(orientation: int) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    turned = encode(SMALL, "JPEG", quality=90, exif=exif)
    np.testing.assert_array_equal(
        decode_jpeg(memoryview(turned), LIMITS).pixels,
        decode_jpeg(memoryview(jpeg("chelsea", 64, 48)), LIMITS).pixels,
    )


def test_a_jpeg_is_decoded_from_shared_memory_without_changing_it() -> None:
    payload = bytearray(jpeg("chelsea", 64, 48))
    before = bytes(payload)
    view = memoryview(payload)
    pixels = decode_jpeg(view, LIMITS).pixels
    view.release()
    payload[:] = bytes(len(payload))
    np.testing.assert_array_equal(pixels, decode_jpeg(memoryview(before), LIMITS).pixels)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1"])
def test_pngs_of_every_colour_type_become_rgb_or_grey(mode: str) -> None:
    data = encode(SMALL, "PNG", mode=mode)
    with Pillow.open(io.BytesIO(data)) as picture:
        colour, grey = picture.convert("RGB"), picture.convert("L")
    np.testing.assert_array_equal(np.asarray(colour), decode_png(memoryview(data), LIMITS).pixels)
    hint = DecodeHint(8, 8, grey=True)
    np.testing.assert_array_equal(
        np.asarray(grey), decode_png(memoryview(data), LIMITS, hint).pixels[:, :, 0]
    )


def test_a_palette_with_transparency_becomes_its_colours() -> None:
    data = encode(SMALL, "PNG", mode="P", transparency=b"\0\x80\xff")
    assert decode_png(memoryview(data), LIMITS).pixels.shape == (48, 64, 3)


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bit_pngs_are_cut_to_their_high_bytes(colour: int, channels: int) -> None:
    levels = (np.arange(4 * 6 * channels) * 640 + 37).astype(">u2").reshape(4, 6 * channels)
    data = png(6, 4, 16, colour, b"".join(b"\0" + row.tobytes() for row in levels))
    high = (levels >> 8).astype(np.uint8).reshape(4, 6, channels)
    expected = high[:, :, :3] if channels >= 3 else np.repeat(high[:, :, :1], 3, axis=2)
    np.testing.assert_array_equal(expected, decode_png(memoryview(data), LIMITS).pixels)


def test_an_interlaced_png_shows_the_same_picture() -> None:
    np.testing.assert_array_equal(SMALL, decode_png(memoryview(interlaced_png(SMALL)), LIMITS).pixels)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_a_cut_png_is_refused(part: float) -> None:
    data = encode(photograph("chelsea", 200, 150), "PNG")
    with pytest.raises(Malformed):
        decode_png(memoryview(data[: int(len(data) * part)]), LIMITS)


def test_a_png_with_a_flipped_bit_in_its_pixels_is_refused() -> None:
    data = bytearray(encode(SMALL, "PNG"))
    data[len(data) // 2] ^= 4
    with pytest.raises(Malformed):
        decode_png(memoryview(data), LIMITS)


def test_a_lossless_webp_shows_its_pixels_and_a_lossy_one_nearly() -> None:
    lossless = encode(SMALL, "WEBP", lossless=True)
    np.testing.assert_array_equal(SMALL, decode_webp(memoryview(lossless), LIMITS).pixels)
    lossy = encode(SMALL, "WEBP", quality=95)
    assert levels_apart(decode_webp(memoryview(lossy), LIMITS).pixels, SMALL) < 6


def test_of_an_animated_webp_the_first_picture_is_taken() -> None:
    buffer = io.BytesIO()
    second = Pillow.fromarray(255 - SMALL)
    Pillow.fromarray(SMALL).save(
        buffer, "WEBP", save_all=True, append_images=[second], duration=100, lossless=True
    )
    np.testing.assert_array_equal(SMALL, decode_webp(memoryview(buffer.getvalue()), LIMITS).pixels)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("lossless", [False, True])
def test_a_cut_webp_is_refused(part: float, lossless: bool) -> None:
    data = encode(photograph("chelsea", 200, 150), "WEBP", lossless=lossless)
    with pytest.raises(Malformed):
        decode_webp(memoryview(data[: int(len(data) * part)]), LIMITS)


def test_a_grey_webp_is_one_channel() -> None:
    data = encode(SMALL, "WEBP")
    assert decode_webp(memoryview(data), LIMITS, DecodeHint(8, 8, grey=True)).pixels.shape == (48, 64, 1)


def test_the_pixel_limit_is_the_configured_one_and_not_pillows() -> None:
    data = encode(SMALL, "PNG")
    tight = PayloadLimits(max_pixels=64 * 48 - 1)
    with pytest.raises(TooLarge):
        decode_png(memoryview(data), tight)
    assert decode_png(memoryview(data), PayloadLimits(max_pixels=64 * 48)).pixels.shape == (48, 64, 3)


DECODERS = (decode_jpeg, decode_png, decode_webp)
FILES = (
    jpeg("chelsea", 64, 48),
    jpeg("chelsea", 64, 48, progressive=True),
    encode(SMALL, "JPEG", mode="CMYK"),
    encode(SMALL, "PNG"),
    encode(SMALL, "PNG", mode="P", transparency=b"\0\x80"),
    interlaced_png(SMALL),
    encode(SMALL, "WEBP"),
    encode(SMALL, "WEBP", lossless=True),
)
FUZZ_LIMITS = PayloadLimits(max_pixels=100_000)


@given(st.sampled_from(range(len(FILES))), st.integers(0, 10**9), st.booleans())
@settings(max_examples=400)
def test_damaged_files_give_a_picture_or_a_typed_error(index: int, seed: int, grey: bool) -> None:
    data = memoryview(damaged(FILES[index], seed))
    hint = DecodeHint(24, 24, grey=grey)
    for decode in DECODERS:
        try:
            image = decode(data, FUZZ_LIMITS, hint)
        except RequestRefused:
            continue
        assert image.pixels.dtype == np.uint8
        assert image.pixels.shape[2] == (1 if grey else 3)
        assert image.source_width * image.source_height <= FUZZ_LIMITS.max_pixels
