"""Discovery messages in long form: short keys, base topics, shared options."""

from __future__ import annotations

import pytest

from gateway.sensors.ha_abbreviations import DEVICE, ENTITY, ORIGIN
from gateway.sensors.sensor import AvailabilityMode
from tests.sensors.ha_examples import DEVICE_TOPIC, dialect, read, tell, with_component


def test_the_base_topic_at_the_root_of_a_device_message_is_taken_where_home_assistant_refuses_it() -> None:
    found = read(DEVICE_TOPIC, {**with_component(stat_t="~/s"), "~": "base", "avty_t": "~/a"})
    assert found.streams["c"].topic == "base/s"
    assert found.availability.sources[0].topic == "base/a"


def test_the_base_topic_of_a_component_stands_at_either_end_of_topics_only() -> None:
    options = {"~": "base", "stat_t": "~/s", "name": "~", "avty": [{"t": "a/~"}]}
    found = read(DEVICE_TOPIC, with_component(**options))
    assert found.streams["c"].topic == "base/s"
    assert found.streams["c"].title == "~"
    assert found.availability.sources[0].topic == "a/base"


def test_unknown_keys_are_ignored_at_the_root_and_in_the_device() -> None:
    payload = {**with_component(stat_t="s"), "dev": {"ids": "d", "colour": "red"}, "colour": "red"}
    assert read(DEVICE_TOPIC, payload).id == "d"


def test_qos_and_encoding_at_the_root_do_not_reach_the_components() -> None:
    found = read(DEVICE_TOPIC, {**with_component(stat_t="s"), "qos": 1, "encoding": ""})
    assert found.streams["c"].qos == 0


def test_state_topic_and_availability_at_the_root_reach_the_components() -> None:
    payload = {**with_component(uniq_id="u"), "stat_t": "shared", "avty": {"t": "a"}, "avty_mode": "all"}
    found = read(DEVICE_TOPIC, payload)
    assert found.streams["c"].topic == "shared"
    assert found.availability.mode is AvailabilityMode.ALL


def test_a_components_own_availability_outranks_the_roots() -> None:
    found = read(DEVICE_TOPIC, {**with_component(stat_t="s", avty=[{"t": "mine"}]), "avty_t": "shared"})
    assert [source.topic for source in found.availability.sources] == ["mine"]


@pytest.mark.parametrize(
    "topic",
    [
        "homeassistant/sensor/a.b/config",
        "homeassistant/sensor/a/b/c/config",
        "homeassistant/sensor/a/configX",
        "homeassistant/sensor/config",
        "homeassistant/sensor//config",
        "homeassistant/status",
        "other/sensor/a/config",
        "homeassistant/light/a/config",
    ],
)
def test_other_topics_are_not_read(topic: str) -> None:
    assert tell(dialect(), topic, b"junk") == ()


def test_short_keys_stand_for_one_long_key_each() -> None:
    for table in (ENTITY, DEVICE, ORIGIN):
        assert len(set(table.values())) == len(table)
        assert not set(table) & set(table.values())
