"""From an answer to a published result."""

from __future__ import annotations

import json

from gateway.configuration.settings import FilterSettings, PublishSettings
from gateway.daemon.intake import Intake, IntakePorts
from gateway.daemon.outlet import Outlet
from gateway.daemon.result import FrameIdentity
from gateway.daemon.route import Route
from gateway.frames.prepared import JsonValue
from gateway.inference.request import Outcome, RequestState, Timings
from gateway.model import ModelVersion
from gateway.mqtt.message import PublishProperties
from gateway.operations.metrics import Metrics
from gateway.sensors.sensor import Stream
from tests.daemon.test_intake import Recorder

FRAME = FrameIdentity("cam", "frame", "f1", 1, None, 1.7e9, "ab" * 16, b"corr", "00")


class Broker:
    """Takes what is published, or refuses it."""

    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.seen: list[tuple[str, dict[str, JsonValue], int, bool, PublishProperties | None]] = []

    def publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, properties: PublishProperties | None
    ) -> bool:
        self.seen.append((topic, json.loads(payload), qos, retain, properties))
        return self.takes


def _intake(metrics: Metrics) -> Intake:
    recorder = Recorder()
    ports = IntakePorts(
        recorder.submit,
        recorder.deliver,
        recorder.acknowledged.append,
        lambda _m, _p: False,
        recorder.refused,
        metrics,
        lambda: 1000,
        lambda _model, _priority: True,
    )
    return Intake("cam", Stream("frame", "cam/frame"), (), ports)


def _route(**filters: object) -> Route:
    publish = PublishSettings(qos=1, retain=True, expiry_s=30)
    return Route("p", "m", 1.0, 2.0, "out/cam", publish, FilterSettings(**filters))  # type: ignore[arg-type]


def _outcome(label: str = "cat", score: float = 0.9) -> Outcome:
    prediction: dict[str, JsonValue] = {
        "kind": "classification",
        "classes": [{"index": 1, "label": label, "score": score}],
    }
    version = ModelVersion("m", "1", "sha256:" + "0" * 64, "e")
    return Outcome(RequestState.DONE, prediction, None, None, Timings(1.0, {"infer": 2.0}, 4.0), version, 1)


def _dropped(metrics: Metrics) -> dict[tuple[str, ...], float]:
    return dict(metrics.results_dropped.values())


def test_a_result_goes_out_as_its_pipeline_says() -> None:
    broker, metrics = Broker(), Metrics()

    Outlet("gw", broker.publish, metrics).deliver(_intake(metrics), FRAME, _route(), _outcome())

    ((topic, result, qos, retain, properties),) = broker.seen
    assert (topic, qos, retain) == ("out/cam", 1, True)
    assert properties is not None
    assert properties.content_type == "application/vnd.gateway.result+json"
    assert (properties.correlation, properties.expiry_s) == (b"corr", 30)
    assert properties.properties["traceparent"].startswith(f"00-{FRAME.trace_id}-")
    assert properties.properties["traceparent"].endswith(f"-{FRAME.trace_flags}")
    assert result["frame"] == {
        "id": "f1",
        "seq": 1,
        "captured_at": None,
        "received_at": "2023-11-14T22:13:20.000Z",
    }
    assert dict(metrics.results_published.values()) == {("p",): 1.0}


def test_what_the_filter_holds_back_is_counted_by_its_reason_and_still_shown() -> None:
    broker, metrics = Broker(), Metrics()
    outlet, intake = Outlet("gw", broker.publish, metrics), _intake(metrics)
    route = _route(on_change=True)

    for label in ("cat", "cat", "dog"):
        outlet.deliver(intake, FRAME, route, _outcome(label))

    assert len(broker.seen) == 2
    assert _dropped(metrics) == {("p", "unchanged"): 1.0}
    assert intake.results == 3


def test_a_result_that_the_connection_refuses_is_counted() -> None:
    broker, metrics = Broker(takes=False), Metrics()

    Outlet("gw", broker.publish, metrics).deliver(_intake(metrics), FRAME, _route(), _outcome())

    assert _dropped(metrics) == {("p", "outgoing-full"): 1.0}


def test_an_answer_with_nothing_to_say_yet_is_not_published() -> None:
    broker, metrics = Broker(), Metrics()
    outcome = _outcome()
    silent = Outcome(outcome.state, None, None, None, outcome.timings, outcome.version, 1)

    Outlet("gw", broker.publish, metrics).deliver(_intake(metrics), FRAME, _route(), silent)

    assert broker.seen == []
    assert _dropped(metrics) == {("p", "nothing-yet"): 1.0}
