"""What a request names says what it runs before; before frames it comes only where that is configured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.serving_settings import PrioritySettings
from gateway.serving.priorities import level_of


def test_as_shipped_a_request_runs_with_frames_or_steps_back() -> None:
    known = PrioritySettings()
    assert [level_of(priority, known) for priority in (0, 1, 2, 10)] == [0, 0, 1, 9]


def test_where_it_is_configured_requests_go_before_frames() -> None:
    known = PrioritySettings(levels=5, default=4, frames=3)
    assert [level_of(priority, known) for priority in range(6)] == [1, -2, -1, 0, 1, 2]


@pytest.mark.parametrize("priority", [6, 11, 2**64 - 1])
@pytest.mark.parametrize("in_sequence", [False, True])
def test_a_priority_beyond_the_levels_counts_as_none(priority: int, in_sequence: bool) -> None:
    known = PrioritySettings(levels=5, default=4, frames=3)
    assert level_of(priority, known, in_sequence=in_sequence) == level_of(0, known)


def test_requests_of_a_sequence_keep_to_one_level() -> None:
    known = PrioritySettings(levels=5, default=2, frames=1)
    assert {level_of(priority, known, in_sequence=True) for priority in range(6)} == {1}


@given(st.integers(1, 100), st.data())
def test_no_request_comes_further_before_frames_than_the_configuration_says(
    levels: int, data: st.DataObject
) -> None:
    known = PrioritySettings(
        levels, data.draw(st.integers(1, levels)), frames=data.draw(st.integers(1, levels))
    )
    named = [level_of(priority, known) for priority in range(1, levels + 1)]
    assert named == sorted(set(named))
    assert (named[0], level_of(0, known)) == (1 - known.frames, named[known.default - 1])
