"""Reads whole messages from a worker's socket, waiting as long as it takes."""

from __future__ import annotations

import socket

from gateway.inference.wire import HEADER, Head, decode


def read_message(channel: socket.socket) -> tuple[Head, bytes] | None:
    """Return the next message, head and tail; None once the front end has closed the socket."""
    lengths = _read_exactly(channel, HEADER.size)
    if lengths is None:
        return None
    head_bytes, tail_bytes = HEADER.unpack(lengths)
    body = _read_exactly(channel, head_bytes + tail_bytes)
    if body is None:
        return None
    head: Head = decode(body[:head_bytes])
    return head, body[head_bytes:]


def _read_exactly(channel: socket.socket, count: int) -> bytes | None:
    data = channel.recv(count, socket.MSG_WAITALL)
    while len(data) < count:
        more = channel.recv(count - len(data))
        if not more:
            return None
        data += more
    return data
