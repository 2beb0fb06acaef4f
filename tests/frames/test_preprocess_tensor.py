"""Raw tensors straight to the model."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.errors import GatewayError, NotFinite, PipelineMisfit, TooLarge, WrongDtype, WrongShape
from gateway.frames.prepared import StreamState
from gateway.frames.values import Numbers, Tensors
from gateway.tensor import Array
from tests.frames.made import compiled, facts, spec

OUT = [spec("out", "float32", (1, 1))]
ONE = facts([spec("x", "int8", (1, 4), 0.5, 1)], OUT)
TWO = facts([spec("a", "float32", (None, 2)), spec("b", "int64", (None,))], OUT)


def rows_of(arrays: dict[str, Array], options: dict[str, object] | None = None) -> list[dict[str, Array]]:
    model = TWO if "b" in arrays else ONE
    return compiled(model, [("tensor", options or {})]).prepare_value(Tensors(arrays), StreamState()).rows


def test_the_models_own_codes_pass_without_a_copy() -> None:
    codes = np.array([[1, 2, 3, 4]], np.int8)
    (row,) = rows_of({"x": codes})
    assert np.shares_memory(codes, row["x"])


def test_without_steps_raw_tensors_are_taken() -> None:
    (row,) = compiled(ONE, []).prepare_value(Tensors({"": np.zeros(4, np.int8)}), StreamState()).rows
    assert row["x"].shape == (1, 4)


def test_the_leading_axis_may_be_left_out() -> None:
    (row,) = rows_of({"": np.array([1, 2, 3, 4], np.int8)})
    assert row["x"].tolist() == [[1, 2, 3, 4]]


def test_floats_are_quantised_for_a_quantised_input() -> None:
    (row,) = rows_of({"": np.array([0.0, 0.5, -64.0, 100.0])})
    assert row["x"].tolist() == [[1, 2, -127, 127]]


def test_numbers_count_as_a_tensor() -> None:
    pipeline = compiled(ONE, [("tensor", {})])
    numbers = Numbers(np.array([[0, 0.5, 1, 1.5]], np.float32))
    (row,) = pipeline.prepare_value(numbers, StreamState()).rows
    assert row["x"].tolist() == [[1, 2, 3, 4]]


def test_several_inputs_make_several_rows() -> None:
    rows = rows_of({"a": np.arange(6, dtype=np.float64).reshape(3, 2), "b": np.array([7, 8, 9], np.int64)})
    assert [(row["a"].tolist(), row["b"].tolist()) for row in rows] == [
        ([[0, 1]], [7]),
        ([[2, 3]], [8]),
        ([[4, 5]], [9]),
    ]
    assert all(row["a"].dtype == np.float32 for row in rows)


@pytest.mark.parametrize(
    ("arrays", "error", "words"),
    [
        ({"y": np.zeros(4, np.int8)}, WrongShape, "takes the tensors x; the payload holds 'y'"),
        ({"x": np.zeros(5, np.int8)}, WrongShape, "int8[5]"),
        ({"x": np.zeros((0, 4), np.int8)}, WrongShape, "empty"),
        ({"x": np.int8(3).reshape(())}, WrongShape, r"int8\[\]"),
        ({"x": np.zeros(4, np.int16)}, WrongDtype, "holds int16"),
        ({"x": np.array([0, np.nan, 0, 0], np.float32)}, NotFinite, "NaN"),
        ({"x": np.zeros((65, 4), np.int8)}, TooLarge, "at most 64"),
        ({"a": np.array([1e300, 0]), "b": np.array([1], np.int64)}, NotFinite, "beyond float32"),
        (
            {"a": np.zeros((2, 2), np.float32), "b": np.zeros(3, np.int64)},
            WrongShape,
            "different numbers of rows",
        ),
        ({"a": np.zeros(2, np.float32), "b": np.zeros((), np.float32)}, WrongDtype, "holds float32"),
    ],
)
def test_what_the_model_does_not_take_is_refused(
    arrays: dict[str, Array], error: type[GatewayError], words: str
) -> None:
    with pytest.raises(error, match=words.replace("int8[5]", r"int8\[5\]")):
        rows_of(arrays)


def test_types_must_be_equal_where_nothing_may_be_converted() -> None:
    with pytest.raises(WrongDtype):
        rows_of({"x": np.zeros(4, np.float32)}, {"convert": False})


def test_a_model_without_a_leading_axis_of_rows_is_refused() -> None:
    with pytest.raises(PipelineMisfit, match="leading axis of 1"):
        compiled(facts([spec("x", "int8", (3, 4))], OUT), [("tensor", {})])
