"""Windows over a stream: the same whatever pieces it comes in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway.errors import TooLarge, WrongShape
from gateway.frames.prepared import StreamState
from gateway.frames.windows import Windows

geometry = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 9)).map(
    lambda sizes: Windows(sizes[0], min(sizes[0], sizes[1]), sizes[2], most=10_000, carry=True)
)


def stream(length: int, channels: int) -> NDArray[np.float32]:
    items = np.arange(1, length * max(channels, 1) + 1, dtype=np.float32)
    return items.reshape(length, channels) if channels else items


@given(geometry, st.lists(st.integers(0, 30), max_size=8), st.sampled_from([0, 1, 3]))
def test_windows_do_not_depend_on_how_the_stream_was_cut(
    windows: Windows, pieces: list[int], channels: int
) -> None:
    whole = stream(sum(pieces), channels)
    padded = np.concatenate((np.zeros((windows.context, *whole.shape[1:]), np.float32), whole))
    width = windows.context + windows.length
    expected = [padded[at : at + width] for at in range(0, len(padded) - width + 1, windows.hop)]
    state, cut, starts = StreamState(), list[NDArray[np.float32]](), list[int]()
    at = 0
    for piece in pieces:
        got, begun = windows.cut(whole[at : at + piece], state)
        assert len(got) == len(begun)
        cut.extend(got)
        starts.extend(begun)
        state = StreamState.from_bytes(state.to_bytes())  # as between two frames
        assert sum(array.nbytes for array in state.arrays.values()) < 4 * width * max(channels, 1)
        at += piece
    assert starts == [index * windows.hop for index in range(len(expected))]
    for one, other in zip(expected, cut, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_payload_of_exactly_one_window_is_not_copied() -> None:
    items = stream(10, 2)
    got, _ = Windows(10, 10, 0, 1, carry=False).cut(items, StreamState())
    assert np.shares_memory(items, got)


def test_what_is_left_outlives_the_payload() -> None:
    items, state = stream(15, 0), StreamState()
    windows = Windows(10, 10, 0, 1, carry=True)
    windows.cut(items, state)
    items[:] = -1
    got, _ = windows.cut(stream(5, 0), state)
    assert got.tolist() == [[11, 12, 13, 14, 15, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("length", [0, 9, 11, 19, 25])
def test_without_carrying_a_payload_must_hold_whole_windows(length: int) -> None:
    with pytest.raises(WrongShape, match="windows are of 10 every 10"):
        Windows(10, 10, 0, 5, carry=False).cut(stream(length, 1), StreamState())


def test_without_carrying_nothing_is_kept() -> None:
    state = StreamState()
    got, starts = Windows(10, 5, 0, 5, carry=False).cut(stream(20, 1), state)
    assert (len(got), starts, state) == (3, [0, 5, 10], StreamState())


def test_a_payload_of_too_many_windows_is_refused_and_changes_nothing() -> None:
    state = StreamState()
    windows = Windows(4, 2, 0, 3, carry=True)
    windows.cut(stream(5, 0), state)
    before = state.to_bytes()
    with pytest.raises(TooLarge, match="at most 3"):
        windows.cut(stream(40, 0), state)
    assert state.to_bytes() == before


def test_a_stream_whose_channels_change_is_refused() -> None:
    state = StreamState()
    windows = Windows(4, 4, 0, 3, carry=True)
    windows.cut(stream(3, 2), state)
    with pytest.raises(WrongShape, match="changed"):
        windows.cut(stream(3, 3), state)
