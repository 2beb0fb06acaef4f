"""What streams carry: found again in time, forgotten after a gap, bounded."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.inference.carry import CarriedStates

GAP_S = 2.0
ROOM = 3

KEYS = st.tuples(st.sampled_from("pq"), st.sampled_from("abc"))
PUTS = st.lists(st.tuples(KEYS, st.binary(max_size=2)), max_size=40)


def test_a_stream_finds_what_its_last_frame_left() -> None:
    states = CarriedStates()
    assert states.take("p", "a", 1.0, GAP_S) == b""
    states.put("p", "a", 1.0, b"first")
    states.put("p", "a", 2.0, b"second")
    assert states.take("p", "a", 3.0, GAP_S) == b"second"
    assert states.take("p", "a", 3.5, GAP_S) == b"second"  # a frame that then fails leaves it as it was


@example(silence_s=GAP_S, gap_s=GAP_S)
@given(silence_s=st.floats(0, 10), gap_s=st.floats(0.01, 10))
def test_only_a_silence_longer_than_the_gap_starts_anew(silence_s: float, gap_s: float) -> None:
    states = CarriedStates()
    states.put("p", "a", 0.0, b"held")
    assert states.take("p", "a", silence_s, gap_s) == (b"" if silence_s > gap_s else b"held")


def test_the_silence_counts_from_the_last_frame_not_from_the_first() -> None:
    states = CarriedStates()
    for arrived_s in (0.0, 1.5, 3.0):
        states.put("p", "a", arrived_s, b"held")
    assert states.take("p", "a", 4.5, GAP_S) == b"held"
    assert states.take("p", "a", 5.5, GAP_S) == b""


def test_a_frame_that_leaves_nothing_forgets_what_was_there() -> None:
    states = CarriedStates()
    states.put("p", "a", 0.0, b"held")
    states.put("p", "a", 0.1, b"")
    assert states.take("p", "a", 0.2, GAP_S) == b""
    assert len(states) == 0
    states.put("p", "never", 0.3, b"")
    assert len(states) == 0


def test_clear_forgets_every_stream() -> None:
    states = CarriedStates()
    for stream in "abc":
        states.put("p", stream, 0.0, b"held")
    states.clear()
    assert len(states) == 0
    assert states.take("p", "b", 0.0, GAP_S) == b""


def test_the_stream_that_has_been_quiet_longest_makes_room() -> None:
    states = CarriedStates(2)
    for number, stream in enumerate("abac"):
        states.put("p", stream, float(number), stream.encode())
    assert [states.take("p", stream, 3.0, 9.0) for stream in "abc"] == [b"a", b"", b"c"]


@given(PUTS)
def test_the_newest_are_held_and_no_more_than_there_is_room_for(
    puts: list[tuple[tuple[str, str], bytes]],
) -> None:
    states = CarriedStates(ROOM)
    newest: dict[tuple[str, str], bytes] = {}  # in order of their last put
    for key, state in puts:
        states.put(*key, 0.0, state)
        newest.pop(key, None)
        if state:
            newest[key] = state
        while len(newest) > ROOM:
            del newest[next(iter(newest))]
        assert len(states) == len(newest)
        for pipeline in "pq":
            for stream in "abc":
                held = states.take(pipeline, stream, 0.0, GAP_S)
                assert held == newest.get((pipeline, stream), b"")
