"""Where answers to requests over the broker may go: nowhere that means something to a gateway or a sensor."""

from __future__ import annotations

from collections.abc import Callable

from gateway.configuration.settings import Settings
from gateway.errors import ForbiddenTopic
from gateway.mqtt.link import Link
from gateway.sensors.dialects import result_topics
from gateway.sensors.topic_policy import TopicPolicy
from gateway.serving.broker.request_topic import RequestTopics


class AnswerTopics:
    """Keeps whoever may send requests from writing, by the gateway's hand, where he may not himself.

    Args:
        settings: Returns the settings in force.
        gateway_id: Name of this gateway.
        link: Whose subscriptions are guarded.
    """

    def __init__(self, settings: Callable[[], Settings], gateway_id: str, link: Link) -> None:
        self._settings = settings
        prefix = settings().mqtt.topic_prefix
        self._requests = RequestTopics(prefix, gateway_id)
        self._guarded: Settings | None = None
        self._policy = TopicPolicy(prefix, gateway_id)
        self._link = link

    def check(self, topic: str) -> None:
        """Refuse a topic.

        Raises:
            ForbiddenTopic: It is no plain topic, belongs to gateways or to results, or somebody's frames,
                states or descriptions come on it.
        """
        self._requests.check_response(topic)
        settings = self._settings()
        if settings is not self._guarded:
            self._policy.reconfigure(result_topics(settings))
            self._guarded = settings
        self._policy.check_stream(topic)
        discovery = settings.sensors.discovery
        if discovery.homeassistant and topic.startswith(f"{discovery.homeassistant_prefix}/"):
            raise ForbiddenTopic(f"topic {topic[:80]!r} describes devices")
        if self._link.data.listens(topic) or self._link.control.listens(topic):
            raise ForbiddenTopic(f"topic {topic[:80]!r} is one that sensors publish on")
