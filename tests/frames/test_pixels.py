"""Pictures to a model's input, each way against NumPy or Pillow."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow

from gateway.errors import PipelineMisfit
from gateway.frames.prepared import StreamState
from gateway.frames.values import Image
from gateway.tensor import Array, TensorSpec
from tests.frames.made import LEVELS, Written, compiled, facts, picture, spec
from tests.frames.samples import photograph

OUT = [spec("out", "float32", (1, 4))]
SAME = picture(8, 8)


def row_of(target: TensorSpec, steps: Written, image: Image = SAME, axes: str = "") -> Array:
    pipeline = compiled(facts([target], OUT, axes=axes), [("resize", {}), *steps])
    (row,) = pipeline.prepare_value(image, StreamState()).rows
    array = row[target.name]
    assert array.dtype == target.dtype
    assert array.flags.c_contiguous
    assert array.shape[0] == 1
    first: Array = array[0]
    return first


def test_a_model_that_takes_the_levels_gets_the_very_memory_of_the_picture() -> None:
    assert np.shares_memory(SAME.pixels, row_of(LEVELS, [("normalise", {"mean": 127, "std": 128})]))
    assert np.shares_memory(SAME.pixels, row_of(LEVELS, [("normalise", {"as_codes": True})]))
    assert np.shares_memory(SAME.pixels, row_of(spec("x", "uint8", (1, 8, 8, 3)), []))


def test_the_levels_as_int8_codes_start_at_the_lowest() -> None:
    codes = row_of(spec("x", "int8", (1, 8, 8, 3), 0.5, 7), [("normalise", {"as_codes": True})])
    np.testing.assert_array_equal(SAME.pixels.astype(np.int16) - 128, codes)


def test_a_range_maps_level_0_and_255_to_its_ends() -> None:
    target = spec("x", "float32", (1, 8, 8, 3))
    expected = SAME.pixels.astype(np.float64) / 255 * 2 - 1
    np.testing.assert_allclose(row_of(target, [("normalise", {"range": [-1, 1]})]), expected, atol=1e-6)


def test_scale_mean_and_std_differ_by_channel() -> None:
    options = {"scale": 1 / 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    expected = (SAME.pixels / 255 - np.array(options["mean"])) / np.array(options["std"])
    last = row_of(spec("x", "float32", (1, 8, 8, 3)), [("normalise", options)])
    first = row_of(spec("x", "float32", (1, 3, 8, 8)), [("normalise", options)])
    np.testing.assert_allclose(last, expected, atol=1e-5)
    np.testing.assert_allclose(first, expected.transpose(2, 0, 1), atol=1e-5)


def test_two_normalisations_are_one() -> None:
    target = spec("x", "float32", (1, 8, 8, 3))
    steps = [("normalise", {"scale": 1 / 255}), ("normalise", {"mean": [0.5, 0.4, 0.3], "std": 0.25})]
    expected = (SAME.pixels / 255 - np.array([0.5, 0.4, 0.3])) / 0.25
    np.testing.assert_allclose(row_of(target, steps), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (1, 3, 8, 8)])
def test_bgr_reverses_channels_and_the_numbers_given_before_it(shape: tuple[int, ...]) -> None:
    means = {"mean": [10, 20, 30]}
    target = spec("x", "float32", shape)
    expected = (SAME.pixels - np.array([10.0, 20.0, 30.0]))[:, :, ::-1]
    if shape[1] == 3:
        expected = expected.transpose(2, 0, 1)
    before = row_of(target, [("normalise", means), ("colour", {"order": "bgr"})])
    after = row_of(target, [("colour", {"order": "bgr"}), ("normalise", {"mean": [30, 20, 10]})])
    np.testing.assert_allclose(before, expected, atol=1e-4)
    np.testing.assert_allclose(after, expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 8, 8, 1), (1, 1, 8, 8), (1, 8, 8)])
def test_grey_is_within_one_level_of_pillows(shape: tuple[int, ...]) -> None:
    grey = row_of(spec("x", "uint8", shape), [("colour", {"order": "grey"})]).reshape(8, 8)
    expected = np.asarray(Pillow.fromarray(SAME.pixels).convert("L"))
    assert np.abs(grey.astype(int) - expected).max() <= 1


def test_a_grey_picture_feeds_a_grey_model_unchanged_and_a_colour_model_thrice() -> None:
    grey = picture(8, 8, 1)
    np.testing.assert_array_equal(
        grey.pixels, row_of(spec("x", "uint8", (1, 8, 8, 1)), [("colour", {"order": "grey"})], grey)
    )
    for order in ("rgb", "bgr"):
        steps = [("colour", {"order": order})]
        np.testing.assert_array_equal(
            np.repeat(grey.pixels, 3, axis=2), row_of(spec("x", "uint8", (1, 8, 8, 3)), steps, grey)
        )
        planes = row_of(spec("x", "uint8", (1, 3, 8, 8)), steps, grey)
        np.testing.assert_array_equal(np.repeat(grey.pixels, 3, axis=2).transpose(2, 0, 1), planes)


@pytest.mark.parametrize(("name", "width", "height"), [("chelsea", 448, 300), ("coffee", 600, 400)])
def test_a_resized_photograph_is_pillows_antialiased_one(name: str, width: int, height: int) -> None:
    pixels = photograph(name, width, height)
    array = row_of(spec("x", "uint8", (1, 224, 224, 3)), [], Image(pixels, width, height))
    expected = np.asarray(Pillow.fromarray(pixels).resize((224, 224), Pillow.Resampling.BILINEAR))
    np.testing.assert_array_equal(expected, array)


def test_the_cards_axes_decide_where_the_shape_does_not() -> None:
    image = Image(picture(3, 8).pixels, 8, 3)
    target = spec("x", "uint8", (1, 3, 8, 3))
    with pytest.raises(PipelineMisfit, match="cannot tell the axes"):
        row_of(target, [], image)
    np.testing.assert_array_equal(image.pixels, row_of(target, [], image, axes="NHWC"))


def misfit(target: TensorSpec, steps: Written, axes: str = "") -> str:
    with pytest.raises(PipelineMisfit) as caught:
        compiled(facts([target], OUT, axes=axes), steps)
    return str(caught.value)


def test_pictures_of_any_size_need_a_resize() -> None:
    assert "preprocess[0].crop: pictures come in any size" in misfit(
        LEVELS, [("crop", {"box": [0, 0, 1, 1]})]
    )


def test_another_size_than_the_models_is_refused() -> None:
    message = misfit(LEVELS, [("resize", {"width": 9}), ("normalise", {"as_codes": True})])
    assert "gives pictures 9 wide and 8 high, the model takes 8 by 8" in message


def test_a_grey_model_asks_for_the_colour_step() -> None:
    assert "add the step colour: {order: grey}" in misfit(spec("x", "uint8", (1, 8, 8, 1)), [("resize", {})])


def test_levels_that_would_be_crushed_by_the_quantisation_are_refused() -> None:
    message = misfit(LEVELS, [("resize", {})])
    assert message.startswith("preprocess[0].resize: the 256 levels become only")
    assert "add the step normalise" in message


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (1, 8, 8, 4), (1, 8), (1, 1, 8, 8, 3)])
def test_inputs_that_hold_no_picture_are_refused(shape: tuple[int, ...]) -> None:
    assert "preprocess[0].resize" in misfit(spec("x", "uint8", shape), [("resize", {})])


def test_axes_that_do_not_fit_the_shape_are_refused() -> None:
    assert "axes NHW on the card do not fit" in misfit(LEVELS, [("resize", {})], axes="NHW")
