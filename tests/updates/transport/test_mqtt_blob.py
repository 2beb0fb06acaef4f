"""Requests for blobs: what is asked is read back, and nothing else makes a responder speak."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt.message import Message
from gateway.updates.transport.mqtt_blob import (
    MOST_PIECE_BYTES,
    PieceRequest,
    answer_topic,
    read_request,
    request_payload,
    request_topic,
)

SHA = "ab" * 32
ANSWER = answer_topic("gw", "me_1")


def asked(
    topic: str = request_topic("gw", SHA),
    payload: bytes = request_payload(0, 1),
    answer: str = ANSWER,
    correlation: bytes = b"c",
) -> Message:
    return Message(topic, payload, 0, False, 0.0, correlation=correlation, response_topic=answer)


@given(st.integers(0, (1 << 53) - 1), st.integers(1, MOST_PIECE_BYTES), st.binary(max_size=64))
def test_what_is_asked_is_read_back(offset: int, length: int, correlation: bytes) -> None:
    message = asked(payload=request_payload(offset, length), correlation=correlation)
    assert read_request("gw", message) == PieceRequest(SHA, offset, length, ANSWER, correlation)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "gw/house/models/cmd",
        "gw/blob/to/",
        "gw/blob/to/a/b",
        "gw/blob/to/+",
        "gw/blob/to/#",
        "gw/blob/to/../x",
        "other/blob/to/me",
        "$SYS/x",
        "gw/blob/to/" + "a" * 65,
        "gw/blob/to/a\n",
    ],
)
def test_a_responder_is_never_made_to_publish_anywhere_else(answer: str) -> None:
    assert read_request("gw", asked(answer=answer)) is None


@pytest.mark.parametrize(
    "topic",
    [
        f"gw/blob/{name}/get"
        for name in ("", "..", "../../etc/passwd", SHA.upper(), SHA[1:], SHA + "0", f"{SHA}/x")
    ]
    + [f"gw/blob/{SHA}", f"gw/blob/{SHA}/put", f"x/blob/{SHA}/get"],
)
def test_only_digests_are_asked_for(topic: str) -> None:
    assert read_request("gw", asked(topic)) is None


@pytest.mark.parametrize(
    "said",
    [
        {"offset": -1, "length": 1},
        {"offset": 0, "length": 0},
        {"offset": 0, "length": MOST_PIECE_BYTES + 1},
        {"offset": 1 << 53, "length": 1},
        {"offset": True, "length": 1},
        {"offset": 0.0, "length": 1},
        {"offset": "0", "length": 1},
        {"offset": 0},
        {"offset": 0, "length": 1, "more": 1},
        [0, 1],
        None,
    ],
)
def test_only_spans_of_a_bounded_length_are_asked_for(said: object) -> None:
    assert read_request("gw", asked(payload=json.dumps(said).encode())) is None


@given(st.binary(max_size=300), st.binary(max_size=80), st.text(max_size=80), st.text(max_size=80))
def test_any_bytes_give_a_request_or_nothing(
    payload: bytes, correlation: bytes, topic: str, answer: str
) -> None:
    for message in (
        asked(payload=payload, correlation=correlation),
        asked(f"gw/blob/{topic}/get", answer=f"gw/blob/to/{answer}"),
        asked(topic, payload, answer, correlation),
    ):
        found = read_request("gw", message)
        assert found is None or found.length <= MOST_PIECE_BYTES


def test_deep_nesting_is_no_request() -> None:
    assert read_request("gw", asked(payload=b"[" * 200)) is None
