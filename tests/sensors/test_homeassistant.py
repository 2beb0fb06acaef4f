"""Home Assistant discovery: both forms, the traps of its schema, and what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ForbiddenTopic, MalformedAnnouncement, SensorRefused, TooManySensors
from gateway.frames.declaration import Declaration
from gateway.mqtt.message import Message
from gateway.sensors.dialect import Event, SensorAppeared, SensorChanged, SensorLost, Subscription
from gateway.sensors.ha_abbreviations import DEVICE, ENTITY, ORIGIN
from gateway.sensors.homeassistant import HomeAssistant
from gateway.sensors.sensor import Availability, AvailabilityMode, Reading, Sensor, StateSource, Stream
from gateway.sensors.template import Filter, Template
from gateway.sensors.topic_policy import TopicPolicy
from tests.sensors.examples import message

SINGLE = {
    "dev": {
        "ids": "ea334450945afc",
        "name": "Kitchen",
        "mf": "Bla electronics",
        "mdl": "xya",
        "sw": "1.0",
        "sn": "ea334450945afc",
        "hw": "1.0rev2",
    },
    "o": {"name": "bla2mqtt", "sw": "2.1", "url": "https://bla2mqtt.example.com/support"},
    "device_class": "temperature",
    "unit_of_measurement": "°C",
    "value_template": "{{ value_json.temperature}}",
    "unique_id": "temp01ae_t",
    "state_topic": "sensorBedroom/state",
    "qos": 2,
}
DEVICE_FORM = {
    "dev": {"ids": ["garden"], "name": "Garden", "cns": [["mac", "aa:bb:cc:00:11:22"]]},
    "o": {"name": "garden2mqtt"},
    "avty_t": "garden/state",
    "qos": 2,
    "cmps": {
        "cam": {"p": "camera", "uniq_id": "g_cam", "t": "garden/cam", "img_e": "b64"},
        "pic": {"p": "image", "uniq_id": "g_pic", "img_t": "garden/pic", "cont_type": "image/png"},
        "soil": {
            "p": "sensor",
            "uniq_id": "g_soil",
            "stat_t": "garden/s",
            "val_tpl": "{{ value_json.soil | float }}",
            "exp_aft": "90",
        },
        "gate": {"p": "binary_sensor", "uniq_id": "g_gate", "stat_t": "garden/gate", "pl_on": "open"},
        "pump": {"p": "switch", "uniq_id": "g_pump", "cmd_t": "garden/pump"},
        "level": {"p": "number", "uniq_id": "g_level", "stat_t": "garden/level"},
    },
}
DEVICE_TOPIC = "homeassistant/device/garden/config"


def dialect(max_streams: int = 64) -> HomeAssistant:
    return HomeAssistant("homeassistant", TopicPolicy("gw", "jetson-1"), max_streams=max_streams)


def tell(house: HomeAssistant, topic: str, payload: object) -> tuple[Event, ...]:
    return house.receive(message(topic, payload), 0.0)


def read(topic: str, payload: object) -> Sensor:
    (event,) = tell(dialect(), topic, payload)
    assert isinstance(event, SensorAppeared)
    return event.sensor


def with_component(**options: object) -> dict[str, object]:
    return {"dev": {"ids": "d"}, "o": {"name": "x"}, "cmps": {"c": {"p": "sensor", **options}}}


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


def test_both_forms_of_availability_at_once_are_refused() -> None:
    with pytest.raises(MalformedAnnouncement, match="exclude"):
        tell(dialect(), "homeassistant/sensor/t/config", {"stat_t": "s", "avty_t": "a", "avty": [{"t": "a"}]})


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


def test_a_long_prefix_is_taken() -> None:
    house = HomeAssistant("site/a/ha", TopicPolicy("gw", "jetson-1"))
    assert len(tell(house, "site/a/ha/sensor/x/config", {"stat_t": "s"})) == 1
    assert house.filters() == (
        Subscription("site/a/ha/+/+/config"),
        Subscription("site/a/ha/+/+/+/config"),
    )


@pytest.mark.parametrize(
    "topic", ["sensors/#", "+/state", "$SYS/x", "gw/jetson-1/results/a/b", "gw/announce/x"]
)
def test_a_forbidden_topic_refuses_the_whole_message(topic: str) -> None:
    with pytest.raises(ForbiddenTopic):
        tell(dialect(), "homeassistant/sensor/t/config", {"stat_t": topic})
    with pytest.raises(ForbiddenTopic):
        tell(dialect(), DEVICE_TOPIC, with_component(stat_t=topic))


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


def test_short_keys_stand_for_one_long_key_each() -> None:
    for table in (ENTITY, DEVICE, ORIGIN):
        assert len(set(table.values())) == len(table)
        assert not set(table) & set(table.values())


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
