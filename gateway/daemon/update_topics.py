"""The MQTT side of model updates: doorbells and orders come in, reports and transitions go out.

Nothing that comes in has authority over what is installed: a doorbell makes the
board look at its repository, and an order does what somebody at the board may do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.errors import ForbiddenTopic, GatewayError, Malformed
from gateway.mqtt.connection import Connection
from gateway.mqtt.message import Message, PublishProperties
from gateway.mqtt.topic import is_valid_topic
from gateway.operations.log import log

MOST_BYTES: Final = 4096
ORDERS: Final = ("check-now", "pause", "resume", "cancel", "rollback-to-previous", "gc", "fsck", "clear")
_MOST_ID: Final = 128
_EVENT_EXPIRY_S: Final = 86_400
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Doorbell:
    """Somebody says that there is news.

    Attributes:
        request_id: Echoed in reports; empty if none was given.
    """

    request_id: str


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody at the board wants done.

    Attributes:
        name: One of ``ORDERS``.
        model: Which model; empty for all of them.
        release: Which release (``clear`` only); 0 for all.
    """

    name: str
    model: str = ""
    release: int = 0


# Told of an order with how to answer it.
TakeOrder = Callable[[Order, Callable[[Mapping[str, object]], None]], None]


class UpdateTopics:
    """Subscribes and publishes for the updates of one gateway.

    Args:
        control: The connection to use.
        names: First topic level, the gateway's id, its group.
        ring: Told of a doorbell.
        order: Told of an order; None if none are taken.
    """

    def __init__(
        self,
        control: Connection,
        names: tuple[str, str, str],
        ring: Callable[[Doorbell], None],
        order: TakeOrder | None,
    ) -> None:
        prefix, gateway, group = names
        self._control = control
        self._base = f"{prefix}/{gateway}/models"
        self._bells = (f"{self._base}/desired", f"{prefix}/group/{group}/models/desired")
        self._ring = ring
        self._order = order

    def open(self) -> None:
        """Listen from now on."""
        for bell in self._bells:
            self._control.subscribe(bell, 1, self._on_desired)
        if self._order is not None:
            self._control.subscribe(f"{self._base}/cmd", 1, self._on_command)

    def close(self) -> None:
        """Listen no longer."""
        for bell in self._bells:
            self._control.unsubscribe(bell, self._on_desired)
        if self._order is not None:
            self._control.unsubscribe(f"{self._base}/cmd", self._on_command)

    def report(self, document: bytes) -> None:
        """Publish the retained report."""
        self._control.publish(f"{self._base}/reported", document, 1, retain=True)

    def tell(self, event: Mapping[str, object]) -> None:
        """Publish one transition; whoever is not there within a day has missed it."""
        properties = PublishProperties(_JSON, expiry_s=_EVENT_EXPIRY_S)
        self._control.publish(f"{self._base}/event", _encode(event), 1, retain=False, properties=properties)

    def _on_desired(self, message: Message) -> None:
        if not message.payload:
            return  # a retained doorbell was taken down
        try:
            said = _read(message.payload)
        except GatewayError as error:
            log.event("update_message_refused", topic=message.topic, error=error)
            return
        request_id = said.get("request_id", "")
        known = isinstance(request_id, str) and len(request_id) <= _MOST_ID
        self._ring(Doorbell(str(request_id) if known else ""))

    def _on_command(self, message: Message) -> None:
        if message.retain or self._order is None:
            return  # an order is given once; a stored one is nobody's wish of now
        try:
            order = read_order(message.payload)
        except GatewayError as error:
            log.event("update_message_refused", topic=message.topic, error=error)
            self._answer(message, {"ok": False, "error": error.message})
            return
        self._order(order, lambda answer: self._answer(message, answer))

    def _answer(self, message: Message, answer: Mapping[str, object]) -> None:
        topic = message.response_topic
        if not topic or not is_valid_topic(topic) or topic.startswith("$"):
            return
        properties = PublishProperties(_JSON, correlation=message.correlation)
        try:
            self._control.publish(topic, _encode(answer), 1, retain=False, properties=properties)
        except ForbiddenTopic as error:
            log.event("update_message_refused", topic=topic, error=error)


def read_order(payload: bytes) -> Order:
    """Read an order: ``{"do": "pause", "model": "classifier"}``.

    Raises:
        Malformed: It is none, or longer than ``MOST_BYTES``.
    """
    said = _read(payload)
    name, model, release = said.get("do"), said.get("model", ""), said.get("release", 0)
    if name not in ORDERS:
        raise Malformed(f"do: {str(name)[:40]!a} is none of {', '.join(ORDERS)}")
    if not isinstance(model, str) or len(model) > _MOST_ID:
        raise Malformed("model: needs the name of a model")
    if not isinstance(release, int) or isinstance(release, bool) or release < 0:
        raise Malformed("release: needs a release number")
    return Order(str(name), model, release)


def _read(payload: bytes) -> Mapping[str, object]:
    if len(payload) > MOST_BYTES:
        raise Malformed(f"{len(payload)} bytes, at most {MOST_BYTES} are read")
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {str(error)[:200]}") from error
    if not isinstance(said, dict):
        raise Malformed("needs a JSON object")
    return said


def _encode(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
