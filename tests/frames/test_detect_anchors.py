"""Heads of single-shot detectors made by hand, and the objects found in them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gateway.errors import PipelineMisfit, RunFailed
from gateway.frames.anchors import AnchorScales, sized_anchors
from gateway.frames.prepared import JsonValue, StreamState
from gateway.frames.specs import ModelFacts
from gateway.frames.values import Image
from gateway.tensor import Array
from tests.frames.made import compiled, facts, spec

FACES: dict[str, object] = {"strides": [8, 16], "per_cell": [2, 6], "keypoints": 6}
BLAZE = facts(
    [spec("input", "float32", (1, 128, 128, 3))],
    [spec("regressors", "float32", (1, 896, 16)), spec("classificators", "float32", (1, 896, 1))],
    ("face",),
)


def found_by(
    model: ModelFacts,
    options: dict[str, object],
    outputs: dict[str, Array],
    source: tuple[int, int] = (256, 256),
) -> list[JsonValue]:
    pipeline = compiled(model, [("resize", {"fit": "letterbox"})], [("detect_anchors", options)])
    image = Image(np.zeros((source[1], source[0], 3), np.uint8), *source)
    prepared = pipeline.prepare_value(image, StreamState())
    prediction = pipeline.finish(prepared, [outputs], StreamState())
    assert prediction is not None
    objects = prediction["objects"]
    assert isinstance(objects, list)
    return objects


def face(place: int, box: tuple[float, float, float, float], logit: float) -> dict[str, Array]:
    boxes, scores = np.zeros((1, 896, 16), np.float32), np.full((1, 896, 1), -50, np.float32)
    boxes[0, place, :4] = box
    boxes[0, place, 4:] = np.repeat(np.arange(6), 2)
    scores[0, place] = logit
    return {"regressors": boxes, "classificators": scores}


def test_a_raw_box_is_told_in_pixels_from_its_anchors_point() -> None:
    # Anchor 0 is at (4, 4) of 128; the box is 10 right and 20 down of it, 16 wide and 24 high.
    (one,) = found_by(BLAZE, FACES, face(0, (10, 20, 16, 24), math.log(3)))
    assert one == {
        "class": 0,
        "label": "face",
        "score": 0.75,
        "box": [round(side / 128, 5) for side in (6, 12, 22, 36)],
        "box_px": [12, 24, 44, 72],
        "keypoints": [[round((4 + k) / 128, 5)] * 2 for k in range(6)],
    }


def test_a_wide_source_is_seen_through_its_letterbox() -> None:
    (one,) = found_by(BLAZE, FACES, face(7 * 32 + 16, (-4, -4, 32, 32), 5.0), source=(640, 320))
    assert isinstance(one, dict)
    # Anchor at (68, 60); the picture lies on the rows 32 to 96 at a fifth of its size.
    assert one["box_px"] == [240, 40, 400, 200]


def test_scores_below_the_least_are_no_objects() -> None:
    edge = math.log(0.7 / 0.3)
    assert found_by(BLAZE, {**FACES, "min_score": 0.7}, face(0, (0, 0, 9, 9), edge - 0.01)) == []
    assert len(found_by(BLAZE, {**FACES, "min_score": 0.7}, face(0, (0, 0, 9, 9), edge + 0.01))) == 1


@pytest.mark.parametrize("output", ["regressors", "classificators"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_fail_the_run(output: str, value: float) -> None:
    outputs = face(3, (0, 0, 9, 9), 5.0)
    outputs[output][0, 3, 0] = value
    with pytest.raises(RunFailed):
        found_by(BLAZE, FACES, outputs)


def test_nan_in_an_unlikely_score_fails_the_run_too() -> None:
    outputs = face(3, (0, 0, 9, 9), 5.0)
    outputs["classificators"][0, 800, 0] = np.nan
    with pytest.raises(RunFailed):
        found_by(BLAZE, FACES, outputs)


def test_sized_anchors_decode_as_ssd_encodes() -> None:
    options: dict[str, object] = {
        "strides": [32, 64],
        "aspect_ratios": [1, 2],
        "box_order": "yxhw",
        "background": True,
        "iou": 0.6,
    }
    anchors = sized_anchors((64, 64), [32, 64], AnchorScales(0.2, 0.95, (1.0, 2.0), reduce_first=False))
    model = facts(
        [spec("input", "float32", (1, 64, 64, 3))],
        [spec("boxes", "float32", (1, len(anchors), 4)), spec("scores", "float32", (1, len(anchors), 3))],
        ("cat", "dog"),
    )
    truth = np.array([0.2, 0.3, 0.6, 0.8])
    boxes = np.zeros((1, len(anchors), 4), np.float32)
    scores = np.full((1, len(anchors), 3), -9, np.float32)
    scores[:, :, 0] = 9  # the background is likely everywhere
    x, y, width, height = anchors[4]
    centre, sides = (truth[:2] + truth[2:]) / 2, truth[2:] - truth[:2]
    boxes[0, 4] = (
        (centre[1] - y) / height * 10,
        (centre[0] - x) / width * 10,
        math.log(sides[1] / height) * 5,
        math.log(sides[0] / width) * 5,
    )
    scores[0, 4, 2] = 2
    (one,) = found_by(model, options, {"boxes": boxes, "scores": scores})
    assert isinstance(one, dict)
    assert (one["class"], one["label"]) == (1, "dog")
    np.testing.assert_allclose(np.array(one["box"], float), truth, atol=1e-5)


def test_a_side_that_overflows_fails_the_run() -> None:
    model = facts(
        [spec("input", "float32", (1, 64, 64, 3))],
        [spec("boxes", "float32", (1, 8, 4)), spec("scores", "float32", (1, 8, 1))],
    )
    outputs = {"boxes": np.full((1, 8, 4), 1e30, np.float32), "scores": np.full((1, 8, 1), 9, np.float32)}
    with pytest.raises(RunFailed):
        found_by(model, {"strides": [32], "aspect_ratios": [1]}, outputs)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strides": [8, 16], "per_cell": [2]}, "per_cell needs 2 numbers"),
        ({**FACES, "per_cell": [2, 5]}, "make 832 anchors"),
        ({**FACES, "keypoints": 5}, "cannot tell which output holds 14 numbers"),
        ({**FACES, "aspect_ratios": [1]}, "not both"),
        ({**FACES, "scale": [1, 2]}, "one number or four"),
        ({**FACES, "background": True}, "scores"),
        ({**FACES, "boxes": "regressor", "scores": "classificators"}, "did you mean regressors"),
    ],
)
def test_options_that_do_not_fit_the_outputs_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(PipelineMisfit, match=words) as caught:
        found_by(BLAZE, options, {})
    assert caught.value.step == "postprocess[0].detect_anchors"
