"""From a message to requests, with a recorder in place of the data plane."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from gateway.configuration.settings import FilterSettings, PublishSettings
from gateway.daemon.intake import Intake, IntakePorts
from gateway.daemon.result import FrameIdentity
from gateway.daemon.route import Route
from gateway.errors import GatewayError, RunFailed
from gateway.frames.declaration import Declaration
from gateway.inference.request import (
    CancelReason,
    InferRequest,
    OnDone,
    Outcome,
    RequestState,
    Ticket,
)
from gateway.mqtt.message import Message
from gateway.operations.metrics import Metrics
from gateway.sensors.sensor import Stream


def _route(pipeline: str, ttl_s: float = 1.0, priority: int = 0) -> Route:
    publish = PublishSettings()
    return Route(pipeline, "model", ttl_s, 2.0, f"results/{pipeline}", publish, FilterSettings(), priority)


@dataclass
class Recorder:
    """Stands where data plane, outlet and connection stand; answers when told to."""

    ordered: bool = False
    least_priority: int = 0
    asked: list[tuple[InferRequest, OnDone, object]] = field(default_factory=list)
    delivered: list[tuple[FrameIdentity, str]] = field(default_factory=list)
    acknowledged: list[Message] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)

    def submit(self, request: InferRequest, on_done: OnDone, context: object = None) -> Ticket:
        self.asked.append((request, on_done, context))
        return Ticket(len(self.asked), request, on_done, context=context)

    def deliver(self, intake: Intake, frame: FrameIdentity, route: Route, outcome: Outcome) -> None:
        self.delivered.append((frame, route.pipeline))

    def refused(self, sensor: str, stream: str, error: GatewayError, trace_id: str) -> None:
        self.errors.append(error.label)
        self.traces.append(trace_id)

    def answer(self, number: int, outcome: Outcome) -> None:
        request, on_done, context = self.asked[number]
        on_done(Ticket(number, request, on_done, context=context), outcome)

    def intake(self, *routes: Route, stream: Stream | None = None, limit: int = 1000) -> Intake:
        ports = IntakePorts(
            submit=self.submit,
            deliver=self.deliver,
            acknowledge=self.acknowledged.append,
            is_ordered=lambda _model, _pipeline: self.ordered,
            refused=self.refused,
            metrics=Metrics(),
            max_payload_bytes=lambda: limit,
            admits=lambda _model, priority: priority >= self.least_priority,
        )
        stream = stream or Stream("frame", "cam/frame", Declaration(media="image/jpeg"))
        return Intake("cam", stream, routes or (_route("p"),), ports)


def _message(
    payload: bytes = b"x", *, qos: int = 0, retain: bool = False, expiry_s: int | None = None, **said: str
) -> Message:
    return Message(
        "cam/frame",
        payload,
        qos,
        retain,
        time.monotonic(),
        1,
        said.pop("content_type", ""),
        said,
        expiry_s=expiry_s,
    )


DONE = Outcome(RequestState.DONE, {"kind": "value"})


def test_every_pipeline_gets_its_request_and_the_message_is_acknowledged_after_the_last() -> None:
    recorder = Recorder()
    intake = recorder.intake(_route("p"), _route("q"))
    message = _message(qos=1)

    intake.take(message)
    recorder.answer(0, DONE)
    assert recorder.acknowledged == []
    recorder.answer(1, Outcome(RequestState.FAILED, error=RunFailed("no")))

    assert [request.pipeline for request, _, _ in recorder.asked] == ["p", "q"]
    assert recorder.acknowledged == [message]
    assert [pipeline for _, pipeline in recorder.delivered] == ["p"]
    assert intake.drops == {"engine.run": 1}


def test_a_dropped_message_is_acknowledged_at_once() -> None:
    recorder = Recorder()
    intake = recorder.intake(limit=10)

    for message in (
        _message(bytes(11), qos=1),
        _message(qos=1, retain=True),
        _message(qos=1, seq="minus one"),
    ):
        intake.take(message)

    assert len(recorder.acknowledged) == 3
    assert recorder.asked == []
    assert intake.drops == {"refused.too_large": 1, "retained": 1, "refused.malformed": 1}
    assert recorder.errors == ["refused.too_large", "refused.malformed"]


def test_the_shortest_life_that_stream_and_message_give_is_the_deadline() -> None:
    recorder = Recorder()
    stream = Stream("frame", "cam/frame", ttl_ms=700)
    intake = recorder.intake(_route("p", 60.0), stream=stream)

    for message in (_message(), _message(ttl_ms="300"), _message(ttl_ms="5000")):
        intake.take(message)
    intake.take(_message(expiry_s=0))

    lives = [round(request.deadline_s - request.arrived_s, 3) for request, _, _ in recorder.asked]
    assert lives == [0.7, 0.3, 0.7, 0.0]


def test_a_frame_that_waited_on_its_way_is_older_than_its_arrival() -> None:
    recorder = Recorder()
    intake = recorder.intake(_route("p", 10.0))
    now_ms = time.time() * 1e3

    intake.take(_message(ts=str(int(now_ms))))
    intake.take(_message(ts=str(int(now_ms - 4000))))

    took_s = time.time() - now_ms / 1e3  # that old they have become meanwhile
    first, second = (request.deadline_s - request.arrived_s for request, _, _ in recorder.asked)
    assert 10.0 - took_s - 0.1 < first < 10.1
    assert 6.0 - took_s - 0.1 < second < 6.1


def test_frames_of_ordered_pipelines_never_replace_each_other() -> None:
    for ordered in (False, True):
        recorder = Recorder(ordered=ordered)
        recorder.intake().take(_message())
        request = recorder.asked[0][0]
        assert (request.latest, request.ordered) == (not ordered, ordered)


def test_what_a_message_says_wins_over_its_stream_for_that_message_only() -> None:
    recorder = Recorder()
    intake = recorder.intake()

    intake.take(_message(content_type="image/png"))
    intake.take(_message())

    declared = [Declaration.from_json(request.declared).media for request, _, _ in recorder.asked]
    assert declared == ["image/png", "image/jpeg"]


def test_a_trace_is_carried_on_and_a_frame_without_one_gets_one() -> None:
    recorder = Recorder()
    intake = recorder.intake()
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"

    intake.take(_message(traceparent=f"00-{trace_id}-00f067aa0ba902b7-01"))
    intake.take(_message(traceparent="nonsense"))
    for number in range(2):
        recorder.answer(number, DONE)

    first, second = (frame.trace_id for frame, _ in recorder.delivered)
    assert first == trace_id
    assert len(second) == 32
    assert second != first
    assert [request.trace[3:35] for request, _, _ in recorder.asked] == [trace_id, ""]


def test_what_is_logged_of_a_frame_that_failed_names_its_trace_and_a_sampled_flag_is_kept() -> None:
    recorder = Recorder()
    intake = recorder.intake()
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    for flags in ("00", "01"):
        intake.take(_message(traceparent=f"00-{trace_id}-00f067aa0ba902b7-{flags}"))
    intake.take(_message())
    recorder.answer(0, Outcome(RequestState.FAILED, error=RunFailed("no")))
    for number in range(3):
        recorder.answer(number, DONE)
    assert recorder.traces == [trace_id]
    assert [frame.trace_flags for frame, _ in recorder.delivered] == ["00", "01", "01"]


def test_superseded_and_expired_frames_are_counted_by_reason() -> None:
    recorder = Recorder()
    intake = recorder.intake()

    intake.take(_message())
    intake.take(_message())
    recorder.answer(0, Outcome(RequestState.CANCELLED, cancelled=CancelReason.SUPERSEDED))
    recorder.answer(1, DONE)

    assert intake.drops == {"superseded": 1}
    assert (intake.frames, len(recorder.delivered)) == (2, 1)


def test_while_memory_is_short_only_pipelines_of_a_high_priority_take_a_frame() -> None:
    recorder = Recorder(least_priority=5)
    intake = recorder.intake(_route("low"), _route("high", priority=5))

    intake.take(_message(qos=1))

    assert [request.pipeline for request, _, _ in recorder.asked] == ["high"]
    assert intake.drops == {"unavailable.paused": 1}
    assert recorder.acknowledged == []
    recorder.answer(0, DONE)
    assert len(recorder.acknowledged) == 1


def test_a_frame_that_no_pipeline_takes_while_memory_is_short_is_acknowledged() -> None:
    recorder = Recorder(least_priority=5)
    intake = recorder.intake(_route("low"), _route("lower"))

    intake.take(_message(qos=1))

    assert recorder.asked == []
    assert intake.drops == {"unavailable.paused": 2}
    assert len(recorder.acknowledged) == 1
