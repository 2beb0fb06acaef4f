"""Outputs as named quantities."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import PipelineMisfit, RunFailed
from tests.frames.made import compiled, facts, finished, spec

IN = [spec("x", "float32", (1, 2))]


def test_numbers_are_scaled_and_named_with_their_unit() -> None:
    model = facts(IN, [spec("out", "int8", (1, 2), 0.5, -4)])
    options = {"names": ["inside", "outside"], "scale": [2, 10], "offset": 1, "unit": "K"}
    prediction = finished(
        compiled(model, [], [("regress", options)]), [{"out": np.array([[0, -2]], np.int8)}]
    )
    assert prediction == {"kind": "value", "values": {"inside": 5.0, "outside": 11.0}, "unit": "K"}


def test_one_number_needs_no_name_and_keeps_what_a_float32_holds() -> None:
    model = facts(IN, [spec("out", "float32", (1, 1))])
    prediction = finished(compiled(model, [], [("regress", {})]), [{"out": np.array([[0.1]], np.float32)}])
    assert prediction == {"kind": "value", "values": {"value": 0.1}}


def test_the_models_labels_are_the_names_where_none_are_given() -> None:
    model = facts(IN, [spec("out", "float32", (1, 2))], ("a", "b"))
    prediction = finished(compiled(model, [], [("regress", {})]), [{"out": np.array([[1, 2]], np.float32)}])
    assert prediction["values"] == {"a": 1.0, "b": 2.0}


def test_values_that_are_not_finite_fail_the_run() -> None:
    pipeline = compiled(facts(IN, [spec("out", "float32", (1, 1))]), [], [("regress", {})])
    with pytest.raises(RunFailed):
        finished(pipeline, [{"out": np.array([[np.inf]], np.float32)}])


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((1, 2), {}, "needs 2 different names"),
        ((1, 2), {"names": ["a", "a"]}, "needs 2 different names, there are 1"),
        ((1, 2), {"names": ["a", "b"], "scale": [1, 2, 3]}, "scale: needs 1 or 2 numbers"),
        ((1, None), {}, "1 to 4096 numbers"),
    ],
)
def test_names_and_factors_must_fit_the_output(
    shape: tuple[int | None, ...], options: dict[str, object], words: str
) -> None:
    with pytest.raises(PipelineMisfit, match=words):
        compiled(facts(IN, [spec("out", "float32", shape)]), [], [("regress", options)])
