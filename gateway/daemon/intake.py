"""From an MQTT message to requests: one ``Intake`` per bound stream.

It never decodes a payload. A frame that must not run is dropped here, counted
by reason; every other becomes one request a pipeline. A QoS 1 message is
acknowledged when the last of its requests has ended.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from gateway.daemon.freshness import Freshness
from gateway.daemon.result import FrameIdentity
from gateway.daemon.route import Route
from gateway.errors import DeadlineQueued, GatewayError, Paused, TooLarge
from gateway.frames.declaration import Declaration
from gateway.frames.message_declaration import read_message
from gateway.inference.request import InferRequest, Outcome, RequestState, Ticket
from gateway.mqtt.message import Message
from gateway.operations.metrics import Metrics
from gateway.operations.quantiles import Quantiles
from gateway.sensors.reading import number_of
from gateway.sensors.sensor import Stream

RETAINED = "retained"
DUPLICATE = "duplicate"
_REMEMBERED_IDS = 64
# Of traces that begin here.
_SAMPLED = "01"
_EPOCH = f"{int(time.time()):x}"


class Submit(Protocol):
    """The data plane's way in."""

    def __call__(
        self, request: InferRequest, on_done: Callable[[Ticket, Outcome], None], context: object = None
    ) -> Ticket:
        """Take a request; the callback is called once."""
        ...


class Deliver(Protocol):
    """The way out of results."""

    def __call__(self, intake: Intake, frame: FrameIdentity, route: Route, outcome: Outcome) -> None:
        """Filter and publish the answer of one frame."""
        ...


@dataclass(frozen=True, slots=True)
class IntakePorts:
    """What an intake talks to.

    Attributes:
        submit: Takes requests.
        deliver: Takes answers.
        acknowledge: Acknowledges a QoS 1 message.
        is_ordered: Says whether a pipeline (by model and name) must see frames in order.
        refused: Told of every dropped frame's error, and of its trace id once that is known, for the log.
        metrics: Counts.
        max_payload_bytes: Returns the largest payload taken, as configured now.
        admits: Says whether frames of a priority are taken for a model now.
    """

    submit: Submit
    deliver: Deliver
    acknowledge: Callable[[Message], object]
    is_ordered: Callable[[str, str], bool]
    refused: Callable[[str, str, GatewayError, str], None]
    metrics: Metrics
    max_payload_bytes: Callable[[], int]
    admits: Callable[[str, int], bool]


@dataclass(slots=True)
class _Frame:
    """A frame whose requests are under way."""

    identity: FrameIdentity
    message: Message
    left: int


@dataclass(frozen=True, slots=True)
class _Life:
    """How long a frame is worth anything, and in which trace it is.

    Attributes:
        late_s: Seconds that it came late.
        ttl_s: Seconds that it was given; None if none were.
        trace: Its ``traceparent``; empty for none.
    """

    late_s: float
    ttl_s: float | None
    trace: str


class Intake:
    """Takes the messages of one bound stream.

    Attributes:
        frames: Frames taken so far.
        results: Results given so far.
        drops: Dropped frames by reason.
        latency: Recent times from arrival to answer.
        last_result: The newest result document; None before the first.
        last_result_s: When it was made, monotonic seconds.
    """

    def __init__(self, sensor: str, stream: Stream, routes: Sequence[Route], ports: IntakePorts) -> None:
        self.sensor = sensor
        self.stream = stream
        self.routes = tuple(routes)
        self.frames = 0
        self.results = 0
        self.drops: Counter[str] = Counter()
        self.latency = Quantiles()
        self.last_result: dict[str, object] | None = None
        self.last_result_s = 0.0
        self.last_frame_s = 0.0
        self.arrivals = Quantiles()
        self._ports = ports
        self._key = f"{sensor}/{stream.name}"
        self._declared = stream.declaration.to_json()
        self._received = ports.metrics.frames_received.at(sensor, stream.name)
        self._freshness = Freshness()
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._numbers = itertools.count(1)

    def rebind(self, stream: Stream, routes: Sequence[Route]) -> None:
        """Use another description of the stream or other pipelines from the next frame on."""
        self.stream = stream
        self.routes = tuple(routes)
        self._declared = stream.declaration.to_json()

    def take(self, message: Message) -> None:
        """Take one message; never raises for what is wrong with it."""
        self.frames += 1
        self._received.value += 1
        if self.last_frame_s:
            self.arrivals.observe(message.received_s - self.last_frame_s, message.received_s)
        self.last_frame_s = message.received_s
        if message.retain:
            self._drop(RETAINED, message)
            return
        try:
            self._accept(message)
        except GatewayError as error:
            self._ports.metrics.errors.add(1, error.label)
            self._ports.refused(self.sensor, self.stream.name, error, "")
            self._drop(error.label, message)

    def _accept(self, message: Message) -> None:
        size, limit = len(message.payload), self._ports.max_payload_bytes()
        if size > limit:
            raise TooLarge(f"payload of {size} bytes on {message.topic}, at most {limit} are taken")
        stream = self.stream.declaration
        read = read_message(stream, message.content_type, tuple(message.properties.items()))
        facts = read.facts
        if facts.id and self._is_repeated(facts.id):
            self._drop(DUPLICATE, message)
            return
        received_at = time.time()
        captured_at = None if facts.time_ms is None else facts.time_ms / 1e3
        late_s = 0.0
        if captured_at is not None:
            late_s = self._freshness.late_s(captured_at, message.received_s)
        frame = FrameIdentity(
            self.sensor,
            self.stream.name,
            facts.id or f"{_EPOCH}-{next(self._numbers)}",
            facts.seq,
            captured_at,
            received_at,
            facts.traceparent[3:35] or os.urandom(16).hex(),
            message.correlation,
            facts.traceparent[-2:] or _SAMPLED,
        )
        payload = message.payload
        if self.stream.reading is not None:
            payload = number_of(self.stream.reading, payload)
        declared = self._declared if read.declared is stream else read.declared.to_json()
        ttl_s = _least(self.stream.ttl_ms / 1e3 or None, message.expiry_s)
        ttl_s = _least(ttl_s, None if facts.ttl_ms is None else facts.ttl_ms / 1e3)
        life = _Life(late_s, ttl_s, facts.traceparent)
        self._submit(_Frame(frame, message, len(self.routes)), payload, declared, life)

    def _submit(self, frame: _Frame, payload: bytes, declared: str, life: _Life) -> None:
        message, stream = frame.message, self.stream
        for route in self.routes:
            if not self._ports.admits(route.model, route.priority):
                self._count(Paused.label)
                self._done_with(frame)
                continue
            ordered = self._ports.is_ordered(route.model, route.pipeline)
            ttl_s = route.ttl_s if life.ttl_s is None else life.ttl_s
            request = InferRequest(
                route.model,
                route.pipeline,
                self._key,
                payload,
                declared,
                message.received_s,
                message.received_s - life.late_s + ttl_s,
                latest=stream.delivery == "latest" and not ordered,
                ordered=ordered,
                reset_gap_s=route.reset_gap_s,
                trace=life.trace,
            )
            self._ports.submit(request, self._ended, (frame, route))
        if not self.routes and message.qos:
            self._ports.acknowledge(message)

    def _ended(self, ticket: Ticket, outcome: Outcome) -> None:
        frame, route = cast(tuple[_Frame, Route], ticket.context)
        if outcome.state is RequestState.DONE:
            now_s = time.monotonic()
            self.latency.observe(now_s - ticket.request.arrived_s, now_s)
            self._ports.deliver(self, frame.identity, route, outcome)
        else:
            error = outcome.error
            self._count(error.label if error else outcome.cancelled.value if outcome.cancelled else "bug")
            if error is not None and not isinstance(error, DeadlineQueued):
                self._ports.refused(self.sensor, self.stream.name, error, frame.identity.trace_id)
        self._done_with(frame)

    def _done_with(self, frame: _Frame) -> None:
        """Note that one of the frame's requests has ended, or was never made."""
        frame.left -= 1
        if frame.left == 0 and frame.message.qos:
            self._ports.acknowledge(frame.message)

    def _is_repeated(self, frame_id: str) -> bool:
        if frame_id in self._seen:
            return True
        self._seen[frame_id] = None
        if len(self._seen) > _REMEMBERED_IDS:
            self._seen.popitem(last=False)
        return False

    def _drop(self, reason: str, message: Message) -> None:
        self._count(reason)
        if message.qos:
            self._ports.acknowledge(message)

    def _count(self, reason: str) -> None:
        self.drops[reason] += 1
        self._ports.metrics.frames_dropped.add(1, self.sensor, reason)


def _least(left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return left if right is None else right
    return min(left, right)


def carried_message(topic: str, payload: bytes, declaration: Declaration, received_s: float) -> Message:
    """Return a frame that a dialect took out of its own envelope, as a message like any other."""
    known = {"dtype": declaration.dtype, "layout": declaration.layout, "encoding": declaration.encoding}
    properties = {key: value for key, value in known.items() if value}
    return Message(topic, payload, 0, False, received_s, 0, declaration.media, properties)
