"""Which topics a sensor may name, so that its words cannot turn the gateway on itself.

Wildcards and ``$`` topics are refused by the topic grammar; here are the topics
that would feed the gateway's own results, or announcements, back as frames.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.configuration.settings import ID
from gateway.errors import ForbiddenTopic
from gateway.mqtt.topic import check_sensor_topic


@dataclass(frozen=True, slots=True)
class ResultTopic:
    """Where one pipeline publishes.

    Attributes:
        template: Topic template with ``{prefix} {gateway} {sensor} {stream} {pipeline} {model}``.
        pipeline: Name of the pipeline.
        model: Name of its model.
    """

    template: str
    pipeline: str
    model: str


class TopicPolicy:
    """Tells which topics sensors may name.

    Args:
        prefix: First level of the gateway's own topics.
        gateway_id: Name of this gateway.
        results: Where its pipelines publish.
    """

    def __init__(self, prefix: str, gateway_id: str, results: Iterable[ResultTopic] = ()) -> None:
        self._prefix = prefix
        self._gateway_id = gateway_id
        self._announcements = f"{prefix}/announce/"
        self.reconfigure(results)

    def reconfigure(self, results: Iterable[ResultTopic]) -> None:
        """Guard these result topics instead of those before."""
        own = re.escape(f"{self._prefix}/{self._gateway_id}")
        patterns = [rf"{own}(?:/.*)?", re.escape(f"{self._prefix}/hello")]
        patterns += sorted({_result_pattern(result, self._prefix, self._gateway_id) for result in results})
        self._own = re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.DOTALL)

    def is_own(self, topic: str) -> bool:
        """Return whether the gateway itself publishes on a topic."""
        return self._own.fullmatch(topic) is not None

    def check_state(self, topic: str) -> str:
        """Return ``topic`` if a sensor may be watched on it.

        Raises:
            ForbiddenTopic: It is empty, too long, holds wildcards or unfit
                characters, begins with ``$``, or is one of the gateway's own.
        """
        check_sensor_topic(topic)
        if self.is_own(topic):
            raise ForbiddenTopic(f"topic {topic[:80]!r} is one of the gateway's own")
        return topic

    def check_stream(self, topic: str) -> str:
        """Return ``topic`` if frames may be taken from it.

        Raises:
            ForbiddenTopic: As ``check_state``, or it is a topic of announcements.
        """
        if topic.startswith(self._announcements):
            raise ForbiddenTopic(f"topic {topic[:80]!r} carries announcements, not frames")
        return self.check_state(topic)


def _result_pattern(result: ResultTopic, prefix: str, gateway_id: str) -> str:
    known = {"prefix": prefix, "gateway": gateway_id, "pipeline": result.pipeline, "model": result.model}
    pattern = []
    for text, field, _, _ in string.Formatter().parse(result.template):
        pattern.append(re.escape(text))
        if field is None:
            continue
        if field in known:
            pattern.append(re.escape(known[field]))
        else:
            pattern.append(ID if field == "sensor" else "[^/]+")
    return "".join(pattern)
