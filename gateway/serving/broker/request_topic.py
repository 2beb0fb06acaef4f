"""Where requests over the broker arrive, and where their answers may go. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import ForbiddenTopic, Malformed
from gateway.mqtt.topic import check_sensor_topic

_MODELS = "v2/models"
_VERSIONS = "versions"
_INFER = "infer"


@dataclass(frozen=True, slots=True)
class Address:
    """Whom a request is for.

    Attributes:
        model: Name of a model or of an alias.
        version: Which version; empty for the one that the name leads to.
    """

    model: str
    version: str = ""


class RequestTopics:
    """The topics of one gateway's requests.

    Args:
        prefix: First level of the gateway's own topics.
        gateway_id: Name of this gateway.
    """

    def __init__(self, prefix: str, gateway_id: str) -> None:
        self._own = f"{prefix}/"
        self._models = f"{prefix}/{gateway_id}/{_MODELS}/"

    @property
    def filters(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return (f"{self._models}+/{_INFER}", f"{self._models}+/{_VERSIONS}/+/{_INFER}")

    def read(self, topic: str) -> Address:
        """Return whom a request on ``topic`` is for.

        Raises:
            Malformed: It is no topic of a request here.
        """
        levels = topic[len(self._models) :].split("/") if topic.startswith(self._models) else []
        match levels:
            case [model, infer] if model and infer == _INFER:
                return Address(model)
            case [model, versions, version, infer] if model and version:
                if versions == _VERSIONS and infer == _INFER:
                    return Address(model, version)
        raise Malformed(f"topic {topic[:80]!r} names no model to infer with")

    def check_response(self, topic: str) -> None:
        """Refuse a topic on which an answer could be taken for anything else.

        Everything under the gateways' own first level is refused: orders, doorbells, announcements
        and requests of this gateway and of others are there.

        Raises:
            ForbiddenTopic: It is empty, too long or too deep, holds wildcards or control characters,
                begins with ``$``, or belongs to gateways.
        """
        check_sensor_topic(topic)
        if topic.startswith(self._own):
            raise ForbiddenTopic(f"topic {topic[:80]!r} is one of the gateways' own")
