"""Real values to a model's element type: every fast form equals the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.frames.affine import code_map, fuse, real_map
from gateway.frames.specs import Affine
from gateway.tensor import Array, dequantize
from tests.frames.made import spec

PIXELS = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
EVERY_LEVEL = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)

affines = st.builds(
    lambda scale, offset: Affine(tuple(scale), tuple(offset)),
    st.lists(st.floats(0.001, 4), min_size=3, max_size=3),
    st.lists(st.floats(-200, 200), min_size=3, max_size=3),
)


def defined(affine: Affine, levels: Array, dtype: str, scale: float, zero: int) -> Array:
    """Return the real values in float64, or the codes by the definition of quantisation."""
    real: Array = levels.astype(np.float64) * np.array(affine.scale) + np.array(affine.offset)
    if not scale:
        return real
    limits = np.iinfo(dtype)
    codes: Array = np.clip(np.rint(real / scale + zero), limits.min, limits.max)
    return codes


@pytest.mark.parametrize(("dtype", "zero"), [("uint8", 127), ("int8", -3), ("int16", 11), ("uint16", 4000)])
@given(affine=affines)
def test_integer_targets_are_within_one_code_of_the_definition_and_nearly_always_on_it(
    affine: Affine, dtype: str, zero: int
) -> None:
    convert = code_map(fuse(affine, spec("x", dtype, (1, 5, 7, 3), 0.0078, zero)))
    assert convert is not None
    codes = convert(PIXELS)
    gap = np.abs(codes.astype(np.float64) - defined(affine, PIXELS, dtype, 0.0078, zero))
    assert codes.dtype == dtype
    assert codes.flags.c_contiguous
    assert gap.max() <= 1  # where a value lies on a rounding edge, the order of operations may tell
    assert (gap > 0).mean() < 0.01


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float16", 1e-3), ("float64", 1e-6)])
@given(affine=affines)
def test_float_targets_are_within_their_precision(affine: Affine, dtype: str, tolerance: float) -> None:
    convert = code_map(fuse(affine, spec("x", dtype, (1, 5, 7, 3))))
    assert convert is not None
    real = defined(affine, PIXELS, dtype, 0, 0)
    values = convert(PIXELS)
    assert values.dtype == dtype
    assert np.abs(values - real).max() <= tolerance * max(1.0, np.abs(real).max(), 255 * max(affine.scale))


@given(affine=affines)
def test_planes_first_is_pixels_last_transposed(affine: Affine) -> None:
    for target in (spec("x", "float32", (1, 5, 7, 3)), spec("x", "int8", (1, 5, 7, 3), 0.01, 3)):
        last, first = code_map(fuse(affine, target)), code_map(fuse(affine, target), channel_axis=0)
        assert last is not None
        assert first is not None
        planes = first(np.ascontiguousarray(PIXELS.transpose(2, 0, 1)))
        np.testing.assert_array_equal(last(PIXELS).transpose(2, 0, 1), planes)


def test_levels_that_are_the_codes_already_are_not_touched() -> None:
    affine = Affine((1 / 128,), (-127 / 128,))
    assert code_map(fuse(affine, spec("x", "uint8", (1, 5, 7, 3), 0.0078125, 127))) is None
    assert code_map(fuse(Affine(), spec("x", "uint8", (1, 5, 7, 3)))) is None


def test_levels_half_a_range_away_are_shifted_exactly() -> None:
    convert = code_map(fuse(Affine((1 / 255,), (0.0,)), spec("x", "int8", (1, 5, 7, 3), 1 / 255, -128)))
    assert convert is not None
    np.testing.assert_array_equal(EVERY_LEVEL.astype(np.int16) - 128, convert(EVERY_LEVEL))


def test_the_map_of_readings_dequantises_back_within_half_a_step() -> None:
    target = spec("x", "int8", (1, 100, 6), 0.24584, -15)
    readings = np.random.default_rng(2).uniform(-20, 20, (4, 100, 6)).astype(np.float32)
    codes = real_map(Affine(), target)(readings)
    assert codes.dtype == np.int8
    assert np.abs(dequantize(codes, target.quantization) - readings).max() <= 0.24584 / 2 + 1e-5


def test_readings_beyond_the_range_saturate() -> None:
    target = spec("x", "int8", (1, 2, 1), 0.1, 0)
    codes = real_map(Affine(), target)(np.array([[[1e30], [-1e30]]], np.float32))
    assert codes.reshape(-1).tolist() == [127, -128]


@given(affines, affines)
def test_maps_compose_as_functions_do(first: Affine, second: Affine) -> None:
    both = first.then(second.scale, second.offset)
    level = np.arange(256, dtype=np.float64)[:, np.newaxis]
    one_by_one = (level * np.array(first.scale) + first.offset) * np.array(second.scale) + second.offset
    composed = level * np.array(both.scale) + both.offset
    np.testing.assert_allclose(np.broadcast_to(composed, one_by_one.shape), one_by_one, atol=1e-9, rtol=1e-9)


def test_numbers_for_different_counts_of_channels_do_not_compose() -> None:
    with pytest.raises(ValueError, match="2 numbers for 3 channels"):
        Affine((1.0, 2.0, 3.0), (0.0, 0.0, 0.0)).then((1.0, 2.0), (0.0, 0.0))
