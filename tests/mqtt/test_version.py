"""Which protocol version is tried: 5 unless the broker knows no better."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt.version import RETRY_V5_EVERY, V5, V311, VersionChoice


@pytest.mark.parametrize(("setting", "version"), [("5", V5), ("3.1.1", V311)])
def test_a_set_version_is_always_obeyed(setting: str, version: int) -> None:
    choice = VersionChoice(setting)
    for _ in range(30):
        assert choice.next() == version
        choice.unanswered(version)
        assert not choice.at_once


def test_a_refused_5_is_followed_at_once_by_3_1_1_which_is_remembered() -> None:
    choice = VersionChoice("auto")
    assert choice.next() == V5
    choice.unanswered(V5)
    refused = choice.at_once
    assert choice.next() == V311
    choice.accepted(V311)
    assert (refused, choice.at_once) == (True, False)
    assert [choice.next() for _ in range(RETRY_V5_EVERY)] == [V311] * (RETRY_V5_EVERY - 1) + [V5]


def test_a_broker_that_answers_neither_is_asked_for_5_again() -> None:
    choice = VersionChoice("auto")
    for _ in range(2):
        choice.unanswered(choice.next())
    at_once = choice.at_once
    assert not at_once
    assert choice.next() == V5


def test_an_upgraded_broker_is_found_and_kept() -> None:
    choice = VersionChoice("auto")
    choice.unanswered(choice.next())
    choice.accepted(choice.next())
    while choice.next() != V5:
        pass
    choice.accepted(V5)
    assert {choice.next() for _ in range(30)} == {V5}


def test_an_old_broker_that_refuses_the_occasional_5_is_not_forgotten() -> None:
    choice = VersionChoice("auto")
    choice.unanswered(choice.next())
    choice.accepted(choice.next())
    while choice.next() != V5:
        pass
    choice.unanswered(V5)
    assert not choice.at_once
    assert choice.next() == V311


@given(st.lists(st.booleans(), max_size=100))
def test_any_history_is_left_by_a_broker_that_takes_either(history: list[bool]) -> None:
    choice = VersionChoice("auto")
    for answered in history:
        version = choice.next()
        if answered:
            choice.accepted(version)
        else:
            choice.unanswered(version)
    assert choice.next() in (V5, V311)
