"""What stands around a request, in properties and in JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import (
    GatewayError,
    Malformed,
    NotReady,
    Overloaded,
    RateLimited,
    TooLarge,
    UnknownMedia,
    WrongShape,
)
from gateway.mqtt.message import Message
from gateway.serving.broker.envelope import (
    MOST_CORRELATION_BYTES,
    MOST_ERROR_BYTES,
    ReturnAddress,
    answer_properties,
    check_content_type,
    error_answer,
    header_length,
    return_address,
    trace_context,
)
from gateway.serving.error_words import error_words

TOPIC = "gw/porch/v2/models/cat/infer"


def request(payload: bytes = b"{}", **more: object) -> Message:
    return Message(TOPIC, payload, 1, False, 100.0, 7, **more)  # type: ignore[arg-type]


def in_json(**parameters: object) -> bytes:
    return json.dumps({"parameters": parameters, "inputs": []}).encode()


def test_properties_say_where_the_answer_goes() -> None:
    message = request(
        in_json(response_topic="other", correlation="x"), response_topic="re/me", correlation=b"\0\xff"
    )
    assert return_address(message) == ReturnAddress("re/me", b"\0\xff")


def test_the_json_says_it_where_properties_do_not() -> None:
    message = request(in_json(response_topic="re/me", correlation="año 7"))
    assert return_address(message) == ReturnAddress("re/me", "año 7".encode(), in_json=True)
    assert return_address(request(in_json(response_topic="re/me"))) == ReturnAddress("re/me", in_json=True)


def test_a_json_header_before_binary_tensors_says_it_too() -> None:
    head = in_json(response_topic="re/me")
    message = request(head + b"\xff\x00", properties={"inference-header-content-length": str(len(head))})
    assert return_address(message).topic == "re/me"


def test_a_request_may_name_no_topic() -> None:
    assert return_address(request(correlation=b"7")) == ReturnAddress("", b"7")
    for null in (in_json(response_topic=None, correlation=None), b'{"parameters":null,"x":"response_topic"}'):
        assert return_address(request(null)).topic == ""


@pytest.mark.parametrize(
    "payload",
    [
        *(b'{"response_topic"', b'["response_topic"]', b'{"parameters": 1, "response_topic": 2}'),
        *(in_json(response_topic=1), in_json(response_topic="a", correlation=1)),
        in_json(response_topic="a", correlation="x" * (MOST_CORRELATION_BYTES + 1)),
        b'{"parameters": {"response_topic": "a", "correlation": "\\ud800"}}',
        b'"response_topic"' + b"[" * 100_000,
        b'{"response_topic": "\xff"}',
    ],
)
def test_what_cannot_be_read_is_refused(payload: bytes) -> None:
    with pytest.raises((Malformed, TooLarge)):
        return_address(request(payload))


@given(st.binary(max_size=60).map(lambda tail: b'{"parameters": {"response_topic"' + tail))
@example(b'{"response_topic": 1e999}')
@example(b'{"parameters": {"response_topic": "\\u0000"}}')
def test_any_payload_gives_an_address_or_a_refusal(payload: bytes) -> None:
    try:
        back = return_address(request(payload))
    except (Malformed, TooLarge):
        return
    assert back.in_json or not back.topic
    assert back.correlation.decode().encode() == back.correlation


@pytest.mark.parametrize("said", ["", "-1", "1.5", "abc", "\u0661", "99999999999", " 7"])
def test_a_header_length_is_a_number(said: str) -> None:
    with pytest.raises(Malformed):
        header_length(request(properties={"inference-header-content-length": said}))


def test_names_of_properties_are_read_in_any_case() -> None:
    said = {"Inference-Header-Content-Length": "42", "Traceparent": "00-aa-bb-01", "TraceState": "a=b"}
    message = request(properties=said)
    assert header_length(message) == 42
    assert trace_context(message) == (["00-aa-bb-01"], ["a=b"])
    assert header_length(request()) is None
    assert trace_context(request()) == ([], [])


@pytest.mark.parametrize(
    "kind", ["", "application/json", "Application/JSON; charset=utf-8", "application/octet-stream"]
)
def test_both_forms_of_the_protocol_are_taken(kind: str) -> None:
    check_content_type(request(content_type=kind))


@pytest.mark.parametrize("kind", ["image/jpeg", "text/plain", "application/json2", "/"])
def test_other_forms_are_not(kind: str) -> None:
    with pytest.raises(UnknownMedia):
        check_content_type(request(content_type=kind))


def test_answers_say_what_they_are() -> None:
    back = ReturnAddress("re/me", b"7")
    words = answer_properties(back, None, None)
    assert (words.content_type, dict(words.properties), words.correlation) == ("application/json", {}, b"7")
    assert words.expiry_s is None
    binary = answer_properties(back, 120, 1.2)
    assert binary.content_type == "application/octet-stream"
    assert dict(binary.properties) == {"inference-header-content-length": "120"}
    assert binary.expiry_s == 2
    assert answer_properties(back, None, -1.0).expiry_s == 1


def test_errors_say_what_is_wrong_in_the_body_and_beside_it() -> None:
    error = WrongShape("too tall \ud800", model="cat", shape="[3]")
    body, properties = error_answer(ReturnAddress("re/me", b"\xff"), error)
    assert json.loads(body) == error_words(error)
    assert json.loads(body)["details"] == [
        {"label": "refused.shape", "error": "too tall ?", "model": "cat", "shape": "[3]"}
    ]
    assert dict(properties.properties) == {"error": "refused.shape"}
    assert properties.correlation == b"\xff"
    body, _ = error_answer(ReturnAddress("re/me", b"7", in_json=True), error)
    assert json.loads(body) == {**error_words(error), "correlation": "7"}


def test_errors_say_when_to_come_again_as_http_does() -> None:
    for error, said in ((RateLimited("slower", retry_after_s=2.5), "3"), (Overloaded("full"), "1")):
        _, properties = error_answer(ReturnAddress("re/me"), error)
        assert dict(properties.properties) == {"error": error.label, "retry-after": said}


@given(st.text(max_size=4000), st.integers(0, 3), st.binary(max_size=20).map(bytes.hex))
def test_errors_are_never_long_and_always_give_the_correlation_back(
    text: str, stages: int, correlation: str
) -> None:
    error: GatewayError = WrongShape(text, model="cat")
    for number in range(stages):
        outer = NotReady(f"{number} {text}")
        outer.__cause__ = error
        error = outer
    back = ReturnAddress("re/me", correlation.encode(), in_json=True)
    for most in (MOST_ERROR_BYTES, 0):
        body, _ = error_answer(back, error, most)
        assert len(body) <= max(most, 200) + len(correlation)
        said = json.loads(body)
        assert said["label"] == error.label
        assert said.get("correlation", "") == correlation
