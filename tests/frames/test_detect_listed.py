"""Objects that the model lists itself."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import PipelineMisfit, RunFailed
from gateway.frames.prepared import JsonValue, StreamState
from gateway.frames.values import Image
from gateway.tensor import Array
from tests.frames.made import compiled, facts, spec

IN = [spec("input", "uint8", (1, 100, 100, 3))]
LISTED = [
    spec("boxes", "float32", (1, 3, 4)),
    spec("classes", "float32", (1, 3)),
    spec("scores", "float32", (1, 3)),
    spec("count", "float32", (1,)),
]
LABELS = ("cat", "dog")


def outputs(count: float = 3) -> dict[str, Array]:
    boxes = [[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1], [0.2, 0.2, 0.3, 0.3]]
    return {
        "boxes": np.array([boxes], np.float32),
        "classes": np.array([[1, 0, 1]], np.float32),
        "scores": np.array([[0.6, 0.9, 0.4]], np.float32),
        "count": np.array([count], np.float32),
    }


def found(given: dict[str, Array], options: dict[str, object] | None = None) -> list[JsonValue]:
    pipeline = compiled(facts(IN, LISTED, LABELS), [("resize", {})], [("detect_listed", options or {})])
    image = Image(np.zeros((100, 200, 3), np.uint8), 200, 100)
    prepared = pipeline.prepare_value(image, StreamState())
    prediction = pipeline.finish(prepared, [given], StreamState())
    assert prediction is not None
    objects = prediction["objects"]
    assert isinstance(objects, list)
    return objects


def test_boxes_are_turned_to_left_top_right_bottom_and_sorted_by_score() -> None:
    cat, dog = found(outputs())
    assert isinstance(cat, dict)
    assert isinstance(dog, dict)
    assert (cat["label"], cat["box_px"]) == ("cat", [0, 0, 200, 100])
    assert (dog["label"], dog["score"], dog["box"]) == ("dog", 0.6, [0.2, 0.1, 0.6, 0.5])


def test_what_lies_beyond_the_count_is_not_read() -> None:
    given = outputs(count=1)
    given["classes"][0, 1:] = 77
    assert len(found(given)) == 1
    assert found(outputs(count=0)) == []


@pytest.mark.parametrize("count", [-1, 4, np.nan])
def test_an_impossible_count_fails_the_run(count: float) -> None:
    with pytest.raises(RunFailed):
        found(outputs(count))


def test_an_unknown_class_fails_the_run() -> None:
    given = outputs()
    given["classes"][0, 0] = 5
    with pytest.raises(RunFailed, match="beyond its 2 classes"):
        found(given)


def test_outputs_in_another_order_must_be_named() -> None:
    with pytest.raises(PipelineMisfit, match="needs boxes"):
        compiled(facts(IN, LISTED[::-1], LABELS), [("resize", {})], [("detect_listed", {})])
    names = {name: name for name in ("boxes", "classes", "scores", "count")}
    compiled(facts(IN, LISTED[::-1], LABELS), [("resize", {})], [("detect_listed", names)])
    with pytest.raises(PipelineMisfit, match="four different"):
        found(outputs(), {"scores": "classes"})
