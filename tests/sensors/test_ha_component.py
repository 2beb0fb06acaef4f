"""Components as streams: payloads, availability, templates, and what is refused."""

from __future__ import annotations

import pytest

from gateway.errors import ForbiddenTopic, MalformedAnnouncement
from gateway.sensors.sensor import Availability, AvailabilityMode, Reading, StateSource
from gateway.sensors.template import Template
from tests.sensors.ha_examples import DEVICE_TOPIC, dialect, read, tell, with_component


def test_both_forms_of_availability_at_once_are_refused() -> None:
    with pytest.raises(MalformedAnnouncement, match="exclude"):
        tell(dialect(), "homeassistant/sensor/t/config", {"stat_t": "s", "avty_t": "a", "avty": [{"t": "a"}]})


@pytest.mark.parametrize(
    "topic", ["sensors/#", "+/state", "$SYS/x", "gw/jetson-1/results/a/b", "gw/announce/x"]
)
def test_a_forbidden_topic_refuses_the_whole_message(topic: str) -> None:
    with pytest.raises(ForbiddenTopic):
        tell(dialect(), "homeassistant/sensor/t/config", {"stat_t": topic})
    with pytest.raises(ForbiddenTopic):
        tell(dialect(), DEVICE_TOPIC, with_component(stat_t=topic))


def test_a_template_that_is_not_understood_costs_its_component_alone() -> None:
    payload = with_component(stat_t="a", val_tpl="{{ value_json.a * 2 }}")
    payload["cmps"] = {**payload["cmps"], "ok": {"p": "sensor", "stat_t": "b"}}  # type: ignore[dict-item]
    found = read(DEVICE_TOPIC, payload)
    assert list(found.streams) == ["ok"]
    assert found.notes[0].startswith("c: template")
    with pytest.raises(MalformedAnnouncement):
        tell(dialect(), "homeassistant/sensor/t/config", {"stat_t": "s", "val_tpl": "{{ now() }}"})


def test_a_plain_path_is_followed_by_the_decoder() -> None:
    found = read("homeassistant/sensor/t/config", {"stat_t": "s", "val_tpl": "{{ value_json.a[0]['b c'] }}"})
    assert found.streams["t"].declaration.fields == ("a[0].b c",)
    assert found.streams["t"].reading is None


def test_an_image_by_url_and_a_number_without_state_are_no_streams() -> None:
    assert tell(dialect(), "homeassistant/image/t/config", {"url_topic": "s"}) == ()
    assert tell(dialect(), "homeassistant/number/t/config", {"cmd_t": "s"}) == ()


def test_availability_lists_keep_their_payloads_templates_and_mode() -> None:
    members = [
        {"t": "a", "pl_avail": "up", "pl_not_avail": "down"},
        {"topic": "b", "val_tpl": "{{ value_json.state }}"},
    ]
    found = read("homeassistant/sensor/t/config", {"stat_t": "s", "avty": members, "avty_mode": "any"})
    assert found.availability == Availability(
        (
            StateSource("a", ("up",), ("down",)),
            StateSource("b", ("online",), ("offline",), template=Template(whole=False, path=("state",))),
        ),
        AvailabilityMode.ANY,
    )


def test_scalars_in_payload_options_are_taken_as_their_text() -> None:
    found = read("homeassistant/binary_sensor/t/config", {"stat_t": "s", "pl_on": True, "pl_off": 0})
    assert found.streams["t"].reading == Reading(None, (("True", 1.0), ("0", 0.0)))


@pytest.mark.parametrize(
    "payload",
    [
        b"junk",
        [],
        {"stat_t": 7},
        {"stat_t": "s", "dev": "x"},
        {"stat_t": "s", "o": ["x"]},
        {"stat_t": "s", "qos": 3},
        {"stat_t": "s", "exp_aft": -1},
        {"stat_t": "s", "exp_aft": "soon"},
        {"stat_t": "s", "avty": "x"},
        {"stat_t": "s", "avty": ["x"]},
        {"stat_t": "s", "avty": [{"t": "a"}] * 17},
        {"stat_t": "s", "avty_t": "a", "avty_mode": "some"},
        {"stat_t": "s", "val_tpl": 7},
        {"stat_t": "s", "uniq_id": 7},
    ],
)
def test_a_known_key_with_another_kind_of_value_is_malformed(payload: object) -> None:
    with pytest.raises((MalformedAnnouncement, ForbiddenTopic)):
        tell(dialect(), "homeassistant/sensor/t/config", payload)
