"""Writes the head of an HTTP/1.1 response, and decides how the end of its body is known. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple

from gateway.errors import GatewayBug
from gateway.serving.http.refusal import phrase

_NO_BODY: Final = frozenset({204, 304})
_OURS: Final = frozenset(
    {b"connection", b"transfer-encoding", b"keep-alive", b"upgrade", b"proxy-connection"}
)
_DECIDING: Final = frozenset({b"content-length", b"connection", b"date"})
_LEAST, _MOST = 200, 599


class Framing(Enum):
    """How a client knows where a body ends."""

    NONE = "there is none"
    LENGTH = "content-length"
    CHUNKED = "chunks"
    CLOSE = "the connection's end"


class Head(NamedTuple):
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
    return next((_length(value) for name, value in headers if name == b"content-length"), None)


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
    is_bare = status in _NO_BODY
    lines, found = _lines(headers, has_length=not is_bare)
    lines.insert(0, b"HTTP/1.1 %d %b" % (status, phrase(status)))
    length = _length(found[b"content-length"]) if b"content-length" in found else None
    closes = closes or found.get(b"connection", b"").lower() == b"close"
    framing = Framing.NONE if method == "HEAD" or is_bare else _framing(length, version)
    closes = closes or framing is Framing.CLOSE
    if framing is Framing.CHUNKED:
        lines.append(b"transfer-encoding: chunked")
    if b"date" not in found:
        lines.append(b"date: " + date)
    if closes:
        lines.append(b"connection: close")
    elif version == "1.0":
        lines.append(b"connection: keep-alive")
    data = b"\r\n".join(lines) + b"\r\n\r\n"
    # A line break within a value would begin another header, or another response.
    breaks = len(lines) + 1
    if data.count(b"\n") != breaks or data.count(b"\r") != breaks or b"\0" in data:
        raise GatewayBug("a response's header holds a line break")
    return Head(data, framing, length or 0, closes)


def _lines(
    headers: Iterable[tuple[bytes, bytes]], *, has_length: bool
) -> tuple[list[bytes], dict[bytes, bytes]]:
    """Return the lines of an application's headers, and the headers by which a head is decided."""
    lines: list[bytes] = []
    found: dict[bytes, bytes] = {}
    for given, value in headers:
        name = given.lower()
        if name in _DECIDING:
            found[name] = value
        if name not in _OURS and (has_length or name != b"content-length"):
            lines.append(name + b": " + value)
    return lines, found


def _framing(length: int | None, version: str) -> Framing:
    if length is not None:
        return Framing.LENGTH
    return Framing.CHUNKED if version == "1.1" else Framing.CLOSE


def _length(value: bytes) -> int:
    if not value.isdigit():
        raise GatewayBug(f"a response's content-length is {value!r}")
    return int(value)
