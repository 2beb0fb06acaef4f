"""YOLO heads made by hand, and the objects found in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PipelineMisfit, RunFailed
from gateway.frames.prepared import JsonValue, StreamState
from gateway.frames.values import Image
from gateway.tensor import Array, Quantization, TensorSpec, quantize
from tests.frames.made import compiled, facts, spec

LABELS = ("person", "bicycle", "car")
IN = [spec("images", "float32", (1, 3, 64, 64))]

Objects = list[dict[str, JsonValue]]


def head(objects: Sequence[tuple[float, float, float, float, int, float]], boxes: int = 50) -> Array:
    """Return (1, 7, boxes): centre x, y, width, height and three scores; the rest is background."""
    array = np.zeros((1, 4 + len(LABELS), boxes), np.float32)
    for place, (x, y, width, height, kind, score) in enumerate(objects):
        array[0, :4, place * 3] = x, y, width, height
        array[0, 4 + kind, place * 3] = score
    return array


def objects_of(
    array: Array,
    options: dict[str, object] | None = None,
    output: TensorSpec | None = None,
    source: tuple[int, int] = (128, 64),
    fit: str = "letterbox",
) -> Objects:
    output = output or spec("output0", "float32", array.shape)
    model = facts(IN, [output], LABELS)
    pipeline = compiled(model, [("resize", {"fit": fit})], [("detect_yolo", options or {})])
    image = Image(np.zeros((source[1], source[0], 3), np.uint8), *source)
    prepared = pipeline.prepare_value(image, StreamState())
    prediction = pipeline.finish(prepared, [{output.name: array}], StreamState())
    assert prediction is not None
    assert prediction["image"] == {"width": source[0], "height": source[1]}
    found = prediction["objects"]
    assert isinstance(found, list)
    return [one for one in found if isinstance(one, dict)]


def test_a_box_in_the_letterbox_is_told_in_the_source() -> None:
    # 128x64 on 64x64 is halved and lies on the rows 16 to 48.
    (found,) = objects_of(head([(32, 32, 16, 8, 2, 0.9)]))
    assert found == {
        "class": 2,
        "label": "car",
        "score": 0.9,
        "box": [0.375, 0.375, 0.625, 0.625],
        "box_px": [48, 24, 80, 40],
        "keypoints": [],
    }


def test_fractions_and_transposed_heads_say_the_same() -> None:
    pixels = head([(20, 30, 10, 12, 0, 0.8), (50, 40, 6, 6, 1, 0.5)])
    fractions = pixels.copy()
    fractions[:, :4] /= 64
    expected = objects_of(pixels)
    assert len(expected) == 2
    assert expected == objects_of(fractions, {"coordinates": "fractions"})
    assert expected == objects_of(np.ascontiguousarray(pixels.transpose(0, 2, 1)))
    assert expected == objects_of(np.ascontiguousarray(pixels.transpose(0, 2, 1)), {"layout": "boxes_first"})


def test_overlapping_boxes_of_a_class_are_one_object_and_of_two_classes_two() -> None:
    boxes = [(32, 32, 16, 8, 2, 0.9), (33, 32, 16, 8, 2, 0.7), (32, 32, 16, 8, 1, 0.6)]
    assert [(one["label"], one["score"]) for one in objects_of(head(boxes))] == [
        ("car", 0.9),
        ("bicycle", 0.6),
    ]


def test_boxes_in_the_bars_of_the_letterbox_are_left_out_and_others_clipped() -> None:
    found = objects_of(head([(32, 5, 10, 6, 0, 0.9), (32, 16, 10, 8, 1, 0.8)]))
    assert [one["label"] for one in found] == ["bicycle"]
    assert found[0]["box_px"] == [54, 0, 74, 8]


@given(
    st.lists(
        st.tuples(
            st.floats(2, 62),
            st.floats(18, 46),
            st.floats(1, 30),
            st.floats(1, 30),
            st.integers(0, 2),
            st.floats(0, 1),
        ),
        max_size=12,
    ),
    st.sampled_from(["letterbox", "crop", "stretch"]),
)
def test_whatever_a_head_says_boxes_lie_in_the_picture_and_scores_above_the_least(
    boxes: list[tuple[float, float, float, float, int, float]], fit: str
) -> None:
    for one in objects_of(head(boxes), {"min_score": 0.3}, fit=fit):
        left, top, right, bottom = np.array(one["box"], float)
        assert 0 <= left <= right <= 1
        assert 0 <= top <= bottom <= 1
        assert isinstance(one["score"], float)
        assert one["score"] >= 0.2999


def test_a_quantised_head_finds_what_the_real_one_does_within_a_step() -> None:
    real = head([(20, 30, 10, 12, 0, 0.8), (50, 40, 6, 6, 1, 0.5)])
    real[:, :4] /= 64
    quantization = Quantization(1 / 255, -128)
    codes = quantize(real, quantization, np.dtype(np.int8))
    output = TensorSpec("output0", "int8", codes.shape, quantization)
    options: dict[str, object] = {"coordinates": "fractions"}
    expected, found = objects_of(real, options), objects_of(codes, options, output)
    assert [one["label"] for one in expected] == [one["label"] for one in found]
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(np.array(one["box"], float), np.array(other["box"], float), atol=3 / 255)


def test_background_only_finds_nothing() -> None:
    assert objects_of(head([])) == []


@pytest.mark.parametrize("row", [0, 5])
def test_nan_in_a_box_or_a_score_fails_the_run(row: int) -> None:
    array = head([(20, 30, 10, 12, 0, 0.8)])
    array[0, row, 0] = np.nan
    with pytest.raises(RunFailed):
        objects_of(array)


@pytest.mark.parametrize(
    ("shape", "labels", "words"),
    [
        ((1, 84, 84, 3), LABELS, "needs an output"),
        ((1, 8, 100), LABELS, "3 labels"),
        ((1, 3, 9), (), "four numbers"),
    ],
)
def test_outputs_that_are_no_such_head_are_refused(
    shape: tuple[int, ...], labels: tuple[str, ...], words: str
) -> None:
    with pytest.raises(PipelineMisfit, match=words):
        compiled(facts(IN, [spec("o", "float32", shape)], labels), [("resize", {})], [("detect_yolo", {})])


def test_only_pictures_have_objects() -> None:
    model = facts([spec("x", "float32", (1, 4))], [spec("o", "float32", (1, 7, 9))], LABELS)
    with pytest.raises(PipelineMisfit, match="finds objects in pictures"):
        compiled(model, [("tensor", {})], [("detect_yolo", {})])
