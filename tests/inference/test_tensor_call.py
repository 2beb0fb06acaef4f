"""Tensors inside a payload: read as they were laid, row by row, and put together again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as made

from gateway.inference.model_shape import ModelShape
from gateway.inference.tensor_call import PlacedTensor, TensorLayout
from gateway.tensor import DTYPES, TensorSpec

Array = np.ndarray[Any, Any]


@st.composite
def arrays(draw: st.DrawFn) -> list[Array]:
    rows = draw(st.integers(1, 4))
    return [
        draw(
            made.arrays(np.dtype(draw(st.sampled_from(DTYPES))), (rows, *draw(made.array_shapes(max_side=3))))
        )
        for _ in range(draw(st.integers(1, 3)))
    ]


@given(given_arrays=arrays(), splits=st.booleans())
def test_rows_put_together_are_the_tensors_that_came(given_arrays: list[Array], splits: bool) -> None:
    payload, placed = b"", []
    for index, array in enumerate(given_arrays):
        placed.append(PlacedTensor(f"t{index}", array.dtype.name, array.shape, len(payload)))
        payload += array.tobytes() + bytes(-array.nbytes % 64)
    layout = TensorLayout(tuple(placed), (), len(given_arrays[0]) if splits else 0)
    layout = TensorLayout.from_json(layout.to_json())
    prepared = layout.prepare(memoryview(payload))
    assert len(prepared.rows) == (len(given_arrays[0]) if splits else 1)
    for name, array in layout.gather(prepared.rows).items():
        expected = given_arrays[int(name[1:])]
        assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
        assert array.tobytes() == expected.tobytes()


def test_only_the_wanted_outputs_are_gathered_in_their_order() -> None:
    given_outputs = {name: np.full((1, 2), value) for value, name in enumerate("abc")}
    assert list(TensorLayout((), ("c", "a")).gather([given_outputs])) == ["c", "a"]
    with pytest.raises(KeyError):
        TensorLayout((), ("d",)).gather([given_outputs])


def test_a_number_without_axes_keeps_none_and_what_lies_otherwise_is_laid_row_by_row() -> None:
    columns = np.asfortranarray(np.arange(6).reshape(2, 3))
    gathered = TensorLayout(()).gather([{"x": np.array(1.5), "y": columns}])
    assert gathered["x"].shape == ()
    assert gathered["y"].flags.c_contiguous
    assert (gathered["y"] == columns).all()


def test_a_payload_that_is_too_short_is_no_tensor() -> None:
    layout = TensorLayout((PlacedTensor("x", "float32", (4,), 0),))
    with pytest.raises(ValueError, match="buffer"):
        layout.prepare(memoryview(bytes(12)))


def test_a_shape_crosses_to_the_front_end_whole() -> None:
    shape = ModelShape(
        (TensorSpec("x", "uint8", (None, 3)),),
        (TensorSpec("y", "float32", ()),),
        frozenset("x"),
        True,
        ("a", "b"),
    )
    assert ModelShape.from_plain(shape.to_plain()) == shape
