"""Topics that belong to known sensors."""

from __future__ import annotations

from gateway.sensors.topic_use import TopicUse


def test_a_topic_is_used_as_long_as_any_sensor_has_it() -> None:
    used = TopicUse()
    assert used.set("a", ["x", "y"]) == {"x", "y"}
    assert used.set("a", ["y", "x"]) == frozenset()
    assert used.set("b", ["x"]) == {"x"}
    used.drop("a")
    assert "x" in used
    assert "y" not in used
    assert used.set("b", ["z"]) == {"z"}
    assert "x" not in used
    used.drop("stranger")
