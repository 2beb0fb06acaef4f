"""The bytes of MQTT on the hot path: cutting a stream into packets, reading PUBLISH, writing properties.

Pure. paho builds a table of all properties for each message and copies the
payload up to five times; the functions here do that part of its work, and
paho keeps the rest of the protocol (docs/adr/0006-mqtt-client.md has figures).
Every number from the wire is checked against the bytes that are there.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from gateway.errors import Malformed, TooLarge
from gateway.mqtt.message import NO_PROPERTIES, Message, PublishProperties

PUBLISH = 0x30
PUBACK = 0x40
PINGREQ = 0xC0
PINGRESP = 0xD0

SCRATCH_BYTES = 16_384
# Enough of a refused message to acknowledge it: length, longest topic, packet identifier.
HEAD_BYTES = 2 + 65_535 + 2
MAX_PROPERTY_BYTES = 65_536
MAX_USER_PROPERTIES = 64

_U16 = struct.Struct("!H")
_U32 = struct.Struct("!I")


class Packet(NamedTuple):
    """One packet as cut from the stream.

    Attributes:
        first: First byte: kind in the high four bits, flags in the low four.
        body: Everything behind the length; a view, valid until ``space()`` is called again.
        skipped: Bytes of an oversize PUBLISH that are thrown away, behind ``body``.
    """

    first: int
    body: memoryview
    skipped: int


class Splitter:
    """Cuts received bytes into packets, holding at most one of them.

    1. The reader receives into ``space()``, says how much by ``filled()``, and
       calls ``take()`` until it gives None.
    2. Small packets are views on one scratch buffer; a large one gets a buffer
       of its own size and is received straight into it.
    3. A PUBLISH longer than ``max_bytes`` is never held: its head is given, to
       be acknowledged, and the rest thrown away as it comes.
    """

    __slots__ = (
        "_body",
        "_end",
        "_first",
        "_have",
        "_max_bytes",
        "_scratch",
        "_skip",
        "_skip_after",
        "_start",
    )

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._scratch = memoryview(bytearray(SCRATCH_BYTES))
        self._start = 0
        self._end = 0
        self._first = 0
        self._body: memoryview | None = None
        self._have = 0
        self._skip = 0
        self._skip_after = 0

    def space(self) -> memoryview:
        """Return where the next bytes belong; never empty. Ends the life of earlier views."""
        if self._body is not None:
            return self._body[self._have :]
        if self._start:
            left = self._end - self._start
            self._scratch[:left] = self._scratch[self._start : self._end]
            self._start, self._end = 0, left
        return self._scratch[self._end :]

    def filled(self, count: int) -> None:
        """Note that ``count`` bytes were received into ``space()``."""
        if self._body is not None:
            self._have += count
        else:
            self._end += count

    def take(self) -> Packet | None:
        """Return the next whole packet, or None until more was received.

        Raises:
            Malformed: This is no MQTT; the connection has to be dropped.
        """
        if self._skip:
            count = min(self._skip, self._end - self._start)
            self._skip -= count
            self._start += count
        if self._body is not None:
            return self._finish(self._body)
        start, end, scratch = self._start, self._end, self._scratch
        at, length, shift = start + 1, 0, 0
        while True:
            if at >= end:
                return None
            digit = scratch[at]
            at += 1
            length |= (digit & 127) << shift
            if digit < 128:
                break
            shift += 7
            if shift == 28:
                raise Malformed("a packet's length has more than four bytes")
        # MQTT 5 counts the whole packet, and so does this, on every version.
        total = at - start + length
        if total > self._max_bytes:
            if scratch[start] & 0xF0 != PUBLISH:
                raise Malformed(f"a control packet of {length} bytes")
            return self._begin(at, length, min(length, HEAD_BYTES))
        if at + length <= end:
            self._start = at + length
            return Packet(scratch[start], scratch[at : self._start], 0)
        return None if total <= SCRATCH_BYTES else self._begin(at, length, length)

    def _begin(self, at: int, length: int, keep: int) -> Packet | None:
        """Give a large packet a buffer of its own, for its first ``keep`` bytes."""
        self._first = self._scratch[self._start]
        body = memoryview(bytearray(keep))
        self._have = min(keep, self._end - at)
        body[: self._have] = self._scratch[at : at + self._have]
        self._start = at + self._have
        self._body, self._skip_after = body, length - keep
        return self._finish(body)

    def _finish(self, body: memoryview) -> Packet | None:
        if self._have < len(body):
            return None
        self._body = None
        self._skip = self._skip_after
        return Packet(self._first, body, self._skip_after)


def mid_of(first: int, body: memoryview) -> int:
    """Return the packet identifier of a PUBLISH, as far as it can be told; 0 for none."""
    if not first & 0x06 or len(body) < 2:
        return 0
    at = 2 + _u16(body, 0)
    return _u16(body, at) if at + 2 <= len(body) else 0


def topic_of(body: memoryview) -> str:
    """Return the topic of a PUBLISH for a log line, whatever it holds."""
    if len(body) < 2:
        return ""
    return bytes(body[2 : 2 + min(_u16(body, 0), 256)]).decode("utf-8", "replace")


def parse_publish(first: int, body: memoryview, v5: bool, received_s: float) -> Message:
    """Read a PUBLISH; the message owns copies of all it needs of ``body``.

    Raises:
        Malformed: The bytes are no PUBLISH of that protocol version.
        TooLarge: It has more user properties, or longer ones, than anybody needs.
    """
    size = len(body)
    at = 2 + _u16(body, 0) if size >= 2 else size + 1
    qos = (first >> 1) & 3
    if at + (2 if qos else 0) > size or qos > 1:
        raise Malformed("a PUBLISH shorter than its topic, or of a QoS that was not asked for")
    try:
        topic = str(body[2:at], "utf-8")
    except UnicodeDecodeError:
        raise Malformed("a PUBLISH whose topic is not UTF-8") from None
    if not topic or "\0" in topic or "#" in topic or "+" in topic:
        raise Malformed(f"a PUBLISH to the impossible topic {topic[:256]!r}")
    mid = 0
    if qos:
        mid = _u16(body, at)
        at += 2
        if not mid:
            raise Malformed("a PUBLISH of QoS 1 without a packet identifier")
    retain = first & 1 == 1
    duplicate = first & 8 == 8
    length, at = _varint(body, at) if v5 else (0, at)
    if not length:
        return Message(topic, bytes(body[at:]), qos, retain, received_s, mid, duplicate=duplicate)
    if length > MAX_PROPERTY_BYTES:
        raise TooLarge(f"a PUBLISH with {length} bytes of properties; {MAX_PROPERTY_BYTES} are allowed")
    if at + length > size:
        raise Malformed("a PUBLISH shorter than its properties")
    found = _Properties(bytes(body[at : at + length]))
    return Message(
        topic,
        bytes(body[at + length :]),
        qos,
        retain,
        received_s,
        mid,
        found.content_type,
        found.user or NO_PROPERTIES,
        found.correlation,
        found.response_topic,
        found.expiry_s,
        tuple(found.identifiers),
        duplicate,
    )


def pack_properties(properties: PublishProperties | None) -> bytes:
    """Write the property section of a PUBLISH, length first.

    Raises:
        TooLarge: A name or value has more than 65,535 bytes, or there are too many.
    """
    if properties is None:
        return b"\x00"
    parts: list[bytes] = []
    if properties.expiry_s is not None:
        parts.append(b"\x02" + _U32.pack(min(max(properties.expiry_s, 0), 0xFFFF_FFFF)))
    if properties.content_type:
        parts.append(b"\x03" + _text(properties.content_type))
    if properties.response_topic:
        parts.append(b"\x08" + _text(properties.response_topic))
    if properties.correlation:
        parts.append(b"\x09" + _binary(properties.correlation))
    for name, value in properties.properties.items():
        parts.append(b"\x26" + _text(name) + _text(value))
    packed = b"".join(parts)
    if len(packed) > MAX_PROPERTY_BYTES or len(properties.properties) > MAX_USER_PROPERTIES:
        raise TooLarge(f"{len(packed)} bytes of properties; {MAX_PROPERTY_BYTES} are allowed")
    return _length(len(packed)) + packed


def pack_publish(
    topic: str, payload: bytes, retain: bool, properties: PublishProperties | None, *, v5: bool
) -> bytes:
    """Write a PUBLISH of QoS 0.

    Raises:
        TooLarge: Its properties cannot be said.
    """
    head = _binary(topic.encode())
    if v5:
        head += pack_properties(properties)
    return b"".join((bytes((PUBLISH | retain,)), _length(len(head) + len(payload)), head, payload))


class _Properties:
    """Reads the property section of a PUBLISH (MQTT 5 §2.2.2)."""

    __slots__ = ("content_type", "correlation", "expiry_s", "identifiers", "response_topic", "user")

    def __init__(self, raw: bytes) -> None:
        self.content_type = ""
        self.correlation = b""
        self.response_topic = ""
        self.expiry_s: int | None = None
        self.identifiers: list[int] = []
        self.user: dict[str, str] = {}
        at, size = 0, len(raw)
        try:
            while at < size:
                at = self._read(raw, at)
        except (IndexError, struct.error, UnicodeDecodeError):
            raise Malformed("a PUBLISH whose properties cannot be read") from None
        if at > size:
            raise Malformed("a PUBLISH whose properties are longer than their section")

    def _read(self, raw: bytes, at: int) -> int:
        """Read one property; return where the next begins, past the end if bytes are missing."""
        kind = raw[at]
        at += 1
        if kind == 0x26:
            name, at = _read_text(raw, at)
            value, at = _read_text(raw, at)
            self.user[name] = value
            if len(self.user) > MAX_USER_PROPERTIES:
                raise TooLarge(f"a PUBLISH with more than {MAX_USER_PROPERTIES} user properties")
        elif kind == 0x03:
            self.content_type, at = _read_text(raw, at)
        elif kind == 0x02:
            (self.expiry_s,) = _U32.unpack_from(raw, at)
            at += 4
        elif kind == 0x09:
            end = at + 2 + _U16.unpack_from(raw, at)[0]
            self.correlation, at = raw[at + 2 : end], end
        elif kind == 0x08:
            self.response_topic, at = _read_text(raw, at)
        elif kind == 0x01:  # payload format indicator: a hint that decoding does not need
            at += 1
        elif kind == 0x0B:
            identifier, at = _varint(raw, at)
            self.identifiers.append(identifier)
        elif kind == 0x23:
            raise Malformed("a PUBLISH with a topic alias, which was not allowed")
        else:
            raise Malformed(f"a PUBLISH with the property 0x{kind:02x}")
        return at


def _read_text(raw: bytes, at: int) -> tuple[str, int]:
    end = at + 2 + _U16.unpack_from(raw, at)[0]
    return raw[at + 2 : end].decode("utf-8"), end


def _u16(body: memoryview, at: int) -> int:
    return body[at] << 8 | body[at + 1]


def _varint(body: memoryview | bytes, at: int) -> tuple[int, int]:
    """Read a variable byte integer; return it and where the next field begins."""
    value = shift = 0
    while at < len(body) and shift < 28:
        digit = body[at]
        at += 1
        value |= (digit & 127) << shift
        if digit < 128:
            return value, at
        shift += 7
    raise Malformed("a variable byte integer without an end")


def _length(value: int) -> bytes:
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def _text(text: str) -> bytes:
    try:
        return _binary(text.encode())
    except UnicodeEncodeError:
        raise TooLarge("a property that no UTF-8 says") from None


def _binary(data: bytes) -> bytes:
    if len(data) > 65_535:
        raise TooLarge(f"a property of {len(data)} bytes; 65535 are allowed")
    return _U16.pack(len(data)) + data
