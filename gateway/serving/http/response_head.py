"""Writes the head of an HTTP/1.1 response, and decides how the end of its body is known. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.errors import GatewayBug
from gateway.serving.http.refusal import phrase

_NO_BODY: Final = frozenset({204, 304})
_OURS: Final = frozenset(
    {b"connection", b"transfer-encoding", b"keep-alive", b"upgrade", b"proxy-connection"}
)
_LEAST, _MOST = 200, 599


class Framing(Enum):
    """How a client knows where a body ends."""

    NONE = "there is none"
    LENGTH = "content-length"
    CHUNKED = "chunks"
    CLOSE = "the connection's end"


@dataclass(frozen=True, slots=True)
class Head:
    """A head, ready to be sent.

    Attributes:
        data: Its bytes.
        framing: How the body must be sent.
        length: Bytes of the body, with ``Framing.LENGTH``.
        closes: The connection must end after the response.
    """

    data: bytes
    framing: Framing
    length: int
    closes: bool


def content_length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Return the length that an application's headers name, if they do.

    Raises:
        GatewayBug: It is no number.
    """
    for name, value in headers:
        if name == b"content-length":
            if not value.isdigit():
                raise GatewayBug(f"a response's content-length is {value!r}")
            return int(value)
    return None


def response_head(
    status: int,
    headers: Iterable[tuple[bytes, bytes]],
    date: bytes,
    *,
    wants: tuple[str, str],
    closes: bool,
) -> Head:
    """Write a head.

    Args:
        status: HTTP's code, from 200 on.
        headers: The application's; those that are the connection's are left out.
        date: Value of the ``date`` header.
        wants: Method and HTTP version of the request.
        closes: The connection is to end after the response.

    Raises:
        GatewayBug: The application's status or headers cannot be sent.
    """
    if not _LEAST <= status <= _MOST:
        raise GatewayBug(f"a response's status is {status}")
    method, version = wants
    named = [(name.lower(), value) for name, value in headers]
    kept = [(name, value) for name, value in named if name not in _OURS]
    length = content_length(kept)
    if method == "HEAD" or status in _NO_BODY:
        framing = Framing.NONE
        if status in _NO_BODY:
            kept = [(name, value) for name, value in kept if name != b"content-length"]
    elif length is not None:
        framing = Framing.LENGTH
    elif version == "1.1":
        framing = Framing.CHUNKED
        kept.append((b"transfer-encoding", b"chunked"))
    else:
        framing, closes = Framing.CLOSE, True
    closes = closes or any(n == b"connection" and v.lower() == b"close" for n, v in named)
    if not any(name == b"date" for name, _ in kept):
        kept.append((b"date", date))
    if closes:
        kept.append((b"connection", b"close"))
    elif version == "1.0":
        kept.append((b"connection", b"keep-alive"))
    lines = [b"HTTP/1.1 %d %b" % (status, phrase(status)), *(b"%b: %b" % header for header in kept), b"", b""]
    data = b"\r\n".join(lines)
    # A line break within a value would begin another header, or another response.
    if data.count(b"\n") != len(lines) - 1 or data.count(b"\r") != len(lines) - 1 or b"\0" in data:
        raise GatewayBug("a response's header holds a line break")
    return Head(data, framing, length or 0, closes)
