"""Answers requests that come over the broker: ``<prefix>/<id>/v2/models/<model>/infer``.

1. They come on a connection of their own: a slow answer holds back neither frames nor orders. Its
   session outlives the connection, so the broker keeps requests of QoS 1 for a gateway that is away.
2. A request of QoS 1 is acknowledged when its answer is on its way. When the connection breaks, what
   has not run never runs: the broker sends it again afterwards, as long as it is worth anything.
3. No answer goes to a topic that means something else to a gateway or a sensor.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Generic, Protocol, TypeVar

from gateway.configuration.settings import MqttSettings, Settings
from gateway.errors import ForbiddenTopic, GatewayBug, GatewayError, Overloaded
from gateway.mqtt.connection import Connection
from gateway.mqtt.message import Message, PublishProperties
from gateway.mqtt.state import ConnectionEvents, ConnectionOptions, ConnectionState
from gateway.mqtt.subscriptions import RETAINED_NEVER
from gateway.operations.log import log
from gateway.operations.metrics import Metrics
from gateway.operations.tracing import begin_span, current_span, in_span
from gateway.serving.broker.envelope import (
    ReturnAddress,
    answer_properties,
    check_content_type,
    error_answer,
    header_length,
    return_address,
    trace_context,
)
from gateway.serving.broker.ledger import Entry, Ledger, Standing
from gateway.serving.broker.request_topic import Address, RequestTopics
from gateway.serving.call import InferCall, InferReply
from gateway.serving.door_count import DONE
from gateway.serving.model_view import Models
from gateway.serving.request_log import span_ended

REQUESTS = "requests"
_LARGEST_WINDOW = 65_535
_GONE = (ConnectionState.OFFLINE, ConnectionState.REFUSED, ConnectionState.CLOSED)

Asked = TypeVar("Asked")


@dataclass(frozen=True, slots=True)
class RequestFrame:
    """What is known of a request before its body is read.

    Attributes:
        address: Whom it is for.
        arrived_s: When it came, monotonic seconds.
        expires_s: Until when its message lives, monotonic seconds; None for ever.
        caller: Who asks.
    """

    address: Address
    arrived_s: float
    expires_s: float | None
    caller: str


class Codec(Protocol[Asked]):
    """Reads and writes bodies, as the HTTP door does."""

    def read(self, body: bytes, header_bytes: int | None, frame: RequestFrame) -> tuple[InferCall, Asked]:
        """Return the call, and what is to be known of it when its answer is written.

        Raises:
            RequestRefused: The body is wrong.
        """
        ...

    def write(self, reply: InferReply, asked: Asked) -> tuple[bytes, int | None]:
        """Return the answer's body, and how many of its first bytes are JSON; None for all of them."""
        ...


@dataclass(frozen=True, slots=True)
class RequestPorts(Generic[Asked]):
    """What requests go to.

    Attributes:
        models: Answers calls.
        codec: Reads and writes bodies.
        check_topic: Raises ForbiddenTopic for a topic to which no answer may go.
        metrics: Counts.
    """

    models: Models
    codec: Codec[Asked]
    check_topic: Callable[[str], None]
    metrics: Metrics


class MqttRequests(Generic[Asked]):
    """The door for requests over the broker; an asynchronous resource.

    Args:
        settings: Broker, limits, times.
        gateway_id: Name of this gateway.
        ports: What requests go to.

    Raises:
        ConfigError: The broker's URL or a certificate file cannot be used.
    """

    def __init__(self, settings: Settings, gateway_id: str, ports: RequestPorts[Asked]) -> None:
        most = settings.serving.mqtt.max_pending
        self._topics = RequestTopics(settings.mqtt.topic_prefix, gateway_id)
        self._ports = ports
        self._ledger = Ledger(most)
        self._tasks: set[asyncio.Task[None]] = set()
        self._drops = 0
        self._slow_s = settings.serving.slow_request_s
        self._stopped = False
        base = settings.mqtt.client_id or f"gw-{gateway_id}"
        events = ConnectionEvents(self._on_state, self._on_drop, self._on_refused)
        options = ConnectionOptions(f"{base}-{REQUESTS}", clean=False)
        self.connection = Connection(_with_room(settings.mqtt, most), options, events)
        ports.metrics.mqtt_requests_pending.read_from(lambda: [((), len(self._ledger))])

    async def __aenter__(self) -> MqttRequests[Asked]:
        """Begin to connect and to answer; return at once."""
        for filter_ in self._topics.filters:
            self.connection.subscribe(
                filter_, 1, self._take, retain_handling=RETAINED_NEVER, no_local=True, manual=True
            )
        await self.connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Take no more requests, drop those under way, disconnect. Idempotent."""
        self._stopped = True
        await self._drop_all()
        await self.connection.close()

    def _take(self, message: Message) -> None:
        parents, states = trace_context(message)
        if not parents:
            self._enter(message)
            return
        with in_span(begin_span(parents, states)):  # and the task that answers, with it
            self._enter(message)

    def _enter(self, message: Message) -> None:
        if self._stopped:
            return  # not acknowledged: it is there again at the next start
        back = ReturnAddress("")
        try:
            back = self._return_address(message)
        except GatewayError as error:
            log.event("mqtt_request_refused", topic=message.topic, label=error.label, error=error)
            self._count("unanswerable", error)
            self.connection.acknowledge(message)
            return
        standing, entry = self._ledger.enter(message, back)
        match standing:
            case Standing.NEW:
                task = asyncio.get_running_loop().create_task(self._answer(entry), name="mqtt.request")
                self._tasks.add(task)
                task.add_done_callback(partial(self._ended, entry))
            case Standing.FULL:
                self._refuse(entry, Overloaded(f"{len(self._ledger)} requests over the broker wait already"))
            case Standing.ANSWERED:
                self._count("repeated")
                self.connection.acknowledge(message)
            case Standing.JOINED:
                self._count("repeated")

    def _return_address(self, message: Message) -> ReturnAddress:
        """Return where the answer goes.

        Raises:
            RequestRefused: It must be read from the JSON, which cannot be read.
            ForbiddenTopic: It names no topic, or one that no answer may go to.
        """
        back = return_address(message)
        if not back.topic:
            raise ForbiddenTopic("the request names no topic for its answer")
        self._ports.check_topic(back.topic)
        return back

    async def _answer(self, entry: Entry) -> None:
        try:
            await self._infer(entry)
        except GatewayError as error:
            self._refuse(entry, error)
        except Exception as error:  # noqa: BLE001 - one request's supervisor: whoever asked gets an answer
            log.event("task_failed", task="mqtt.request", error=error)
            self._refuse(entry, GatewayBug("the gateway failed on this request"))

    def _ended(self, entry: Entry, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._ledger.dropped(entry)  # cancelled, perhaps before it began
        if task.cancelled():
            self._count("cancelled")

    async def _infer(self, entry: Entry) -> None:
        message, back = entry.message, entry.back
        check_content_type(message)
        frame = RequestFrame(
            self._topics.read(message.topic),
            message.received_s,
            None if message.expiry_s is None else message.received_s + message.expiry_s,
            f"mqtt:{back.topic}",
        )
        call, asked = self._ports.codec.read(message.payload, header_length(message), frame)
        reply = await self._ports.models.infer(call)
        if back.in_json and back.correlation:
            correlation = {"correlation": back.correlation.decode()}
            reply = reply._replace(parameters={**reply.parameters, **correlation})
        body, header_bytes = self._ports.codec.write(reply, asked)
        left_s = None if message.expiry_s is None else call.deadline_s - time.monotonic()
        if self._publish(entry, body, answer_properties(back, header_bytes, left_s)):
            self._count("answered")
            self._done(entry)
        else:
            self._refuse(entry, Overloaded(f"the answer of {len(body)} bytes does not fit the broker"))

    def _refuse(self, entry: Entry, error: GatewayError) -> None:
        """Answer with an error."""
        self._count("refused", error)
        if not self._publish(entry, *error_answer(entry.back, error)):
            self._publish(entry, *error_answer(entry.back, error, 0))  # the label alone may fit the broker
        self._done(entry)

    def _publish(self, entry: Entry, body: bytes, properties: PublishProperties) -> bool:
        """Hand an answer over; tell whether it is on its way."""
        if (span := current_span()) is not None:
            properties = replace(properties, properties={**properties.properties, **dict(span.pairs)})
        drops, qos = self._drops, max(copy.qos for copy in entry.copies)
        taken = self.connection.publish(entry.back.topic, body, qos, retain=False, properties=properties)
        return taken and self._drops == drops

    def _done(self, entry: Entry) -> None:
        self._ledger.answered(entry)
        for message in entry.copies:
            if message.qos:
                self.connection.acknowledge(message)

    def _count(self, outcome: str, error: GatewayError | None = None) -> None:
        self._ports.metrics.mqtt_requests.add(1, outcome)
        if error is not None:
            self._ports.metrics.mqtt_requests_refused.add(1, error.label)
        if (span := current_span()) is not None:
            span_ended(span, "mqtt", "infer", DONE if error is None else error.label, self._slow_s)

    async def _drop_all(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _on_state(self, state: ConnectionState, reason: str) -> None:
        log.event("mqtt_state", connection=REQUESTS, state=state.value, reason=reason)
        if state in _GONE:
            for task in self._tasks:
                task.cancel()

    def _on_drop(self, reason: str, topic: str) -> None:
        self._drops += 1
        self._ports.metrics.mqtt_dropped_messages.add(1, REQUESTS, reason)
        log.event("mqtt_dropped", connection=REQUESTS, reason=reason, topic=topic)

    def _on_refused(self, filter: str, code: int) -> None:
        log.event("mqtt_filter_refused", connection=REQUESTS, filter=filter, code=code)


def _with_room(mqtt: MqttSettings, most: int) -> MqttSettings:
    """Return the settings with a window that holds more than is kept: what is too much can be told so."""
    return replace(mqtt, receive_maximum=min(_LARGEST_WINDOW, 2 * most))
