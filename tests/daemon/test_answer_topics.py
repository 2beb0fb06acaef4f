"""Answers go nowhere where a gateway or a sensor would read them as something else."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.configuration.settings import (
    DiscoverySettings,
    PipelineSettings,
    PublishSettings,
    SensorSettings,
    Settings,
)
from gateway.daemon.answer_topics import AnswerTopics
from gateway.errors import ForbiddenTopic
from gateway.mqtt.link import Identity, Link

PIPELINE = PipelineSettings(model="cat", publish=PublishSettings(topic="home/{sensor}/seen"))
SETTINGS = Settings(
    pipelines={"door": PIPELINE}, sensors=SensorSettings(discovery=DiscoverySettings(homeassistant=True))
)


def answer_topics(settings: list[Settings]) -> AnswerTopics:
    link = Link(settings[0].mqtt, Identity("porch", 1, "0"))
    link.data.subscribe("cameras/door/jpg", 0, lambda _: None)
    link.control.subscribe("cameras/+/state", 1, lambda _: None)
    link.control.subscribe("cameras/door/state", 1, lambda _: None)
    return AnswerTopics(lambda: settings[0], "porch", link)


def test_a_plain_topic_is_taken() -> None:
    async def scenario() -> None:
        topics = answer_topics([SETTINGS])
        for topic in ("replies/me", "home/seen", "cameras/back/state", "homeassistants/a"):
            topics.check(topic)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "topic",
    [
        *("cameras/door/jpg", "cameras/door/state", "home/front-door/seen", "homeassistant/sensor/a/config"),
        *("gw/porch/models/cmd", "gw/announce/x/config", "gw/hello", "$SYS/x", "replies/+"),
    ],
)
def test_what_is_read_or_written_here_is_not(topic: str) -> None:
    async def scenario() -> None:
        with pytest.raises(ForbiddenTopic):
            answer_topics([SETTINGS]).check(topic)

    asyncio.run(scenario())


def test_a_change_of_pipelines_changes_what_is_guarded() -> None:
    async def scenario() -> None:
        settings = [replace(SETTINGS, pipelines={})]
        topics = answer_topics(settings)
        topics.check("home/front-door/seen")
        settings[0] = SETTINGS
        with pytest.raises(ForbiddenTopic):
            topics.check("home/front-door/seen")

    asyncio.run(scenario())
