"""The native dialect: golden announcements, removal, and what is refused."""

from __future__ import annotations

import json

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import (
    ForbiddenTopic,
    Malformed,
    MalformedAnnouncement,
    OversizeAnnouncement,
    SensorRefused,
    TooManySensors,
)
from gateway.frames.cbor import loads
from gateway.frames.declaration import Declaration
from gateway.frames.limits import PayloadLimits
from gateway.mqtt.message import Message
from gateway.sensors.announce import Announcements
from gateway.sensors.dialect import (
    PublishAsked,
    SensorAppeared,
    SensorChanged,
    SensorLost,
    Subscription,
)
from gateway.sensors.sensor import Availability, Sensor, StateSource, Stream
from gateway.sensors.topic_policy import TopicPolicy
from tests.sensors.examples import CAMERA, announcement, message


def read_cbor(payload: bytes) -> object:
    return loads(memoryview(payload), PayloadLimits(max_bytes=65_536, max_elements=65_536))


def dialect(**options: object) -> Announcements:
    return Announcements("gw", TopicPolicy("gw", "jetson-1"), read_cbor=read_cbor, **options)  # type: ignore[arg-type]


def read(received: Message) -> Sensor:
    (event,) = dialect().receive(received, 0.0)
    assert isinstance(event, SensorAppeared)
    return event.sensor


EXPECTED = Sensor(
    id="cam-7f3a",
    dialect="announce",
    name="Door cam",
    kind="camera",
    epoch=1763800000,
    streams={
        "frame": Stream("frame", "yard/cam-7f3a/frame", Declaration(media="image/jpeg"), ttl_ms=1000),
        "imu": Stream(
            "imu",
            "yard/cam-7f3a/imu",
            Declaration(media="application/vnd.gateway.tensor", dtype="int16", shape=(-1, 6), rate_hz=100.0),
        ),
    },
    labels={"site": "yard", "mac": "aa:bb:cc:00:11:22"},
    identifiers=("mac:aabbcc001122",),
    availability=Availability(
        (StateSource("gw/announce/cam-7f3a/state", ("ready",), ("lost",), ("sleeping",)),)
    ),
    expire_s=15.0,
    pipeline_hint="person-detect",
)


def test_the_documented_announcement_is_read_whole() -> None:
    assert read(announcement()) == EXPECTED


def test_cbor_says_the_same_as_json_when_the_content_type_names_it() -> None:
    payload = cbor2.dumps(CAMERA)
    assert read(message("gw/announce/cam-7f3a", payload, content_type="application/cbor")) == EXPECTED
    with pytest.raises(MalformedAnnouncement):
        read(message("gw/announce/cam-7f3a", payload))


def test_cbor_is_refused_where_no_reader_is_given() -> None:
    plain = Announcements("gw", TopicPolicy("gw", "jetson-1"))
    with pytest.raises(MalformedAnnouncement):
        plain.receive(message("gw/announce/cam", b"\xa0", content_type="application/cbor"), 0.0)


def test_the_least_announcement_has_a_version_and_one_topic() -> None:
    found = read(message("gw/announce/mic", {"v": 1, "streams": {"pcm": {"topic": "house/mic"}}}))
    assert found == Sensor(id="mic", dialect="announce", streams={"pcm": Stream("pcm", "house/mic")})


def test_unknown_keys_are_ignored_at_every_level() -> None:
    streams = {"frame": {"topic": "yard/f", "colour": "red"}}
    state = {"topic": "yard/s", "mood": 1}
    found = read(announcement(streams=streams, state=state, newer={"a": [1]}))
    assert found.streams["frame"].topic == "yard/f"
    assert found.availability.sources[0].offline == ("lost", "stopped")


def test_a_state_without_a_topic_may_still_declare_its_silence() -> None:
    found = read(announcement(state={"expire_s": 2.5}))
    assert (found.availability, found.expire_s) == (Availability(), 2.5)


def test_a_state_may_have_several_words_for_absence() -> None:
    found = read(announcement(state={"topic": "yard/s", "offline": ["lost", "bye"]}))
    assert found.availability.sources[0].offline == ("lost", "bye")


def test_qos_2_is_taken_as_1() -> None:
    found = read(announcement(streams={"frame": {"topic": "yard/f", "qos": 2, "delivery": "every"}}))
    assert (found.streams["frame"].qos, found.streams["frame"].delivery) == (1, "every")


def test_the_same_announcement_again_is_nothing() -> None:
    announcements = dialect()
    assert len(announcements.receive(announcement(), 0.0)) == 1
    assert announcements.receive(announcement(), 1.0) == ()


def test_another_announcement_changes_the_sensor() -> None:
    announcements = dialect()
    announcements.receive(announcement(), 0.0)
    (event,) = announcements.receive(announcement(name="Back door"), 1.0)
    assert isinstance(event, SensorChanged)
    assert event.sensor.name == "Back door"


def test_an_empty_payload_takes_back_what_is_known_and_nothing_else() -> None:
    announcements = dialect()
    empty = message("gw/announce/cam-7f3a", b"")
    assert announcements.receive(empty, 0.0) == ()
    announcements.receive(announcement(), 0.0)
    (event,) = announcements.receive(empty, 1.0)
    assert isinstance(event, SensorLost)
    assert event.sensor_id == "cam-7f3a"
    assert announcements.receive(empty, 2.0) == ()


def test_a_forgotten_sensor_may_appear_anew() -> None:
    announcements = dialect()
    announcements.receive(announcement(), 0.0)
    announcements.forget("cam-7f3a")
    announcements.forget("cam-7f3a")
    (event,) = announcements.receive(announcement(), 1.0)
    assert isinstance(event, SensorAppeared)


def test_sensors_are_asked_to_announce_themselves_at_each_connection() -> None:
    asking = dialect(hello={"id": "jetson-1", "epoch": 5})
    assert asking.connected(0.0) == (PublishAsked("gw/hello", b'{"id":"jetson-1","epoch":5}'),)
    assert dialect().connected(0.0) == ()
    assert asking.filters() == (Subscription("gw/announce/+"),)
    assert asking.disconnected(0.0) == asking.handle_timer(0.0) == ()
    assert asking.next_wakeup_s() is None


def test_topics_of_others_are_not_read() -> None:
    assert dialect().receive(message("other/announce/cam", b"junk"), 0.0) == ()


@pytest.mark.parametrize(
    "topic",
    [
        "yard/#",
        "yard/+/frame",
        "$SYS/#",
        "$SYS/broker/uptime",
        "",
        "gw/jetson-1/results/cam/p",
        "gw/announce/other",
        "gw/hello",
        "yard/\u0000",
    ],
)
def test_a_stream_on_a_forbidden_topic_is_refused(topic: str) -> None:
    with pytest.raises(ForbiddenTopic):
        dialect().receive(announcement(streams={"frame": {"topic": topic}}), 0.0)


@pytest.mark.parametrize("topic", ["#", "$SYS/x", "gw/jetson-1/state", "a/+"])
def test_a_state_on_a_forbidden_topic_is_refused(topic: str) -> None:
    with pytest.raises(ForbiddenTopic):
        dialect().receive(announcement(state={"topic": topic}), 0.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"v": None},
        {"v": "1"},
        {"id": "other"},
        {"id": 7},
        {"name": 7},
        {"epoch": -1},
        {"epoch": 2**70},
        {"streams": {}},
        {"streams": []},
        {"streams": None},
        {"streams": {"frame": "yard/f"}},
        {"streams": {"frame": {}}},
        {"streams": {"Frame!": {"topic": "yard/f"}}},
        {"streams": {"f/g": {"topic": "yard/f"}}},
        {"streams": {"f": {"topic": "yard/f", "qos": 3}}},
        {"streams": {"f": {"topic": "yard/f", "ttl_ms": -1}}},
        {"streams": {"f": {"topic": "yard/f", "shape": "1,2"}}},
        {"streams": {"f": {"topic": "yard/f", "shape": [1.5]}}},
        {"streams": {"f": {"topic": "yard/f", "shape": [1] * 9}}},
        {"streams": {"f": {"topic": "yard/f", "shape": [2**40]}}},
        {"streams": {"f": {"topic": "yard/f", "rate_hz": "fast"}}},
        {"streams": {"f": {"topic": "yard/f", "channels": 0}}},
        {"streams": {"f": {"topic": "yard/f", "encoding": "rot13"}}},
        {"streams": {"f": {"topic": "yard/f", "fields": "a"}}},
        {"state": "gw/state"},
        {"state": {"topic": 1}},
        {"state": {"topic": "yard/s", "online": 1}},
        {"state": {"topic": "yard/s", "offline": ["x"] * 9}},
        {"state": {"expire_s": -1}},
        {"labels": ["a"]},
        {"labels": {"a": 1}},
        {"identifiers": "x"},
        {"pipeline": 3},
    ],
)
def test_a_known_key_with_another_kind_of_value_is_malformed(changes: dict[str, object]) -> None:
    sent = message("gw/announce/cam-7f3a", {**CAMERA, **changes})
    with pytest.raises((MalformedAnnouncement, ForbiddenTopic)):
        dialect().receive(sent, 0.0)


@pytest.mark.parametrize("id", ["Cam", "-cam", "cam_1", "c" * 64, "", "cam one", "ça"])
def test_an_id_outside_the_grammar_is_malformed(id: str) -> None:
    with pytest.raises(MalformedAnnouncement):
        dialect().receive(announcement(id), 0.0)


def test_too_many_streams_or_labels_are_refused() -> None:
    streams = {f"s{number}": {"topic": f"yard/{number}"} for number in range(65)}
    with pytest.raises(TooManySensors):
        dialect().receive(announcement(streams=streams), 0.0)
    with pytest.raises(OversizeAnnouncement):
        dialect().receive(announcement(labels={f"l{number}": "x" for number in range(33)}), 0.0)


def test_a_refused_announcement_changes_nothing() -> None:
    announcements = dialect()
    announcements.receive(announcement(), 0.0)
    with pytest.raises(MalformedAnnouncement):
        announcements.receive(announcement(v=9), 1.0)
    assert announcements.receive(announcement(), 2.0) == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from([*CAMERA, "identifiers", "topic"])


@given(
    st.dictionaries(KEYS, JSON, max_size=4),
    st.dictionaries(
        st.sampled_from(
            ["topic", "media", "dtype", "shape", "qos", "fields", "encoding", "rate_hz", "scale", "channels"]
        ),
        JSON,
        max_size=4,
    ),
)
def test_any_values_under_known_keys_give_a_sensor_or_one_typed_error(
    changes: dict[str, object], stream: dict[str, object]
) -> None:
    payload = {**CAMERA, "streams": {"frame": {"topic": "yard/f", **stream}}, **changes}
    for data, kind in ((json.dumps(payload).encode(), ""), (cbor2.dumps(payload), "application/cbor")):
        try:
            events = dialect().receive(message("gw/announce/cam-7f3a", data, content_type=kind), 0.0)
        except SensorRefused:
            continue
        assert len(events) == 1


@given(st.binary(max_size=120), st.sampled_from(["", "application/cbor", "text/plain; charset=x"]))
def test_any_bytes_give_nothing_a_sensor_or_one_typed_error(payload: bytes, kind: str) -> None:
    try:
        dialect().receive(message("gw/announce/cam", payload, content_type=kind), 0.0)
    except SensorRefused as error:
        assert not isinstance(error, Malformed)
