"""Sensors that share marks."""

from __future__ import annotations

from gateway.sensors.marks import MAX_SHARING, Marks


def test_sensors_with_a_mark_in_common_are_siblings() -> None:
    marks = Marks()
    assert marks.add("a", ("mac:1", "id:x")) == set()
    assert marks.add("b", ("id:x",)) == {"a"}
    assert marks.siblings("a", ("mac:1", "id:x")) == {"b"}
    assert marks.remove("a", ("mac:1", "id:x")) == {"b"}
    assert marks.siblings("b", ("id:x",)) == set()
    assert marks.remove("b", ("id:x",)) == set()
    assert marks._ids == {}


def test_a_mark_that_everybody_carries_tells_of_the_first_few_alone() -> None:
    marks = Marks()
    for number in range(100):
        marks.add(f"s-{number}", ("serial:default",))
    assert len(marks.siblings("s-99", ("serial:default",))) == MAX_SHARING
