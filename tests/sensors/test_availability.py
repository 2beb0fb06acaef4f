"""State messages: sources, modes, shared topics."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sensors.availability import StateMessages, Watching
from gateway.sensors.dialect import Report
from gateway.sensors.sensor import Availability, AvailabilityMode, StateSource
from gateway.sensors.template import parse_template

ON, OFF, SLEEP = Report.ONLINE, Report.OFFLINE, Report.SLEEPING


def source(topic: str) -> StateSource:
    return StateSource(topic, ("online",), ("offline",), ("sleeping",))


def two(mode: AvailabilityMode) -> StateMessages:
    states = StateMessages()
    states.watch("cam", Availability((source("a"), source("b")), mode))
    return states


def say(states: StateMessages, topic: str, payload: str) -> Report | None:
    reports = states.receive(topic, payload.encode()).reports
    return reports[0][1] if reports else None


def test_words_mean_what_the_source_says() -> None:
    states = StateMessages()
    states.watch("cam", Availability((source("a"),)))
    answers = [say(states, "a", word) for word in ("online", "offline", "sleeping", "ONLINE", "")]
    assert answers == [ON, OFF, SLEEP, None, None]


@pytest.mark.parametrize(
    ("mode", "answers"),
    [
        (AvailabilityMode.LATEST, [ON, OFF, ON, OFF]),
        (AvailabilityMode.ANY, [ON, ON, ON, OFF]),
        (AvailabilityMode.ALL, [None, OFF, ON, OFF]),
    ],
)
def test_several_sources_are_weighed_by_their_mode(
    mode: AvailabilityMode, answers: list[Report | None]
) -> None:
    states = two(mode)
    said = [say(states, "a", "online"), say(states, "b", "offline"), say(states, "b", "online")]
    say(states, "a", "offline")
    assert [*said, say(states, "b", "offline")] == answers


def test_a_sleeping_source_outranks_the_last_word_of_each_mode() -> None:
    for mode in (AvailabilityMode.ANY, AvailabilityMode.ALL):
        states = two(mode)
        say(states, "a", "sleeping")
        expected = SLEEP if mode is AvailabilityMode.ANY else OFF
        assert say(states, "b", "offline") is expected


def test_a_shared_topic_is_watched_once_and_speaks_for_all() -> None:
    states = StateMessages()
    assert states.watch("one", Availability((source("bridge"),))).watch == ("bridge",)
    assert states.watch("two", Availability((source("bridge"),))).watch == ()
    assert states.receive("bridge", b"offline").reports == (("one", OFF), ("two", OFF))
    assert states.remove("one") == ()
    assert states.remove("two") == ("bridge",)
    assert states.remove("two") == ()
    assert "bridge" not in states


def test_who_comes_later_hears_what_a_shared_topic_said_last() -> None:
    states = StateMessages()
    states.watch("one", Availability((source("bridge"),)))
    states.receive("bridge", b"online")
    assert states.watch("two", Availability((source("bridge"),))).report is ON


def test_what_was_said_before_the_connection_broke_is_no_answer() -> None:
    states = two(AvailabilityMode.ALL)
    say(states, "a", "online")
    states.disconnected()
    assert say(states, "b", "online") is None
    assert states.watch("late", Availability((source("a"),))).report is None


def test_other_sources_replace_those_before() -> None:
    states = StateMessages()
    states.watch("cam", Availability((source("a"), source("b"))))
    assert states.watch("cam", Availability((source("b"), source("c")))) == Watching(("c",), ("a",))
    assert states.watch("cam", Availability((source("b"), source("c")))) == Watching()
    assert states.watch("cam", Availability()) == Watching((), ("b", "c"))


def test_one_topic_may_be_two_sources_with_templates() -> None:
    states = StateMessages()
    sources = tuple(
        StateSource("a", ("online",), ("offline",), template=parse_template(f"{{{{ value_json.{key} }}}}"))
        for key in ("bridge", "device")
    )
    assert states.watch("cam", Availability(sources, AvailabilityMode.ALL)).watch == ("a",)
    assert say(states, "a", '{"bridge": "online", "device": "offline"}') is OFF
    assert say(states, "a", '{"bridge": "online", "device": "online"}') is ON


def test_a_message_that_a_template_cannot_read_is_refused_for_its_sensor_alone() -> None:
    states = StateMessages()
    template = parse_template("{{ value_json.state }}")
    states.watch("picky", Availability((StateSource("a", ("online",), (), template=template),)))
    states.watch("plain", Availability((source("a"),)))
    heard = states.receive("a", b"online")
    assert heard.reports == (("plain", ON),)
    assert len(heard.refused) == 1
    assert (
        states.watch("late", Availability((StateSource("a", ("x",), (), template=template),))).report is None
    )


@given(st.binary(max_size=40))
def test_any_bytes_give_reports_or_refusals(payload: bytes) -> None:
    states = two(AvailabilityMode.ALL)
    heard = states.receive("a", payload)
    assert len(heard.reports) + len(heard.refused) <= 1
