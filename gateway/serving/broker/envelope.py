"""What stands around a request over the broker: where its answer goes, until when, and how to read it. Pure.

1. MQTT 5 says it in properties: Response-Topic, Correlation-Data, Message-Expiry-Interval, content
   type, and the user properties ``inference-header-content-length``, ``traceparent`` and ``tracestate``.
2. Who speaks MQTT 3.1.1 says it in the JSON, as ``response_topic`` and ``correlation`` among the
   request's ``parameters``; the answer then carries ``correlation`` in its JSON too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.errors import GatewayError, Malformed, UnknownMedia
from gateway.mqtt.message import Message, PublishProperties
from gateway.serving.error_words import error_words, fitted_words
from gateway.serving.rest.error_codes import error_headers
from gateway.serving.rest.json_reading import read_object

HEADER_LENGTH = "inference-header-content-length"
TRACE = "traceparent"
TRACE_STATE = "tracestate"
ERROR = "error"
RETRY = "retry-after"
JSON_TYPE = "application/json"
BINARY_TYPE = "application/octet-stream"
MOST_CORRELATION_BYTES = 4096
# Of an error's words, beside what the client's own correlation takes in them.
MOST_ERROR_BYTES = 8192
# As deep as any configuration lets the body itself be.
_DEEPEST = 512
_TAKEN_TYPES = frozenset({"", JSON_TYPE, BINARY_TYPE})


@dataclass(frozen=True, slots=True)
class ReturnAddress:
    """Where an answer goes.

    Attributes:
        topic: Its topic, not checked; empty where the request names none.
        correlation: Given back with the answer.
        in_json: Whether the request said this in its JSON, and reads the answer's there.
    """

    topic: str
    correlation: bytes = b""
    in_json: bool = False


def return_address(message: Message) -> ReturnAddress:
    """Return where the answer of a request goes.

    Raises:
        Malformed: It must be read from the JSON, which cannot be read, or is of the wrong kind there.
        TooLarge: The JSON is too long or nested too deeply for that.
    """
    if message.response_topic:
        return ReturnAddress(message.response_topic, message.correlation)
    if b'"response_topic"' not in message.payload:  # spares most of those without any from being parsed
        return ReturnAddress("", message.correlation)
    parameters = _parameters(message)
    asked = (parameters.get("response_topic"), parameters.get("correlation"))
    topic, correlation = ("" if value is None else value for value in asked)
    if not isinstance(topic, str) or not isinstance(correlation, str):
        raise Malformed("parameters: response_topic and correlation need text")
    try:
        said = correlation.encode()
    except UnicodeEncodeError:
        raise Malformed("parameters: correlation holds half a character") from None
    if len(said) > MOST_CORRELATION_BYTES:
        raise Malformed(
            f"parameters: correlation of {len(said)} bytes; {MOST_CORRELATION_BYTES} are given back"
        )
    return ReturnAddress(topic, said, in_json=True)


def _parameters(message: Message) -> dict[str, object]:
    said = read_object(message.payload[: header_length(message)], _DEEPEST)
    parameters = said.get("parameters")
    if not isinstance(parameters, dict | None):
        raise Malformed("parameters need an object")
    return parameters or {}


def header_length(message: Message) -> int | None:
    """Return how many of the payload's first bytes are JSON; None for all of them.

    Raises:
        Malformed: The property that says it is no number.
    """
    said = _property(message, HEADER_LENGTH)
    if said is None:
        return None
    if not (said.isascii() and said.isdigit() and len(said) <= 10):
        raise Malformed(f"{HEADER_LENGTH}: {said[:40]!r} is no number of bytes")
    return int(said)


def check_content_type(message: Message) -> None:
    """Refuse a request that says that it is something else than the protocol's two forms.

    Raises:
        UnknownMedia: It does.
    """
    kind = message.content_type.partition(";")[0].strip().lower()
    if kind not in _TAKEN_TYPES:
        raise UnknownMedia(
            f"content type {message.content_type[:80]!r}: {JSON_TYPE} and {BINARY_TYPE} are read"
        )


def trace_context(message: Message) -> tuple[list[str], list[str]]:
    """Return what the request says as ``traceparent`` and as ``tracestate``; nothing, or one of each."""
    said = (_property(message, name) for name in (TRACE, TRACE_STATE))
    parents, states = ([] if each is None else [each] for each in said)
    return parents, states


def answer_properties(
    back: ReturnAddress, header_bytes: int | None, left_s: float | None
) -> PublishProperties:
    """Return what goes with an answer of tensors.

    Args:
        back: Where it goes.
        header_bytes: How many of its first bytes are JSON; None for all of them.
        left_s: How long it is worth anything; None for as long as it takes.
    """
    binary = header_bytes is not None
    return PublishProperties(
        BINARY_TYPE if binary else JSON_TYPE,
        {HEADER_LENGTH: str(header_bytes)} if binary else {},
        back.correlation,
        "",
        _whole(left_s),
    )


def error_answer(
    back: ReturnAddress, error: GatewayError, most_bytes: int = MOST_ERROR_BYTES
) -> tuple[bytes, PublishProperties]:
    """Return what says why there are no tensors: what REST says in its body, and headers as properties.

    Args:
        back: Where it goes.
        error: Why; its label is a property too, and so is when to come again.
        most_bytes: Of its words: details that do not fit are left out, and at last the sentence.
    """
    said, given_back = error_words(error), 0
    if back.in_json and back.correlation:
        said["correlation"] = back.correlation.decode()
        given_back = len(back.correlation)
    beside = {ERROR: error.label}
    beside.update((RETRY, value.decode()) for name, value in error_headers(error) if name == RETRY.encode())
    body = fitted_words(said, most_bytes + given_back)
    return body, PublishProperties(JSON_TYPE, beside, back.correlation)


def _whole(left_s: float | None) -> int | None:
    return None if left_s is None else max(1, math.ceil(left_s))


def _property(message: Message, name: str) -> str | None:
    found = message.properties.get(name)
    if found is not None:
        return found
    return next((value for key, value in message.properties.items() if key.lower() == name), None)
