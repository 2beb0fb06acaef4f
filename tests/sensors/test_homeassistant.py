"""Home Assistant discovery: both forms, removal, devices of many messages, and any bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import SensorRefused, TooManySensors
from gateway.frames.declaration import Declaration
from gateway.mqtt.message import Message
from gateway.sensors.dialect import SensorAppeared, SensorChanged, SensorLost, Subscription
from gateway.sensors.ha_abbreviations import ENTITY
from gateway.sensors.homeassistant import HomeAssistant
from gateway.sensors.sensor import Availability, Reading, Sensor, StateSource, Stream
from gateway.sensors.template import Filter, Template
from gateway.sensors.topic_policy import TopicPolicy
from tests.sensors.ha_examples import DEVICE_FORM, DEVICE_TOPIC, SINGLE, dialect, read, tell, with_component


def test_the_documented_single_component_is_read_whole() -> None:
    assert read("homeassistant/sensor/bedroom/temperature/config", SINGLE) == Sensor(
        id="ea334450945afc",
        dialect="homeassistant",
        name="Kitchen",
        kind="sensor",
        streams={
            "temperature": Stream(
                "temperature",
                "sensorBedroom/state",
                Declaration(media="application/json", fields=("temperature",)),
                qos=1,
            )
        },
        labels={"manufacturer": "Bla electronics", "model": "xya", "device_class": "temperature"},
        identifiers=("id:ea334450945afc", "serial:ea334450945afc"),
    )


def test_the_device_form_makes_a_stream_of_every_source() -> None:
    soil = Template(whole=False, path=("soil",), filters=(Filter("float"),))
    assert read(DEVICE_TOPIC, DEVICE_FORM) == Sensor(
        id="garden",
        dialect="homeassistant",
        name="Garden",
        kind="camera",
        streams={
            "cam": Stream("cam", "garden/cam", Declaration(encoding="base64")),
            "pic": Stream("pic", "garden/pic", Declaration(media="image/png")),
            "soil": Stream(
                "soil",
                "garden/s",
                Declaration(media="application/json"),
                expire_s=90.0,
                reading=Reading(soil),
            ),
            "gate": Stream(
                "gate",
                "garden/gate",
                Declaration(media="application/json"),
                reading=Reading(None, (("open", 1.0), ("OFF", 0.0))),
            ),
            "level": Stream("level", "garden/level", Declaration(media="application/json")),
        },
        identifiers=("id:garden", "mac:aabbcc001122"),
        availability=Availability((StateSource("garden/state", ("online",), ("offline",)),)),
    )


def test_a_missing_origin_device_and_unique_id_are_made_up_for_from_the_topic() -> None:
    found = read("homeassistant/camera/yard/Front_Door/config", {"t": "yard/front"})
    assert (found.id, list(found.streams)) == ("yard-front-door", ["front-door"])
    assert (
        read("homeassistant/device/shed/config", {"cmps": {"c": {"p": "sensor", "stat_t": "s"}}}).id == "shed"
    )


def test_a_component_without_platform_is_passed_over() -> None:
    payload = {"dev": {"ids": "d"}, "cmps": {"a": {"stat_t": "a"}, "b": {"p": "sensor", "stat_t": "b"}}}
    assert list(read(DEVICE_TOPIC, payload).streams) == ["b"]


def test_a_device_without_components_is_no_sensor() -> None:
    assert tell(dialect(), DEVICE_TOPIC, {"dev": {"ids": "d"}, "o": {"name": "x"}, "cmps": {}}) == ()


def test_a_component_reduced_to_its_platform_is_taken_back_alone() -> None:
    house = dialect()
    payload = with_component(stat_t="s")
    payload["cmps"] = {"a": {"p": "sensor", "stat_t": "a"}, "b": {"p": "sensor", "stat_t": "b"}}
    tell(house, DEVICE_TOPIC, payload)
    payload["cmps"] = {"a": {"p": "sensor"}, "b": {"p": "sensor", "stat_t": "b"}}
    payload["stat_t"] = "shared"
    (event,) = tell(house, DEVICE_TOPIC, payload)
    assert isinstance(event, SensorChanged)
    assert list(event.sensor.streams) == ["b"]


def test_a_long_prefix_is_taken() -> None:
    house = HomeAssistant("site/a/ha", TopicPolicy("gw", "jetson-1"))
    assert len(tell(house, "site/a/ha/sensor/x/config", {"stat_t": "s"})) == 1
    assert house.filters() == (
        Subscription("site/a/ha/+/+/config"),
        Subscription("site/a/ha/+/+/+/config"),
    )


def test_our_own_results_are_no_sensors() -> None:
    house = dialect()
    assert tell(house, DEVICE_TOPIC, {**with_component(stat_t="s"), "o": {"name": "gateway"}}) == ()
    assert tell(house, "homeassistant/sensor/t/config", {"stat_t": "s", "origin": {"name": "gateway"}}) == ()


def test_an_identical_message_is_nothing() -> None:
    house = dialect()
    assert len(tell(house, DEVICE_TOPIC, DEVICE_FORM)) == 1
    assert tell(house, DEVICE_TOPIC, DEVICE_FORM) == ()


def test_an_empty_message_takes_back_what_is_known_and_nothing_else() -> None:
    house = dialect()
    assert tell(house, DEVICE_TOPIC, b"") == ()
    tell(house, DEVICE_TOPIC, DEVICE_FORM)
    (event,) = tell(house, DEVICE_TOPIC, b"")
    assert isinstance(event, SensorLost)
    assert event.sensor_id == "garden"
    assert tell(house, DEVICE_TOPIC, b"") == ()
    (back,) = tell(house, DEVICE_TOPIC, DEVICE_FORM)
    assert isinstance(back, SensorAppeared)


def test_entities_of_one_device_become_streams_of_one_sensor() -> None:
    house = dialect()
    tell(house, "homeassistant/sensor/k/t/config", {"stat_t": "k/s", "dev": {"ids": ["k"]}})
    (event,) = tell(house, "homeassistant/camera/k/c/config", {"t": "k/c", "dev": {"ids": ["k"]}})
    assert isinstance(event, SensorChanged)
    assert (event.sensor.kind, list(event.sensor.streams)) == ("camera", ["t", "c"])
    (event,) = tell(house, "homeassistant/camera/k/c/config", b"")
    assert isinstance(event, SensorChanged)
    assert list(event.sensor.streams) == ["t"]
    (lost,) = tell(house, "homeassistant/sensor/k/t/config", b"")
    assert isinstance(lost, SensorLost)


def test_two_streams_with_one_name_are_told_apart_by_platform() -> None:
    house = dialect()
    tell(house, "homeassistant/sensor/k/t/config", {"stat_t": "a", "dev": {"ids": "k"}})
    (event,) = tell(house, "homeassistant/binary_sensor/k/t/config", {"stat_t": "b", "dev": {"ids": "k"}})
    assert isinstance(event, SensorChanged)
    assert list(event.sensor.streams) == ["t", "binary-sensor-t"]
    (event,) = tell(house, "homeassistant/binary_sensor/j/t/config", {"stat_t": "c", "dev": {"ids": "k"}})
    assert isinstance(event, SensorChanged)
    assert event.sensor.notes == ("binary-sensor-t: another stream has this name",)


def test_an_entity_that_moves_to_another_device_leaves_the_first() -> None:
    house = dialect()
    tell(house, "homeassistant/sensor/t/config", {"stat_t": "s", "dev": {"ids": "one"}})
    lost, appeared = tell(house, "homeassistant/sensor/t/config", {"stat_t": "s", "dev": {"ids": "two"}})
    assert isinstance(lost, SensorLost)
    assert lost.sensor_id == "one"
    assert isinstance(appeared, SensorAppeared)
    assert appeared.sensor.id == "two"


def test_migration_to_the_device_form_never_drops_the_stream() -> None:
    house = dialect()
    single = "homeassistant/sensor/d/c/config"
    tell(house, single, {"stat_t": "s", "uniq_id": "u", "dev": {"ids": "d"}})
    assert tell(house, single, {"migrate_discovery": True}) == ()
    (event,) = tell(house, DEVICE_TOPIC, with_component(stat_t="s", uniq_id="u"))
    assert isinstance(event, SensorChanged)
    assert list(event.sensor.streams) == ["c"]
    (event,) = tell(house, single, b"")
    assert isinstance(event, SensorChanged)
    assert list(event.sensor.streams) == ["c"]


def test_too_many_streams_of_one_device_are_refused_and_change_nothing() -> None:
    house = dialect(max_streams=2)
    for name in ("a", "b"):
        tell(house, f"homeassistant/sensor/{name}/config", {"stat_t": name, "dev": {"ids": "d"}})
    with pytest.raises(TooManySensors):
        tell(house, "homeassistant/sensor/c/config", {"stat_t": "c", "dev": {"ids": "d"}})
    assert tell(house, "homeassistant/sensor/c/config", b"") == ()


def test_a_forgotten_device_may_appear_anew() -> None:
    house = dialect()
    tell(house, DEVICE_TOPIC, DEVICE_FORM)
    house.forget("garden")
    house.forget("garden")
    (event,) = tell(house, DEVICE_TOPIC, DEVICE_FORM)
    assert isinstance(event, SensorAppeared)


def test_the_dialect_has_no_time_or_session_of_its_own() -> None:
    house = dialect()
    assert house.connected(0.0) == house.disconnected(0.0) == house.handle_timer(0.0) == ()
    assert house.next_wakeup_s() is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(ENTITY)), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["~", "name", "qos", "state_topic", *ENTITY]), JSON, max_size=6))
def test_any_values_under_known_keys_give_events_or_one_typed_error(payload: dict[str, object]) -> None:
    for topic in ("homeassistant/sensor/t/config", "homeassistant/image/n/t/config", DEVICE_TOPIC):
        for sent in (payload, {"stat_t": "s", "t": "s", "img_t": "s", **payload}):
            try:
                events = tell(dialect(), topic, json.dumps(sent).encode())
            except SensorRefused:
                continue
            assert len(events) <= 1


@given(st.binary(max_size=100), st.text(max_size=30))
def test_any_bytes_on_any_topic_give_events_or_one_typed_error(payload: bytes, topic: str) -> None:
    house = dialect()
    for name in (topic, f"homeassistant/{topic}/config", DEVICE_TOPIC):
        try:
            house.receive(Message(name, payload, 0, retain=False, received_s=0.0), 0.0)
        except SensorRefused:
            continue
