"""Which dialects a configuration asks for, and how they are made; the list that a new dialect joins."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.configuration.settings import Settings
from gateway.frames.cbor import loads
from gateway.frames.limits import PayloadLimits
from gateway.sensors import announce, homeassistant
from gateway.sensors.announce import Announcements
from gateway.sensors.dialect import Dialect
from gateway.sensors.homeassistant import HomeAssistant
from gateway.sensors.topic_policy import ResultTopic, TopicPolicy

BUILT_IN = (announce.NAME, homeassistant.NAME)
"""Names of all dialects, the most trusted first."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this gateway is to sensors.

    Attributes:
        id: Name of the gateway in topics.
        epoch: Number that grows with every start, such as the start's time.
    """

    id: str
    epoch: int


def result_topics(settings: Settings) -> tuple[ResultTopic, ...]:
    """Return where this configuration publishes results."""
    return tuple(
        ResultTopic(pipeline.publish.topic, name, pipeline.model)
        for name, pipeline in settings.pipelines.items()
    )


def make_dialects(settings: Settings, identity: Identity, policy: TopicPolicy) -> tuple[Dialect, ...]:
    """Return the dialects that are switched on, the most trusted first."""
    asked = settings.sensors.discovery
    made: list[Dialect] = []
    if asked.announce:
        limits = PayloadLimits(
            max_bytes=asked.max_announcement_bytes, max_elements=asked.max_announcement_bytes
        )
        made.append(
            Announcements(
                settings.mqtt.topic_prefix,
                policy,
                max_streams=asked.max_streams,
                hello={"id": identity.id, "epoch": identity.epoch},
                read_cbor=lambda payload: loads(memoryview(payload), limits),
            )
        )
    if asked.homeassistant:
        made.append(HomeAssistant(asked.homeassistant_prefix, policy, max_streams=asked.max_streams))
    return tuple(made)
