"""What requests over a real broker say beside their tensors: how urgent they are, and in which trace."""

from __future__ import annotations

import asyncio
import json

from gateway.mqtt.message import PublishProperties
from tests.broker import Broker
from tests.daemon.broker_requests import REPLIES, body, porch, until
from tests.daemon.test_mqtt_requests import TRACE, ask
from tests.serving.said import Lines, lines_said

__all__ = ["lines_said"]


def test_a_priority_says_what_a_request_runs_before_and_one_that_is_no_number_is_refused(
    broker: Broker,
) -> None:
    async def scenario() -> None:
        async with porch(broker.url) as place:
            for value, priority in enumerate((0, 1, 10, 11, -1)):
                ask(place, body(value, parameters={"priority": priority}))
            await place.answers(5)
            assert [call.level for call in place.adder.calls] == [0, 0, 9, 0]
            assert place.refused("refused.malformed") == 1

    asyncio.run(scenario())


def test_a_trace_goes_on_in_answers_and_in_what_is_logged(broker: Broker, said: Lines) -> None:
    async def scenario() -> None:
        async with porch(broker.url) as place:
            for payload, trace in ((body(1), TRACE), (b"{", TRACE), (body(2), "nonsense")):
                user = {"traceparent": trace, "tracestate": "a=1, b=2"}
                ask(place, payload, PublishProperties("", user, b"c", REPLIES))
            # Who is told nothing is not told of the trace either.
            ask(place, body(1), PublishProperties("", {"traceparent": TRACE}))
            await place.answers(3)
            await until(lambda: place.count("unanswerable") == 1)
            by_label = {
                json.loads(each.payload).get("label"): each.properties for each in place.replies.messages
            }
            assert by_label["refused.malformed"]["traceparent"][:36] == TRACE[:36]
            assert by_label["refused.malformed"]["tracestate"] == "a=1, b=2"
            goes_on = [each.properties for each in place.replies.messages if "tracestate" in each.properties]
            assert len(goes_on) == 2
            (begun,) = [each for each in place.replies.messages if each.properties not in goes_on]
            assert begun.properties["traceparent"][3:35] not in TRACE

    asyncio.run(scenario())
    about = [line for line in said() if line.get("trace_id") == TRACE[3:35]]
    assert sorted((line["event"], line["label"]) for line in about) == [
        ("mqtt_request_refused", "sensor.topic"),
        ("request_failed", "refused.malformed"),
        ("request_failed", "sensor.topic"),
    ]
