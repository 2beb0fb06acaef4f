"""Learn mode: topics under allowed filters that nobody declared, listed with a guess of what they carry.

What is overheard becomes a pending sensor, never a running one: a person reads
the list and declares what is wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.configuration.settings import LearnSettings
from gateway.errors import SensorRefused, TooManySensors, UnknownMedia
from gateway.frames.declaration import Declaration
from gateway.frames.sniff import detect
from gateway.mqtt.message import Message
from gateway.mqtt.topic import matches
from gateway.sensors.dialect import Event, SensorAppeared, SensorChanged, SensorLost, Subscription
from gateway.sensors.identity import sensor_id
from gateway.sensors.sensor import LEARNED, Sensor, Stream
from gateway.sensors.topic_policy import TopicPolicy

STREAM = "data"
_LOOKS = 3
_LONGEST_NUMBER = 32


@dataclass(slots=True)
class LearnedTopic:
    """What was overheard on one topic.

    Attributes:
        sensor_id: Id under which it is listed.
        media: Guess of its payloads' kind; empty if they do not tell.
        messages: Live messages so far.
        largest_bytes: The largest payload so far.
        first_s: Time of the first.
        last_s: Time of the last.
    """

    sensor_id: str
    media: str
    messages: int
    largest_bytes: int
    first_s: float
    last_s: float


class Learner:
    """Overhears topics.

    Args:
        settings: Filters to listen on, and how many topics to list.
        policy: Topics that are never listed.
        is_used: Tells whether a topic already belongs to a sensor.
    """

    name = LEARNED

    def __init__(self, settings: LearnSettings, policy: TopicPolicy, is_used: Callable[[str], bool]) -> None:
        self._settings = settings
        self._policy = policy
        self._is_used = is_used
        self._topics: dict[str, LearnedTopic] = {}
        self._topic_of: dict[str, str] = {}

    @property
    def topics(self) -> dict[str, LearnedTopic]:
        """What was overheard, by topic; not to be changed."""
        return self._topics

    def filters(self) -> tuple[Subscription, ...]:
        """Return the allowed filters."""
        return tuple(Subscription(wanted, qos=0) for wanted in self._settings.filters)

    def receive(self, message: Message, now_s: float) -> tuple[Event, ...]:
        """Overhear one message; retained ones tell of a topic as well as live ones.

        Raises:
            TooManySensors: The list is full.
        """
        if self._is_used(message.topic):
            return ()
        known = self._topics.get(message.topic)
        if known is None:
            return self._first(message, now_s)
        known.messages += not message.retain
        known.last_s = now_s
        known.largest_bytes = max(known.largest_bytes, len(message.payload))
        if known.media or known.messages > _LOOKS:
            return ()
        media = guess_media(message.payload)
        if not media:
            return ()
        known.media = media
        return (SensorChanged(_sensor(known.sensor_id, message.topic, media)),)

    def drop(self, topic: str) -> tuple[Event, ...]:
        """List a topic no longer, now that a sensor owns it."""
        known = self._topics.pop(topic, None)
        if known is None:
            return ()
        self._topic_of.pop(known.sensor_id, None)
        return (SensorLost(known.sensor_id, "its topic is declared now"),)

    def forget(self, sensor_id: str) -> None:
        """Let the next message on this sensor's topic count as the first."""
        topic = self._topic_of.pop(sensor_id, None)
        if topic is not None:
            del self._topics[topic]

    def connected(self, now_s: float) -> tuple[Event, ...]:  # noqa: ARG002
        """Do nothing: nobody is asked to speak."""
        return ()

    def disconnected(self, now_s: float) -> tuple[Event, ...]:  # noqa: ARG002
        """Do nothing: what was overheard stays listed."""
        return ()

    def handle_timer(self, now_s: float) -> tuple[Event, ...]:  # noqa: ARG002
        """Do nothing: this dialect has no time of its own."""
        return ()

    def next_wakeup_s(self) -> float | None:
        """Return None: this dialect has no time of its own."""
        return None

    def _first(self, message: Message, now_s: float) -> tuple[Event, ...]:
        try:
            self._policy.check_stream(message.topic)
        except SensorRefused:
            return ()  # the gateway's own and the broker's topics are no finds
        if not message.payload or not any(
            matches(wanted, message.topic) for wanted in self._settings.filters
        ):
            return ()  # removed, or a late message of a subscription that has ended
        if len(self._topics) >= self._settings.max_topics:
            raise TooManySensors(f"learn mode lists {len(self._topics)} topics and no more")
        sensor = _sensor(sensor_id(message.topic), message.topic, guess_media(message.payload))
        if sensor.id in self._topic_of:
            return ()  # two topics that differ by case alone: the first is listed
        self._topics[message.topic] = LearnedTopic(
            sensor.id,
            sensor.streams[STREAM].declaration.media,
            int(not message.retain),
            len(message.payload),
            now_s,
            now_s,
        )
        self._topic_of[sensor.id] = message.topic
        return (SensorAppeared(sensor),)


def guess_media(payload: bytes) -> str:
    """Return the media type that a payload looks like; empty if it does not tell."""
    try:
        return detect(memoryview(payload), Declaration()).value
    except UnknownMedia:
        pass
    if len(payload) <= _LONGEST_NUMBER:
        try:
            float(payload)
        except ValueError:
            return ""
        return "text/plain"
    return ""


def _sensor(id: str, topic: str, media: str) -> Sensor:
    note = f"looks like {media}" if media else "its payloads do not tell what they are"
    sensor = Sensor(id, LEARNED, {STREAM: Stream(STREAM, topic)}, name=topic[:256], notes=(note,))
    return sensor if not media else replace(sensor, streams=_typed(topic, media))


def _typed(topic: str, media: str) -> dict[str, Stream]:
    return {STREAM: Stream(STREAM, topic, Declaration(media=media))}
