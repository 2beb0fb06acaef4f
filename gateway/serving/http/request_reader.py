"""Reads HTTP/1.1 requests out of bytes, one at a time: httptools parses, what it leaves open is decided here.

The only importer of httptools. No I/O. The parser is strict (line ends, names, values, lengths,
chunks); it is given exactly one head, line or piece at a time, so that nothing behind the end of a
request is looked at before that request is answered, and every buffer here is bounded.
"""

from __future__ import annotations

import contextlib
import re
from enum import Enum
from typing import Final, Protocol

import httptools

from gateway.errors import Malformed, NotSupported, RequestRefused, TooLarge
from gateway.serving.http.field_checks import check_expectation, check_host

_END: Final = b"\r\n\r\n"
_LINE_BYTES: Final = 4096
_MOST_REMEMBERED: Final = 4096
# What cannot become a head whatever follows: a line's end without CR, a zero, TLS, a lower-case method.
_HOPELESS: Final = re.compile(rb"(?<!\r)\n|\0|\A(?:\r\n)*[^A-Z\r]")
# What every method looks like; the parser has a list of them, and says only that another one is not on it.
_METHOD: Final = re.compile(rb"[A-Z][A-Z0-9-]{0,31} /")
# One space between its parts, and HTTP: the parser takes several, and names of other protocols.
_REQUEST_LINE: Final = re.compile(rb"(?:\r\n)*[^ \r\n]+ [^ \r\n]+ HTTP/")
# So many chunks may be small; beyond, the body's chunks hold this much on average.
_SMALL_CHUNKS: Final = 4096
_CHUNK_BYTES: Final = 32
# An offer of another protocol is ignored, as it may be. The parser would take the body for that protocol's.
_OFFER: Final = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_ONCE: Final = frozenset({b"host", b"content-type", b"content-encoding", b"expect", b"authorization"})


class _Place(Enum):
    HEAD = "before the end of a head"
    LENGTH = "within a body of known length"
    REMEMBERED = "within a body of known length, which the parser does not see"
    LINE = "within a line of a chunked body"
    CHUNK = "within a chunk"


class Sink(Protocol):
    """What takes a request, in this order: a head, pieces of a body, an end."""

    def head(self, head: RequestHead) -> None:
        """Take the head."""
        ...

    def body(self, piece: bytes) -> None:
        """Take a piece of the body; never empty."""
        ...

    def end(self) -> None:
        """The request is whole."""
        ...


class RequestHead:
    """The head of one request.

    Attributes:
        method: In capitals.
        target: As it came.
        version: ``1.0`` or ``1.1``.
        headers: Lower-case names and values, as they came.
        keeps: The client wants the connection to stay.
        expects: It waits for ``100 Continue`` before it sends the body.
        has_body: A body follows.
    """

    __slots__ = ("expects", "has_body", "headers", "keeps", "method", "target", "version")

    def __init__(self) -> None:
        self.method = ""
        self.target = b""
        self.version = "1.1"
        self.headers: list[tuple[bytes, bytes]] = []
        self.keeps = False
        self.expects = False
        self.has_body = False

    def again(self) -> RequestHead:
        """Return the same head for another request."""
        head = RequestHead()
        head.method, head.target, head.version = self.method, self.target, self.version
        head.headers = self.headers.copy()
        head.keeps, head.expects, head.has_body = self.keeps, self.expects, self.has_body
        return head


class _OfferedError(Exception):
    """The client offers to go over to another protocol."""


class RequestReader:
    """Takes bytes, and hands requests to a sink.

    Args:
        sink: Gets the parts.
        head_bytes: Longest head, and longest trailers.
        most_headers: Most headers of a request.
    """

    def __init__(self, sink: Sink, head_bytes: int, most_headers: int) -> None:
        self._sink = sink
        self._head_bytes = head_bytes
        self._most_headers = most_headers
        self._parser = httptools.HttpRequestParser(self)
        self._place = _Place.HEAD
        self._held = bytearray()
        self._head = RequestHead()
        self._is_headed = False
        self._left = 0
        self._chunks = 0
        self._body_bytes = 0
        self._trailer_bytes = 0
        self._is_last_chunk = False
        # The last head in bytes, what it meant, and its body's length: most clients send it again and again.
        self._last = b""
        self._meant = RequestHead()
        self._length = 0

    @property
    def is_between(self) -> bool:
        """Whether nothing of a next request has arrived."""
        return self._place is _Place.HEAD and not self._held

    def take(self, data: bytes) -> int:
        """Read on, at most up to the end of one request; return how many bytes were taken.

        Raises:
            RequestRefused: It is no request that can be served; nothing more can be read.
        """
        at = 0
        while at < len(data):
            if self._place is _Place.HEAD:
                at = self._take_head(data, at)
            elif self._place is _Place.LINE:
                at = self._take_line(data, at)
            else:
                at = self._take_body(data, at)
            if self._place is _Place.HEAD and not self._held:
                break
        return at

    def _take_head(self, data: bytes, at: int) -> int:
        held = len(self._held)
        if held:
            self._held += data
            whole, at = bytes(self._held), 0
        else:
            whole = data[at:] if at else data
        end = whole.find(_END, max(0, held - 3)) + 4
        if end > self._head_bytes or (end < len(_END) and len(whole) > self._head_bytes):
            raise TooLarge(f"the request's head has more than {self._head_bytes} bytes")
        if end < len(_END):
            if _HOPELESS.search(whole):
                raise Malformed("this is no HTTP request")
            if not held:
                self._held += whole
            return len(data)
        self._held.clear()
        head = whole[:end] if end < len(whole) else whole
        if head == self._last:
            self._take_again()
        elif head != _END:  # empty lines before a request are passed over
            self._last = b""
            self._feed_head(head)
            self._remember(head)
        # ``whole`` is what was held, and then ``data`` from ``at`` on.
        return at + end - held

    def _remember(self, head: bytes) -> None:
        """Keep a head for the next request, if nothing but its bytes decides what it means."""
        if self._place is _Place.LENGTH:
            self._length = self._left
        elif self._place is _Place.HEAD:
            self._length = 0
        else:
            return
        if len(head) <= _MOST_REMEMBERED and self._head.keeps:
            self._last, self._meant = head, self._head.again()

    def _take_again(self) -> None:
        """Hand on a head that means what the last one did, byte for byte; the parser is spared."""
        self._left = self._length
        if self._left:
            self._place = _Place.REMEMBERED
        self._sink.head(self._meant.again())
        if not self._left:
            self._sink.end()

    def _take_body(self, data: bytes, at: int) -> int:
        end = min(len(data), at + self._left)
        self._left -= end - at
        if self._place is _Place.REMEMBERED:
            self._sink.body(data if not at and end == len(data) else data[at:end])
            if not self._left:
                self._place = _Place.HEAD
                self._sink.end()
            return end
        # With ``Content-Length`` the parser itself ends the request, and the place with it.
        if self._place is _Place.CHUNK and not self._left:
            self._place = _Place.LINE
        self._feed(data if not at and end == len(data) else data[at:end])
        return end

    def _take_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at) + 1
        self._held += data[at : end or len(data)]
        if len(self._held) > _LINE_BYTES:
            raise TooLarge(f"a line of the chunked body has more than {_LINE_BYTES} bytes")
        if not end:
            return len(data)
        line = bytes(self._held)
        self._held.clear()
        if self._is_last_chunk:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > self._head_bytes:
                raise TooLarge(f"the request's trailers have more than {self._head_bytes} bytes")
        chunks = self._chunks
        self._feed(line)
        if self._chunks > chunks and not self._is_last_chunk:
            self._begin_chunk(line)
        return end

    def _begin_chunk(self, line: bytes) -> None:
        # The parser has found it sound: digits, and perhaps an extension.
        size = int(line.partition(b";")[0], 16)
        self._is_last_chunk = size == 0
        if size:
            self._left = size + 2
            self._place = _Place.CHUNK
        if self._chunks > _SMALL_CHUNKS + self._body_bytes // _CHUNK_BYTES:
            raise Malformed("the body comes in too many small chunks")

    def _feed_head(self, head: bytes) -> None:
        if not _REQUEST_LINE.match(head):
            raise Malformed("this is no HTTP request: method, target and HTTP/1.1, one space between")
        with contextlib.suppress(_OfferedError):
            self._feed(head)
            return
        # Behind the block, as what the parser raises would be told apart no more within it.
        self._parser = httptools.HttpRequestParser(self)
        self._feed(_OFFER.sub(b"\r\nupgrade-offered:", head))

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            if isinstance(cause, (RequestRefused, _OfferedError)):
                raise cause from None
            raise
        except httptools.HttpParserError as error:
            if isinstance(error, httptools.HttpParserInvalidMethodError) and _METHOD.match(data):
                raise NotSupported("the request's method is not known here") from None
            raise Malformed(f"this is no HTTP request: {error}") from None

    # What httptools calls.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._head = RequestHead()
        self._is_headed = False
        self._chunks = self._body_bytes = self._trailer_bytes = 0
        self._is_last_chunk = False

    def on_url(self, url: bytes) -> None:
        """Take the target."""
        self._head.target += url

    def on_header(self, name: bytes, value: bytes | None) -> None:
        """Take a header; those behind a chunked body mean nothing here."""
        if self._is_headed:
            return
        headers, name = self._head.headers, name.lower()
        if name == b"upgrade":
            raise _OfferedError
        headers.append((name, (value or b"").rstrip(b" \t")))
        if len(headers) > self._most_headers:
            raise TooLarge(f"the request has more than {self._most_headers} headers")

    def on_headers_complete(self) -> None:
        """Check the head as a whole, and hand it on."""
        head, parser = self._head, self._parser
        self._is_headed = True
        head.method = parser.get_method().decode("ascii")
        head.version = parser.get_http_version()
        length, is_chunked = self._framing()
        head.keeps = parser.should_keep_alive()
        head.has_body = is_chunked or length > 0
        if is_chunked:
            self._place = _Place.LINE
        elif length:
            self._place, self._left = _Place.LENGTH, length
        self._sink.head(head)

    def on_chunk_header(self) -> None:
        """Count a chunk."""
        self._chunks += 1

    def on_body(self, piece: bytes) -> None:
        """Hand a piece on."""
        self._body_bytes += len(piece)
        self._sink.body(piece)

    def on_message_complete(self) -> None:
        """Hand the end on."""
        self._place = _Place.HEAD
        self._sink.end()

    def _framing(self) -> tuple[int, bool]:
        """Return the body's length, and whether it comes in chunks instead.

        Raises:
            RequestRefused: The head is one that two servers could understand differently, or is not served.
        """
        head = self._head
        if head.version not in {"1.0", "1.1"}:
            raise Malformed("only HTTP/1.0 and HTTP/1.1 are spoken here, and HTTP/2")
        if head.method == "CONNECT":
            raise NotSupported("this is no proxy")
        length, is_chunked, seen = 0, False, set()
        for name, value in head.headers:
            if name in _ONCE:
                if name in seen:
                    raise Malformed(f"the header {name.decode()} comes twice")
                seen.add(name)
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                is_chunked = _is_chunked(value, head.version)
            elif name == b"expect":
                check_expectation(value)
                head.expects = head.version == "1.1"
            elif name == b"host":
                check_host(value)
        if head.version == "1.1" and b"host" not in seen:
            raise Malformed("the header host is missing")
        return length, is_chunked


def _is_chunked(value: bytes, version: str) -> bool:
    if version == "1.0":
        raise Malformed("HTTP/1.0 knows no transfer-encoding")
    if value.lower() != b"chunked":
        raise NotSupported("the only transfer-encoding is chunked")
    return True
