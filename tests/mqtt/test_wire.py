"""The bytes of MQTT, against paho's own codec and against anything at all."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from paho.mqtt._packet import decode_publish
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.errors import Malformed, TooLarge
from gateway.mqtt.message import Message, PublishProperties
from gateway.mqtt.wire import (
    HEAD_BYTES,
    MAX_USER_PROPERTIES,
    SCRATCH_BYTES,
    Splitter,
    mid_of,
    pack_properties,
    parse_publish,
    topic_of,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), max_size=20)
PROPERTIES = st.builds(
    PublishProperties,
    content_type=TEXT,
    properties=st.dictionaries(TEXT, TEXT, max_size=8),
    correlation=st.binary(max_size=40),
    response_topic=TEXT,
    expiry_s=st.none() | st.integers(0, 0xFFFF_FFFF),
)
TOPICS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+#"), min_size=1, max_size=40)


def length(value: int) -> bytes:
    """Write a variable byte integer."""
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def framed(first: int, body: bytes) -> bytes:
    return bytes([first]) + length(len(body)) + body


def publish_body(
    topic: str, payload: bytes, qos: int = 0, mid: int = 1, properties: bytes | None = None
) -> bytes:
    named = topic.encode()
    return (
        len(named).to_bytes(2, "big")
        + named
        + (mid.to_bytes(2, "big") if qos else b"")
        + (properties or b"")
        + payload
    )


def feed(splitter: Splitter, stream: bytes, cuts: Iterable[int]) -> list[tuple[int, bytes, int]]:
    """Give a stream in pieces of the sizes in ``cuts``, then the rest; return the packets."""
    packets: list[tuple[int, bytes, int]] = []
    sizes = iter(cuts)
    while stream:
        space = splitter.space()
        count = min(len(space), len(stream), max(1, next(sizes, len(stream))))
        space[:count] = stream[:count]
        stream = stream[count:]
        splitter.filled(count)
        while (packet := splitter.take()) is not None:
            packets.append((packet.first, bytes(packet.body), packet.skipped))
    return packets


@given(
    st.lists(
        st.tuples(st.integers(0x10, 0xFF), st.integers(0, 300) | st.sampled_from([16_381, 16_384, 40_000])),
        max_size=8,
    ),
    st.lists(st.integers(1, 20_000), max_size=40),
)
def test_packets_come_out_as_they_went_in_however_the_stream_is_cut(
    shapes: list[tuple[int, int]], cuts: list[int]
) -> None:
    packets = [(first, bytes([index]) * size) for index, (first, size) in enumerate(shapes)]
    stream = b"".join(framed(first, body) for first, body in packets)
    assert feed(Splitter(100_000), stream, cuts) == [(first, body, 0) for first, body in packets]


@given(st.integers(1, 200_000), st.lists(st.integers(1, 30_000), max_size=30), st.integers(100, 80_000))
def test_a_message_over_the_limit_is_skipped_and_the_next_one_read(
    size: int, cuts: list[int], limit: int
) -> None:
    body = publish_body("frames/camera", b"x" * size, qos=1, mid=7)
    after = publish_body("a", b"next")
    large, small = feed(Splitter(limit), framed(0x32, body) + framed(0x30, after), cuts)
    if len(framed(0x32, body)) <= limit:
        assert large == (0x32, body, 0)
    else:
        kept = min(len(body), HEAD_BYTES)
        assert large == (0x32, body[:kept], len(body) - kept)
        assert mid_of(large[0], memoryview(large[1])) == 7
        assert topic_of(memoryview(large[1])) == "frames/camera"
    assert small == (0x30, after, 0)


def test_an_oversize_message_never_holds_its_size_in_memory() -> None:
    splitter = Splitter(1024)
    head = framed(0x30, b"")[:1] + length(200_000_000) + b"\x00\x01a"
    space = splitter.space()
    space[: len(head)] = head
    splitter.filled(len(head))
    assert splitter.take() is None
    assert len(splitter.space()) <= HEAD_BYTES


@given(st.binary(max_size=400), st.lists(st.integers(1, 50), max_size=20), st.integers(2, 200))
@example(b"\x30\xff\xff\xff\xff\x01", [], 100)
@example(b"\x20\xff\xff\xff\x7f", [], 100)
def test_any_bytes_are_cut_or_refused(stream: bytes, cuts: list[int], limit: int) -> None:
    splitter = Splitter(limit)
    try:
        packets = feed(splitter, stream, cuts)
    except Malformed:
        return
    assert sum(len(body) + skipped for _, body, skipped in packets) <= len(stream) + 268_435_455
    assert 0 < len(splitter.space()) <= max(SCRATCH_BYTES, HEAD_BYTES)


@given(TOPICS, st.binary(max_size=200), st.integers(0, 1), st.booleans(), PROPERTIES, st.integers(1, 65_535))
def test_a_message_reads_as_paho_reads_it(
    topic: str, payload: bytes, qos: int, retain: bool, properties: PublishProperties, mid: int
) -> None:
    first = 0x30 | qos << 1 | retain
    body = publish_body(topic, payload, qos, mid, pack_properties(properties))
    message = parse_publish(first, memoryview(body), True, 12.5)
    theirs = decode_publish(first, body, MQTTProtocolVersion.MQTTv5)
    assert (message.topic.encode(), message.payload, message.qos, message.retain) == (
        theirs.topic,
        theirs.payload,
        theirs.qos,
        theirs.retain,
    )
    assert message.mid == theirs.mid
    assert message.received_s == 12.5
    assert message.content_type == getattr(theirs.properties, "ContentType", "")
    assert message.correlation == getattr(theirs.properties, "CorrelationData", b"")
    assert message.response_topic == getattr(theirs.properties, "ResponseTopic", "")
    assert message.expiry_s == getattr(theirs.properties, "MessageExpiryInterval", None)
    assert dict(message.properties) == dict(getattr(theirs.properties, "UserProperty", []))


@given(PROPERTIES)
def test_properties_are_written_as_paho_writes_them(properties: PublishProperties) -> None:
    theirs = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if properties.expiry_s is not None:
        theirs.MessageExpiryInterval = properties.expiry_s
    if properties.content_type:
        theirs.ContentType = properties.content_type
    if properties.response_topic:
        theirs.ResponseTopic = properties.response_topic
    if properties.correlation:
        theirs.CorrelationData = properties.correlation
    if properties.properties:
        theirs.UserProperty = list(properties.properties.items())
    assert pack_properties(properties) == theirs.pack()  # type: ignore[no-untyped-call]


@given(TOPICS, st.binary(max_size=100))
def test_a_message_of_3_1_1_is_topic_and_payload(topic: str, payload: bytes) -> None:
    body = memoryview(publish_body(topic, payload))
    assert parse_publish(0x31, body, False, 1.0) == Message(topic, payload, 0, True, 1.0)


@pytest.mark.parametrize("v5", [False, True])
@pytest.mark.parametrize("section", [b"\x00", b"\x05\x02\x00\x00\x00\x07"])
def test_a_message_that_the_broker_sends_again_says_so(v5: bool, section: bytes) -> None:
    body = memoryview(b"\x00\x01a\x00\x09" + (section if v5 else b"") + b"payload")
    assert parse_publish(0x3A, body, v5, 0.0).duplicate
    assert not parse_publish(0x32, body, v5, 0.0).duplicate


@given(st.integers(0x30, 0x3F), st.binary(max_size=120), st.booleans())
@example(0x30, b"", True)
@example(0x30, b"\x00\x01", True)
@example(0x32, b"\x00\x01a\x00\x00", False)
@example(0x30, b"\x00\x01a\x02\x23\x00", True)
@example(0x30, b"\x00\x01a\xff\xff\xff\xff\x01", True)
def test_any_body_is_a_message_or_a_typed_refusal(first: int, raw: bytes, v5: bool) -> None:
    body = memoryview(raw)
    mid_of(first, body)
    topic_of(body)
    try:
        message = parse_publish(first, body, v5, 0.0)
    except (Malformed, TooLarge):
        return
    assert message.topic
    assert raw.endswith(message.payload)


@given(st.binary(max_size=80))
def test_any_property_section_is_read_or_refused(section: bytes) -> None:
    body = publish_body("a", b"payload", properties=length(len(section)) + section)
    try:
        message = parse_publish(0x30, memoryview(body), True, 0.0)
    except (Malformed, TooLarge):
        return
    assert message.payload == b"payload"


def test_more_user_properties_than_anybody_needs_are_refused_both_ways() -> None:
    named = {f"k{index}": "v" for index in range(MAX_USER_PROPERTIES + 1)}
    with pytest.raises(TooLarge):
        pack_properties(PublishProperties(properties=named))
    section = b"".join(b"\x26\x00\x03" + f"{index:03}".encode() + b"\x00\x00" for index in range(200))
    body = publish_body("a", b"", properties=length(len(section)) + section)
    with pytest.raises(TooLarge):
        parse_publish(0x30, memoryview(body), True, 0.0)


@pytest.mark.parametrize("text", ["x" * 65_536, "\ud800"])
def test_a_property_that_mqtt_cannot_say_is_refused(text: str) -> None:
    with pytest.raises(TooLarge):
        pack_properties(PublishProperties(content_type=text))
