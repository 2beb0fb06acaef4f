"""From an answer to a published result: filter, document, topic, properties.

This is the place of a durable outbox later: today a result is handed to the
connection, which keeps a bounded number while the broker is away.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Protocol

from gateway.daemon.intake import Intake
from gateway.daemon.result import CONTENT_TYPE, FrameIdentity, document, encode
from gateway.daemon.route import Route
from gateway.frames.filter import PredictionFilter
from gateway.frames.prepared import JsonValue
from gateway.inference.request import Outcome
from gateway.mqtt.message import PublishProperties
from gateway.operations.metrics import Metrics

NOTHING_YET = "nothing-yet"
REFUSED = "outgoing-full"
_MOST_FILTERS = 16_384


class Publish(Protocol):
    """The connection's way out; never waits."""

    def __call__(
        self, topic: str, payload: bytes, qos: int, retain: bool, properties: PublishProperties | None
    ) -> bool:
        """Hand one message over; False if it was refused."""
        ...


class Outlet:
    """Publishes what pipelines say."""

    def __init__(self, gateway: str, publish: Publish, metrics: Metrics) -> None:
        self._gateway = gateway
        self._publish = publish
        self._metrics = metrics
        self._filters: OrderedDict[tuple[str, str, str], tuple[Route, PredictionFilter]] = OrderedDict()

    def deliver(self, intake: Intake, frame: FrameIdentity, route: Route, outcome: Outcome) -> None:
        """Filter, document and publish the DONE outcome of one frame."""
        if outcome.prediction is None or outcome.version is None or outcome.timings is None:
            self._metrics.results_dropped.add(1, route.pipeline, NOTHING_YET)
            return
        judged = self._filter(frame, route).judge(outcome.prediction, time.monotonic())
        intake.results += 1
        self._metrics.results.add(1, frame.sensor, route.pipeline)
        result = document(
            self._gateway,
            frame,
            route.pipeline,
            outcome.version,
            outcome.timings,
            prediction=outcome.prediction if judged.prediction is None else judged.prediction,
        )
        intake.last_result = dict(result)
        intake.last_result_s = time.monotonic()
        if judged.held is not None:
            self._metrics.results_dropped.add(1, route.pipeline, judged.held.value)
            return
        self._send(frame, route, result)

    def _send(self, frame: FrameIdentity, route: Route, result: dict[str, JsonValue]) -> None:
        how, own = route.publish, str(result["id"])
        properties = PublishProperties(
            CONTENT_TYPE,
            {"id": own, "traceparent": f"00-{frame.trace_id}-{own[:16]}-{frame.trace_flags}"},
            frame.correlation,
            "",
            how.expiry_s or None,
        )
        if self._publish(route.topic, encode(result), how.qos, how.retain, properties):
            self._metrics.results_published.add(1, route.pipeline)
        else:
            self._metrics.results_dropped.add(1, route.pipeline, REFUSED)

    def _filter(self, frame: FrameIdentity, route: Route) -> PredictionFilter:
        key = (frame.sensor, frame.stream, route.pipeline)
        held = self._filters.get(key)
        if held is not None and held[0].filter == route.filter:
            return held[1]
        made = PredictionFilter(route.filter)
        self._filters[key] = (route, made)
        if len(self._filters) > _MOST_FILTERS:
            self._filters.popitem(last=False)
        return made
