"""Learn mode: what is listed, guessed, and never listed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.settings import LearnSettings
from gateway.errors import TooManySensors
from gateway.sensors.dialect import SensorAppeared, SensorChanged, SensorLost, Subscription
from gateway.sensors.learn import Learner, guess_media
from gateway.sensors.topic_policy import TopicPolicy
from tests.sensors.examples import message

JPEG = b"\xff\xd8\xff\xe0" + bytes(20)


def learner(max_topics: int = 8, used: frozenset[str] = frozenset()) -> Learner:
    settings = LearnSettings(filters=("yard/#", "YARD", "gw/#", "$SYS/#"), max_topics=max_topics)
    return Learner(settings, TopicPolicy("gw", "jetson-1"), used.__contains__)


@pytest.mark.parametrize(
    ("payload", "media"),
    [
        (JPEG, "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "image/png"),
        (b'{"t": 1}', "application/json"),
        (b"data:image/png;base64,AAAA", "data-uri"),
        (b"21.5", "text/plain"),
        (b"hello", ""),
        (b"\x00\x01", ""),
        (b"\x28\xb5\x2f\xfd" + bytes(20), ""),
    ],
)
def test_payloads_are_guessed_by_their_first_bytes(payload: bytes, media: str) -> None:
    assert guess_media(payload) == media


def test_a_new_topic_is_listed_with_a_guess() -> None:
    learning = learner()
    assert learning.filters()[0] == Subscription("yard/#", qos=0)
    (event,) = learning.receive(message("yard/cam/frame", JPEG, retain=False), 1.0)
    assert isinstance(event, SensorAppeared)
    assert event.sensor.dialect == "learned"
    assert event.sensor.streams["data"].topic == "yard/cam/frame"
    assert event.sensor.streams["data"].declaration.media == "image/jpeg"
    assert event.sensor.notes == ("looks like image/jpeg",)


def test_further_messages_are_counted_and_tell_no_news() -> None:
    learning = learner()
    learning.receive(message("yard/a", JPEG, retain=True), 1.0)
    assert learning.receive(message("yard/a", JPEG, retain=True), 1.5) == ()
    assert learning.receive(message("yard/a", JPEG + bytes(100), retain=False), 2.0) == ()
    found = learning.topics["yard/a"]
    assert (found.messages, found.largest_bytes, found.first_s, found.last_s) == (1, 124, 1.0, 2.0)


def test_a_topic_that_did_not_tell_at_first_may_tell_later_but_is_not_asked_for_ever() -> None:
    learning = learner()
    learning.receive(message("yard/a", b"?", retain=False), 1.0)
    (event,) = learning.receive(message("yard/a", JPEG, retain=False), 2.0)
    assert isinstance(event, SensorChanged)
    learning.receive(message("yard/b", b"?", retain=False), 1.0)
    for _ in range(5):
        learning.receive(message("yard/b", b"?", retain=False), 1.0)
    assert learning.receive(message("yard/b", JPEG, retain=False), 2.0) == ()


def test_topics_of_known_sensors_and_of_the_gateway_are_not_listed() -> None:
    learning = learner(used=frozenset({"yard/known"}))
    for topic in ("yard/known", "gw/jetson-1/results/a/b", "gw/announce/cam", "$SYS/x"):
        assert learning.receive(message(topic, JPEG), 1.0) == ()
    assert learning.receive(message("yard/empty", b""), 1.0) == ()
    assert learning.receive(message("elsewhere", JPEG), 1.0) == ()
    assert learning.topics == {}


def test_the_list_is_bounded() -> None:
    learning = learner(max_topics=2)
    learning.receive(message("yard/a", JPEG), 1.0)
    learning.receive(message("yard/b", JPEG), 1.0)
    with pytest.raises(TooManySensors):
        learning.receive(message("yard/c", JPEG), 1.0)
    assert learning.receive(message("yard/a", JPEG), 1.0) == ()


def test_a_topic_that_a_sensor_claims_leaves_the_list() -> None:
    learning = learner()
    (event,) = learning.receive(message("yard/a", JPEG), 1.0)
    assert isinstance(event, SensorAppeared)
    (lost,) = learning.drop("yard/a")
    assert isinstance(lost, SensorLost)
    assert lost.sensor_id == event.sensor.id
    assert learning.drop("yard/a") == ()


def test_of_two_topics_with_one_id_the_first_is_listed() -> None:
    learning = learner()
    learning.receive(message("YARD", JPEG), 1.0)
    assert learning.receive(message("yard", JPEG), 1.0) == ()
    learning.forget("yard")
    learning.forget("yard")
    assert len(learning.receive(message("yard", JPEG), 1.0)) == 1


def test_learning_has_no_time_or_session_of_its_own() -> None:
    learning = learner()
    assert learning.connected(0.0) == learning.disconnected(0.0) == learning.handle_timer(0.0) == ()
    assert learning.next_wakeup_s() is None


@given(st.binary(max_size=64))
def test_any_bytes_give_a_guess_or_none(payload: bytes) -> None:
    assert isinstance(guess_media(payload), str)
