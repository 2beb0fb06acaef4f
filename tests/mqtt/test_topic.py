"""Topics: the grammar against plain readings of the standard, the table against a list."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.errors import ForbiddenTopic
from gateway.mqtt.topic import (
    TopicLimits,
    TopicTable,
    check_sensor_topic,
    is_valid_filter,
    is_valid_topic,
    matches,
)

LEVELS = st.sampled_from(["", "a", "b", "c", "$SYS", "a b"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=5).map("/".join).filter(bool)
FILTERS = (
    st.tuples(
        st.lists(st.sampled_from(["", "a", "b", "c", "+", "$SYS"]), max_size=4),
        st.sampled_from(["#", "+", "a", ""]),
    )
    .map(lambda parts: "/".join([*parts[0], parts[1]]))
    .filter(bool)
)


def naive(wanted: list[str], levels: list[str]) -> bool:
    """Match level by level, in the words of the standard."""
    match wanted, levels:
        case ["#"], _:
            return True
        case [], []:
            return True
        case [first, *rest], [level, *others]:
            return first in ("+", level) and naive(rest, others)
        case _:
            return False


def naive_matches(filter: str, topic: str) -> bool:
    if topic.startswith("$") and filter[0] in "+#":
        return False
    return naive(filter.split("/"), topic.split("/"))


@pytest.mark.parametrize(
    "filter", ["a", "/", "a//b", "+", "#", "+/a/#", "/+", "$SYS/#", "$share/g/a/+", "ü/+"]
)
def test_a_filter_of_the_standard_is_valid(filter: str) -> None:
    assert is_valid_filter(filter)


@pytest.mark.parametrize(
    "filter",
    [
        "",
        "a+",
        "+a/b",
        "#/a",
        "a/#/b",
        "a#",
        "a\0b",
        "\ud800",
        "x" * 65_536,
        "$share/g",
        "$share//a",
        "$share/+/a",
    ],
)
def test_a_filter_against_the_standard_is_not_valid(filter: str) -> None:
    assert not is_valid_filter(filter)


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a\0", "\udfff", "ü" * 32_768])
def test_a_topic_against_the_standard_is_not_valid(topic: str) -> None:
    assert not is_valid_topic(topic)


def test_the_examples_of_the_standard_hold() -> None:
    assert all(
        matches("sport/tennis/player1/#", "sport/tennis/player1" + more) for more in ("", "/ranking", "/a/b")
    )
    assert matches("sport/#", "sport")
    assert matches("+/+", "/finance")
    assert matches("/+", "/finance")
    assert not matches("+", "/finance")
    assert not matches("sport/tennis/+", "sport/tennis/player1/ranking")
    assert not matches("sport/+", "sport")
    assert not matches("#", "$SYS/uptime")
    assert not matches("+/uptime", "$SYS/uptime")
    assert matches("$SYS/#", "$SYS/uptime")


@given(FILTERS, TOPICS)
def test_matching_agrees_with_the_naive_reading(filter: str, topic: str) -> None:
    assert matches(filter, topic) == naive_matches(filter, topic)


@given(st.text())
def test_any_text_is_judged_and_what_a_sensor_may_name_is_a_topic(text: str) -> None:
    valid = is_valid_topic(text)
    is_valid_filter(text)
    try:
        check_sensor_topic(text)
    except ForbiddenTopic:
        return
    assert valid
    assert not text.startswith("$")


@pytest.mark.parametrize(
    "topic",
    ["", "a/+/b", "a/#", "$SYS/x", "a\0b", "a\nb", "x\x9f", "x" * 513, "é" * 300, "/" * 32, "\ud800"],
)
def test_a_hostile_topic_is_refused(topic: str) -> None:
    with pytest.raises(ForbiddenTopic):
        check_sensor_topic(topic)


def test_the_limits_of_a_sensor_topic_are_exact() -> None:
    limits = TopicLimits(max_bytes=5, max_levels=2)
    check_sensor_topic("aa/éa"[:4] + "b", TopicLimits(max_bytes=6, max_levels=2))
    check_sensor_topic("aa/bb", limits)
    for refused in ("aa/bbb", "a/b/c", "éé/é"):
        with pytest.raises(ForbiddenTopic):
            check_sensor_topic(refused, limits)


def test_a_shared_subscription_finds_what_its_filter_matches() -> None:
    table: TopicTable[int] = TopicTable()
    table.add("$share/group/frames/+", 1)
    table.add("$share/group/exact", 2)
    assert table.match("frames/a") == (1,)
    assert table.match("exact") == (2,)
    assert table.remove("$share/group/frames/+", 1)
    assert table.match("frames/a") == ()


def test_an_impossible_filter_is_refused_and_changes_nothing() -> None:
    table: TopicTable[int] = TopicTable()
    with pytest.raises(ForbiddenTopic):
        table.add("a/#/b", 1)
    assert len(table) == 0
    assert not table.remove("a/#/b", 1)


def test_a_topic_of_many_levels_is_looked_up_in_one_walk() -> None:
    table: TopicTable[int] = TopicTable()
    table.add("/".join("+" * 2000), 1)
    table.add("#", 2)
    assert sorted(table.match("/".join("a" * 2000))) == [1, 2]
    assert table.match("/" * 65_000) == (2,)


class TableMachine(RuleBasedStateMachine):
    """Whatever is added and removed, the table answers as a list of filters would."""

    def __init__(self) -> None:
        super().__init__()
        self.table: TopicTable[int] = TopicTable()
        self.model: list[tuple[str, int]] = []
        self.seen: set[str] = set()

    @rule(filter=FILTERS, value=st.integers(0, 3))
    def add(self, filter: str, value: int) -> None:
        self.table.add(filter, value)
        self.model.append((filter, value))

    @rule(filter=FILTERS, value=st.integers(0, 3))
    def remove_any(self, filter: str, value: int) -> None:
        there = (filter, value) in self.model
        assert self.table.remove(filter, value) == there
        if there:
            self.model.remove((filter, value))

    @rule(data=st.data())
    def remove_one(self, data: st.DataObject) -> None:
        if self.model:
            one = data.draw(st.sampled_from(self.model))
            assert self.table.remove(*one)
            self.model.remove(one)

    @rule(topic=TOPICS)
    def look_up(self, topic: str) -> None:
        self.seen.add(topic)

    @invariant()
    def answers_agree(self) -> None:
        assert len(self.table) == len(self.model)
        for topic in self.seen:
            expected = sorted(value for path, value in self.model if naive_matches(path, topic))
            assert sorted(self.table.match(topic)) == expected


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=30, stateful_step_count=30)
