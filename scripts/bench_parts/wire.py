"""Just enough MQTT 5 for a cheap load generator: frames with an id out, ids of results in."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator

_FRAME_ID = re.compile(rb'"frame":\s*\{"id":\s*"([^"]+)"')

_QUEUE = re.compile(rb'"queue":\s*([0-9.]+)')
_WAIT = re.compile(rb'"wait":\s*([0-9.]+)')


def _length(count: int) -> bytes:
    out = bytearray()
    while True:
        count, digit = count >> 7, count & 0x7F
        out.append(digit | (0x80 if count else 0))
        if not count:
            return bytes(out)


def _text(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def dial(port: int, client_id: str) -> socket.socket:
    """Connect with a clean session and return the socket."""
    sock = socket.create_connection(("127.0.0.1", port), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    body = _text(b"MQTT") + b"\x05\x02" + struct.pack("!H", 0) + b"\x00" + _text(client_id.encode())
    sock.sendall(b"\x10" + _length(len(body)) + body)
    kind, body = read_packet(sock)
    if kind >> 4 != 2 or body[1]:
        raise ConnectionError(f"the broker refused: {body!r}")
    return sock


def subscribe(sock: socket.socket, filter: str) -> None:
    """Subscribe with QoS 0 and wait for the answer."""
    body = struct.pack("!H", 1) + b"\x00" + _text(filter.encode()) + b"\x00"
    sock.sendall(b"\x82" + _length(len(body)) + body)
    kind, _ = read_packet(sock)
    if kind >> 4 != 9:
        raise ConnectionError("no SUBACK")


def publish_packet(
    topic: str, payload: bytes, *, frame_id: str = "", content_type: str = "", retain: bool = False
) -> bytes:
    """Return a QoS 0 PUBLISH."""
    properties = b""
    if content_type:
        properties += b"\x03" + _text(content_type.encode())
    if frame_id:
        properties += b"\x26" + _text(b"id") + _text(frame_id.encode())
    head = _text(topic.encode()) + _length(len(properties)) + properties
    return bytes([0x30 | retain]) + _length(len(head) + len(payload)) + head + payload


def read_packet(sock: socket.socket) -> tuple[int, bytes]:
    """Read one whole packet from a blocking socket."""
    kind = _exactly(sock, 1)[0]
    count = shift = 0
    while True:
        digit = _exactly(sock, 1)[0]
        count |= (digit & 0x7F) << shift
        shift += 7
        if not digit & 0x80:
            return kind, _exactly(sock, count)


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise ConnectionError("the broker closed the connection")
        data += more
    return data


class Packets:
    """Cuts received bytes into the payloads of PUBLISH packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the body of each PUBLISH that ``data`` completes: topic, properties and payload."""
        self._buffer += data
        while len(self._buffer) >= 2:
            count = shift = 0
            at = 1
            while at < len(self._buffer):
                digit = self._buffer[at]
                count |= (digit & 0x7F) << shift
                shift += 7
                at += 1
                if not digit & 0x80:
                    break
            else:
                return
            if len(self._buffer) < at + count:
                return
            kind, body = self._buffer[0], bytes(self._buffer[at : at + count])
            del self._buffer[: at + count]
            if kind >> 4 == 3:
                yield body


def ages_of(body: bytes) -> tuple[float, float]:
    """Return how old a result's frame was when a lane took it and when it began to run, in milliseconds."""
    queue, wait = _QUEUE.search(body), _WAIT.search(body)
    taken = float(queue.group(1)) if queue else 0.0
    return taken, taken + (float(wait.group(1)) if wait else 0.0)


def frame_id_of(body: bytes) -> str:
    """Return the id of the frame that a result is about; empty if it names none."""
    found = _FRAME_ID.search(body)
    return found.group(1).decode() if found else ""
