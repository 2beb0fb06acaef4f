"""Raw outputs as JSON."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import PipelineMisfit, RunFailed
from gateway.tensor import Array
from tests.frames.made import compiled, facts, finished, spec

IN = [spec("x", "float32", (1, 2))]
MODEL = facts(IN, [spec("codes", "uint8", (None, 2), 0.5, 2), spec("wide", "float32", (1, None))])
ROW: dict[str, Array] = {
    "codes": np.array([[2, 4]], np.uint8),
    "wide": np.array([[0.5, 1.5, 2.5]], np.float32),
}


def test_rows_are_stacked_and_codes_stay_codes() -> None:
    pipeline = compiled(MODEL, [], [("tensors", {"outputs": ["codes"]})])
    assert finished(pipeline, [ROW, ROW]) == {
        "kind": "tensors",
        "tensors": [{"name": "codes", "dtype": "uint8", "shape": [2, 2], "data": [2, 4, 2, 4]}],
    }


def test_real_values_are_given_where_asked() -> None:
    prediction = finished(compiled(MODEL, [], [("tensors", {"dequantise": True})]), [ROW])
    assert prediction["tensors"] == [
        {"name": "codes", "dtype": "float32", "shape": [1, 2], "data": [0.0, 1.0]},
        {"name": "wide", "dtype": "float32", "shape": [1, 3], "data": [0.5, 1.5, 2.5]},
    ]


def test_more_numbers_than_allowed_are_refused_at_load_or_at_run() -> None:
    with pytest.raises(PipelineMisfit, match="hold 2 numbers, max_elements is 1"):
        compiled(MODEL, [], [("tensors", {"max_elements": 1})])
    with pytest.raises(RunFailed, match="more than 4 numbers"):
        finished(compiled(MODEL, [], [("tensors", {"max_elements": 4})]), [ROW])


def test_text_is_nothing_for_a_pipeline() -> None:
    named = facts(IN, [spec("label", "string", (None,)), spec("scores", "float32", (None, 2))])
    with pytest.raises(PipelineMisfit, match=r"label string.* is text; name another output"):
        compiled(named, [], [("tensors", {})])
    compiled(named, [], [("tensors", {"outputs": ["scores"]})])
    with pytest.raises(PipelineMisfit, match=r"x string.* is text; applications can ask"):
        compiled(facts([spec("x", "string", (1, 2))], [spec("y", "float32", (1, 2))]), [], [("tensors", {})])


def test_what_json_cannot_say_fails_the_run() -> None:
    row = {**ROW, "wide": np.array([[np.nan]], np.float32)}
    with pytest.raises(RunFailed):
        finished(compiled(MODEL, [], [("tensors", {})]), [row])


def test_an_unknown_output_is_refused() -> None:
    with pytest.raises(PipelineMisfit, match="did you mean codes"):
        compiled(MODEL, [], [("tensors", {"outputs": ["code"]})])
