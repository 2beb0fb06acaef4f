"""Text tensors between payloads and runtimes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from gateway.errors import Malformed
from gateway.inference.tensor_call import PlacedTensor, TensorLayout
from gateway.inference.texts import join_bytes, split_bytes, texts_in, texts_out
from gateway.tensor import TEXT

UTF8 = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.data(), array_shapes(max_side=4), st.binary(max_size=9))
def test_texts_come_back_as_they_went(data: st.DataObject, shape: tuple[int, ...], behind: bytes) -> None:
    texts = np.array(
        data.draw(st.lists(UTF8, min_size=int(np.prod(shape)), max_size=int(np.prod(shape)))), np.object_
    )
    whole = texts_out(texts.reshape(shape))
    assert [bytes(each).decode() for each in split_bytes(whole, "x")] == texts.tolist()
    found = texts_in(whole + behind, shape, "x")
    assert found.shape == shape
    assert found.reshape(-1).tolist() == texts.tolist()


@given(st.binary(max_size=60), st.integers(0, 6))
def test_any_bytes_are_texts_or_refused(data: bytes, count: int) -> None:
    try:
        found = texts_in(data, [count], "x")
    except Malformed:
        return
    assert data.startswith(texts_out(found))
    assert len(found) == count


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (join_bytes([b"a", b"\xff\xfe"]), "input x: element 1 is no UTF-8"),
        (join_bytes([b"a"]), r"input x: holds 1 elements; shape \[2\] takes 2"),
        (b"\x09\0\0\0a", "reaches over the end"),
        (join_bytes([b"a"]) + b"\1", "ends within the length"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words):
        texts_in(data, [2], "input x")


def test_texts_lie_among_other_tensors_and_part_into_rows() -> None:
    first = join_bytes([b"one", b"", b"three", b"four"])
    payload = first.ljust(64, b"\0") + np.arange(2, dtype="<i4").tobytes()
    placed = (PlacedTensor("t", TEXT, (2, 2), 0), PlacedTensor("n", "int32", (2,), 64))
    layout = TensorLayout.from_json(TensorLayout(placed, rows=2).to_json())
    rows = layout.prepare(memoryview(payload)).rows
    assert [row["t"].tolist() for row in rows] == [[["one", ""]], [["three", "four"]]]
    assert [row["n"].tolist() for row in rows] == [[0], [1]]
    gathered = layout.gather(rows)
    assert gathered["t"].shape == (2, 2)
    assert texts_out(gathered["t"]) == first
