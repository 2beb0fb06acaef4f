"""Requests over a real broker: answered once, in time, to where an answer may go, and only while wanted."""

from __future__ import annotations

import asyncio
import json
import struct

import pytest

from gateway.errors import EngineFailed, GatewayBug, LoadFailed, NotReady
from gateway.mqtt.message import Message, PublishProperties
from tests.broker import Broker
from tests.daemon.broker_requests import INFER, REPLIES, Porch, body, porch, until
from tests.mqtt.watch import Watch, connect, settings_for, soon
from tests.proxy import Proxy

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ASK = PublishProperties(response_topic=REPLIES, correlation=b"\0seven")


def ask(
    place: Porch, payload: bytes, properties: PublishProperties = ASK, *, topic: str = INFER, qos: int = 1
) -> None:
    assert place.client.publish(topic, payload, qos, retain=False, properties=properties)


def error_of(message: Message) -> str:
    """Return the label of an answer that is an error, in its body and beside it."""
    said = json.loads(message.payload)
    assert set(said) == {"error", "label", "details"}
    assert said["details"][0]["label"] == said["label"]
    beside = {"retry-after": "1"} if said["label"].startswith("unavailable.") else {}
    assert dict(message.properties) == {"error": said["label"], **beside}
    assert message.content_type == "application/json"
    return str(said["label"])


def sum_of(answer: bytes) -> list[int]:
    """Return the numbers of an answer."""
    numbers: list[int] = json.loads(answer)["outputs"][0]["data"]
    return numbers


@pytest.mark.parametrize("qos", [0, 1])
def test_a_request_is_answered_where_it_says(broker: Broker, qos: int) -> None:
    async def scenario() -> None:
        async with porch(broker.url) as place:
            ask(place, body(1, 2, id="x"), qos=qos)
            await place.answers(1)
            (message,) = place.replies.messages
            assert json.loads(message.payload) == {
                "id": "x",
                "model_name": "adder",
                "model_version": "1",
                "outputs": [{"name": "SUM", "datatype": "INT32", "shape": [2], "data": [2, 3]}],
            }
            assert (message.topic, message.correlation, message.qos) == (REPLIES, b"\0seven", qos)
            assert message.content_type == "application/json"
            assert place.count("answered") == 1
            (call,) = place.adder.calls
            assert (call.model, call.version, call.caller) == ("adder", "", "mqtt:replies/me")

    asyncio.run(scenario())


def test_tensors_go_as_bytes_where_a_property_says_how_long_the_json_is(broker: Broker) -> None:
    async def scenario() -> None:
        async with porch(broker.url) as place:
            tensor = {"name": "IN", "datatype": "INT32", "shape": [2], "parameters": {"binary_data_size": 8}}
            head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
            user = {"inference-header-content-length": str(len(head)), "traceparent": TRACE}
            asked = PublishProperties("application/octet-stream", user, b"b", REPLIES)
            ask(
                place,
                head + struct.pack("<2i", 7, -1),
                asked,
                topic="gw/porch/v2/models/adder/versions/3/infer",
            )
            (answer,) = await place.answers(1)
            (message,) = place.replies.messages
            assert message.content_type == "application/octet-stream"
            length = int(message.properties["inference-header-content-length"])
            assert json.loads(answer[:length])["model_version"] == "3"
            assert struct.unpack("<2i", answer[length:]) == (8, 0)
            trace = place.adder.calls[0].trace
            assert (trace[:36], trace[52:]) == (TRACE[:36], TRACE[52:])
            assert trace[36:52] != TRACE[36:52]
            assert message.properties["traceparent"] == trace

    asyncio.run(scenario())


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_the_json_says_where_the_answer_goes_for_who_has_no_properties(broker: Broker, version: str) -> None:
    async def scenario() -> None:
        async with porch(broker.url, version=version) as place:
            back = {"response_topic": REPLIES, "correlation": "tür 7"}
            ask(place, body(1, parameters=back), PublishProperties())
            ask(place, json.dumps({"parameters": back}).encode(), PublishProperties())
            await place.answers(2)
            good, bad = (
                json.loads(payload)
                for payload in sorted(place.replies.payloads, key=lambda said: b"error" in said)
            )
            assert good["parameters"] == {"correlation": "tür 7"}
            assert good["outputs"][0]["data"] == [2]
            assert (bad["label"], bad["correlation"]) == ("refused.malformed", "tür 7")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("topic", "payload", "properties", "label"),
    [
        (INFER, b"{", ASK, "refused.malformed"),
        (INFER.replace("adder", "nobody"), body(1), ASK, "refused.unknown_model"),
        (INFER, body(1), PublishProperties("image/jpeg", response_topic=REPLIES), "refused.media"),
        (
            INFER,
            body(1),
            PublishProperties("", {"inference-header-content-length": "x"}, response_topic=REPLIES),
            "refused.malformed",
        ),
    ],
)
def test_what_is_wrong_is_said(
    broker: Broker, topic: str, payload: bytes, properties: PublishProperties, label: str
) -> None:
    async def scenario() -> None:
        async with porch(broker.url) as place:
            ask(place, payload, properties, topic=topic)
            await place.answers(1)
            (message,) = place.replies.messages
            assert error_of(message) == label
            assert message.correlation == properties.correlation
            assert place.refused(label) == place.count("refused") == 1

    asyncio.run(scenario())


def test_faults_of_models_and_bugs_are_answers_too(broker: Broker) -> None:
    async def scenario() -> None:
        async with porch(broker.url) as place:
            place.adder.fault = EngineFailed("it raised")
            ask(place, body(1))
            await place.answers(1)
            place.adder.fault = ZeroDivisionError("a bug")
            ask(place, body(2))
            await place.answers(2)
            assert [error_of(message) for message in place.replies.messages] == [
                EngineFailed.label,
                GatewayBug.label,
            ]

    asyncio.run(scenario())


def test_every_stage_of_what_went_wrong_is_said_with_its_facts(broker: Broker) -> None:
    async def scenario() -> None:
        async with porch(broker.url) as place:
            fault = NotReady("model adder does not serve", model="adder")
            fault.__cause__ = LoadFailed("its file is cut", release="7", stage="load")
            place.adder.fault = fault
            ask(place, body(1))
            await place.answers(1)
            assert json.loads(place.replies.payloads[0]) == {
                "error": "model adder does not serve",
                "label": "unavailable.not_ready",
                "details": [
                    {
                        "label": "unavailable.not_ready",
                        "error": "model adder does not serve",
                        "model": "adder",
                    },
                    {"label": "engine.load", "error": "its file is cut", "release": "7", "stage": "load"},
                ],
            }

    asyncio.run(scenario())


def test_an_error_whose_words_the_broker_would_not_take_is_told_by_its_label() -> None:
    async def scenario(broker: Broker) -> None:
        async with porch(broker.url) as place:
            place.adder.fault = EngineFailed("x" * 1000)
            ask(place, body(1))
            await place.answers(1)
            assert json.loads(place.replies.payloads[0]) == {
                "error": EngineFailed.label,
                "label": EngineFailed.label,
                "details": [],
            }

    with Broker("max_packet_size 1000") as broker:
        asyncio.run(scenario(broker))


@pytest.mark.parametrize(
    "topic",
    ["", "gw/porch/models/cmd", "gw/other/v2/models/adder/infer", "$SYS/x", "cameras/door", "x" * 600],
)
def test_no_answer_goes_to_a_topic_that_means_something_else(broker: Broker, topic: str) -> None:
    async def scenario() -> None:
        async with porch(broker.url) as place:
            spy = Watch()
            async with connect(settings_for(broker.url), spy, "spy") as other:
                other.subscribe("gw/porch/models/#", 1, spy.take)
                other.subscribe("gw/other/#", 1, spy.take)
                other.subscribe("cameras/#", 1, spy.take)
                await other.wait_settled(soon())
                ask(place, body(1), PublishProperties(response_topic=topic, correlation=b"1"))
                ask(place, body(2))
                await place.answers(1)
                assert [call.inputs[0].data for call in place.adder.ran] == [struct.pack("<i", 2)]
                assert place.count("unanswerable") == place.refused("sensor.topic") == 1
                other.publish("gw/other/end", b"", 1)
                await spy.until(lambda: bool(spy.messages))
                assert [message.topic for message in spy.messages] == ["gw/other/end"]

    asyncio.run(scenario())


def test_the_expiry_of_a_message_is_the_deadline_of_its_answer(broker: Broker) -> None:
    async def scenario() -> None:
        async with porch(broker.url) as place:
            place.adder.open.clear()
            ask(place, body(1), PublishProperties(response_topic=REPLIES, expiry_s=1))
            await place.answers(1)
            assert error_of(place.replies.messages[0]) == "deadline.queued"
            (call,) = place.adder.calls
            assert call.deadline_s == call.arrived_s + 1
            place.adder.open.set()
            ask(place, body(2), PublishProperties(response_topic=REPLIES, expiry_s=40))
            await place.answers(2)
            left_s = place.replies.messages[1].expiry_s
            assert left_s is not None
            assert 0 < left_s <= 40

    asyncio.run(scenario())


def test_a_request_may_name_less_time_than_its_message_lives_and_more_than_is_usual(broker: Broker) -> None:
    async def scenario() -> None:
        async with porch(broker.url) as place:
            for expiry_s, timeout_s in (
                (None, None),
                (None, 60),
                (40, None),
                (40, 20),
                (40, 60),
                (900, None),
            ):
                said = {"parameters": {"timeout": timeout_s * 1_000_000}} if timeout_s else {}
                ask(place, body(1, **said), PublishProperties(response_topic=REPLIES, expiry_s=expiry_s))
            await place.answers(6)
            left = [round(call.deadline_s - call.arrived_s) for call in place.adder.calls]
            assert left == [30, 60, 40, 20, 40, 300]

    asyncio.run(scenario())


def test_a_body_without_json_is_the_one_input_of_its_model(broker: Broker) -> None:
    async def scenario() -> None:
        async with porch(broker.url) as place:
            raw = PublishProperties("", {"inference-header-content-length": "0"}, b"", REPLIES)
            ask(place, struct.pack("<3i", 1, 2, 3), raw)
            (answer,) = await place.answers(1)
            length = int(place.replies.messages[0].properties["inference-header-content-length"])
            assert struct.unpack("<3i", answer[length:]) == (2, 3, 4)
            ask(place, b"1", raw)
            await place.answers(2)
            assert error_of(place.replies.messages[1]) == "refused.malformed"

    asyncio.run(scenario())


def test_shared_memory_is_for_programs_of_this_machine(broker: Broker) -> None:
    async def scenario() -> None:
        async with porch(broker.url) as place:
            where = {"shared_memory_region": "frames", "shared_memory_byte_size": 4}
            tensor = {"name": "IN", "datatype": "INT32", "shape": [1], "parameters": where}
            ask(place, json.dumps({"inputs": [tensor]}).encode())
            await place.answers(1)
            assert error_of(place.replies.messages[0]) == "refused.not_supported"

    asyncio.run(scenario())


def test_what_is_too_much_is_told_at_once(broker: Broker) -> None:
    async def scenario() -> None:
        async with porch(broker.url, most=2) as place:
            place.adder.open.clear()
            for number in range(5):
                ask(
                    place, body(number), PublishProperties(response_topic=REPLIES, correlation=b"%d" % number)
                )
            await place.answers(3)
            assert {error_of(message) for message in place.replies.messages} == {"unavailable.overloaded"}
            assert {message.correlation for message in place.replies.messages} == {b"2", b"3", b"4"}
            assert len(place.adder.calls) == 2
            place.adder.open.set()
            await place.answers(5)
            ask(place, body(9))
            await place.answers(6)

    asyncio.run(scenario())


def test_a_copy_of_a_request_is_answered_with_it(broker: Broker) -> None:
    async def scenario() -> None:
        async with porch(broker.url) as place:
            place.adder.open.clear()
            ask(place, body(1))
            ask(place, body(1))
            await until(lambda: place.count("repeated") == 1)
            place.adder.open.set()
            ask(place, body(2))
            await place.answers(2)
            assert len(place.adder.ran) == 2

    asyncio.run(scenario())


def test_a_request_that_was_not_answered_when_the_wire_was_cut_is_answered_once_afterwards(
    broker: Broker,
) -> None:
    async def scenario() -> None:
        async with Proxy(broker.port) as proxy, porch(broker.url, door_url=proxy.url) as place:
            place.adder.open.clear()
            ask(place, body(1))
            ask(place, body(5), qos=0)
            await until(lambda: len(place.adder.calls) == 2)
            proxy.cut()
            await until(lambda: place.adder.cancelled == 2)
            assert place.count("cancelled") == 2
            place.adder.open.set()
            (answer,) = await place.answers(1)
            assert sum_of(answer) == [2]
            assert len(place.adder.ran) == 1
            ask(place, body(3))
            assert len(await place.answers(2)) == 2

    asyncio.run(scenario())


def test_the_broker_keeps_requests_for_a_gateway_that_is_away(broker: Broker) -> None:
    async def scenario() -> None:
        async with porch(broker.url) as place:
            place.adder.open.clear()
            ask(place, body(1))
            await until(lambda: len(place.adder.calls) == 1)
            await place.door.close()
            assert place.adder.cancelled == 1
            ask(place, body(2))
            async with porch(broker.url, name="later") as later:
                await place.answers(2)
                assert sorted(sum_of(said)[0] for said in place.replies.payloads) == [2, 3]
                assert later.count("answered") == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("qos", [0, 1])
def test_an_answer_that_the_broker_would_not_take_is_told_as_an_error(qos: int) -> None:
    async def scenario(broker: Broker) -> None:
        async with porch(broker.url) as place:
            place.adder.remark = "x" * 2000
            ask(place, body(1), qos=qos)
            await place.answers(1)
            assert error_of(place.replies.messages[0]) == "unavailable.overloaded"
            assert place.count("answered") == 0

    with Broker("max_packet_size 2000") as broker:
        asyncio.run(scenario(broker))


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_retained_requests_are_nobodys_wish_of_now(broker: Broker, version: str) -> None:
    async def scenario() -> None:
        back = {"response_topic": REPLIES}
        async with connect(settings_for(broker.url)) as early:
            await early.publish_confirmed(INFER, body(1, parameters=back), soon(), retain=True)
        async with porch(broker.url, version=version) as place:
            ask(place, body(2, parameters=back))
            await place.answers(1)
            assert len(place.adder.calls) == 1

    asyncio.run(scenario())
