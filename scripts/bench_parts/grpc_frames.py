"""gRPC over HTTP/2 as a load needs it: requests framed before, answers counted, no library between.

A client library of gRPC for Python takes more time for a request than a server does, so on a
shared machine it would measure itself. This one knows frames (RFC 9113, section 4.1) and message
prefixes, and nothing of header compression: its own headers are literals, and an answer's are not
read. That an answer with a message is a good one, and one without is an error, holds for unary
calls (gRPC over HTTP/2: an error at once has trailers only).
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from dataclasses import dataclass
from typing import Final

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS, _PADDED = 1, 1, 4, 8
_FRAME_BYTES: Final = 16_384
_INITIAL_WINDOW: Final = 65_535
_OUR_WINDOW: Final = 2**31 - 1
_RECEIVE_BYTES: Final = 1 << 18
_INITIAL_WINDOW_SIZE: Final = 4  # of SETTINGS


@dataclass(frozen=True)
class Heard:
    """A message, or the end, of a stream.

    Attributes:
        stream: Its number.
        message: The message's bytes; None for the end.
    """

    stream: int
    message: bytes | None


class Wire:
    """One connection of a client. Sends block; reads happen when the socket is readable."""

    def __init__(self, port: int, path: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), 10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = _literals(path, f"127.0.0.1:{port}")
        self._next = 1
        self._got = bytearray()
        self._messages: dict[int, bytearray] = {}
        self._window = self._stream_window = _INITIAL_WINDOW
        self._windows: dict[int, int] = {}
        self._waiting: deque[tuple[int, bytes, bool]] = deque()
        self._taken = 0
        ours = struct.pack("!HI", _INITIAL_WINDOW_SIZE, _OUR_WINDOW)
        grown = struct.pack("!I", _OUR_WINDOW - _INITIAL_WINDOW)
        self.sock.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, ours) + _frame(_WINDOW_UPDATE, 0, 0, grown))

    def call(self) -> tuple[int, bytes]:
        """Return a new stream's number and the frame that begins it."""
        number, self._next = self._next, self._next + 2
        self._windows[number] = self._stream_window
        self._messages[number] = bytearray()
        return number, _frame(_HEADERS, _END_HEADERS, number, self._head)

    def send(self, begin: bytes, stream: int, message: bytes, *, ends: bool) -> None:
        """Send a message, as far as the server lets it; the rest goes when it does."""
        data = b"\0" + struct.pack("!I", len(message)) + message
        if not self._waiting and len(data) <= min(self._window, self._windows[stream], _FRAME_BYTES):
            self._window -= len(data)
            self._windows[stream] -= len(data)
            self.sock.sendall(begin + _frame(_DATA, _END_STREAM if ends else 0, stream, data))
            return
        if begin:
            self.sock.sendall(begin)
        self._waiting.append((stream, data, ends))
        self._flush()

    def receive(self) -> list[Heard]:
        """Read what came.

        Raises:
            ConnectionError: The server ended the connection.
        """
        data = self.sock.recv(_RECEIVE_BYTES)
        if not data:
            raise ConnectionError("the server closed a connection")
        self._got += data
        heard: list[Heard] = []
        at, end = 0, len(self._got)
        while end - at >= 9:
            size = int.from_bytes(self._got[at : at + 3], "big")
            if end - at < 9 + size:
                break
            kind, flags = self._got[at + 3], self._got[at + 4]
            stream = int.from_bytes(self._got[at + 5 : at + 9], "big")
            self._take(kind, flags, stream, bytes(self._got[at + 9 : at + 9 + size]), heard)
            at += 9 + size
        del self._got[:at]
        return heard

    def _take(self, kind: int, flags: int, stream: int, payload: bytes, heard: list[Heard]) -> None:
        if kind == _DATA:
            assert not flags & _PADDED, "the servers measured do not pad"
            self._count(len(payload))
            heard += self._messages_of(stream, payload)
        elif kind == _SETTINGS and not flags & _ACK:
            self._settle(payload)
        elif kind == _PING and not flags & _ACK:
            self.sock.sendall(_frame(_PING, _ACK, 0, payload))
        elif kind == _WINDOW_UPDATE:
            (more,) = struct.unpack("!I", payload)
            if not stream:
                self._window += more
            elif stream in self._windows:
                self._windows[stream] += more
            self._flush()
        elif kind == _GOAWAY:
            raise ConnectionError(f"the server goes away: {payload[8:]!r}")
        if kind == _RST_STREAM or (kind in (_DATA, _HEADERS) and flags & _END_STREAM):
            self._windows.pop(stream, None)
            if self._messages.pop(stream, None) is not None:
                heard.append(Heard(stream, None))

    def _messages_of(self, stream: int, payload: bytes) -> list[Heard]:
        got = self._messages[stream]
        got += payload
        found = []
        while len(got) >= 5 and len(got) - 5 >= (size := int.from_bytes(got[1:5], "big")):
            found.append(Heard(stream, bytes(got[5 : 5 + size])))
            del got[: 5 + size]
        return found

    def _count(self, size: int) -> None:
        """Let the server send as much again once it has sent half of what it may."""
        self._taken += size
        if self._taken > _OUR_WINDOW // 2:
            self.sock.sendall(_frame(_WINDOW_UPDATE, 0, 0, struct.pack("!I", self._taken)))
            self._taken = 0

    def _settle(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            name, value = struct.unpack_from("!HI", payload, at)
            if name == _INITIAL_WINDOW_SIZE:
                more = value - self._stream_window
                self._stream_window = value
                for stream in self._windows:
                    self._windows[stream] += more
        self.sock.sendall(_frame(_SETTINGS, _ACK, 0, b""))
        self._flush()

    def _flush(self) -> None:
        while self._waiting:
            stream, data, ends = self._waiting[0]
            size = min(len(data), self._window, self._windows.get(stream, len(data)), _FRAME_BYTES)
            if size <= 0:
                return
            last = size == len(data)
            if stream in self._windows:  # else it has ended meanwhile
                self._window -= size
                self._windows[stream] -= size
                self.sock.sendall(_frame(_DATA, _END_STREAM if ends and last else 0, stream, data[:size]))
            if last:
                self._waiting.popleft()
            else:
                self._waiting[0] = (stream, data[size:], ends)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _literals(path: str, authority: str) -> bytes:
    """Return request headers that change no table (RFC 7541, sections 6.1 and 6.2.2)."""
    block = b"\x83\x86"  # :method POST, :scheme http, of the static table
    for name, value in ((b"\x04", path), (b"\x01", authority)):  # :path and :authority by their numbers
        block += name + _text(value)
    for name, value in (("content-type", "application/grpc"), ("te", "trailers")):
        block += b"\0" + _text(name) + _text(value)
    return block


def _text(value: str) -> bytes:
    assert len(value) < 127, "longer texts have a longer length"
    return bytes((len(value),)) + value.encode()
