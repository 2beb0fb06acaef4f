"""Bytes of a repository from any static web server: GET, and GET with Range.

What a server can do to us is bounded:

1. No redirect is followed, to whatever host.
2. A piece of a blob is taken from ``206`` with exactly the ``Content-Range`` that
   was asked for, in identity encoding and with its length; ``200`` counts only
   where the whole blob was asked for.
3. Each receive has a time limit, all of a request has a deadline, and while we
   wait the bytes must come at a least rate: headers too, which are bounded.
"""

from __future__ import annotations

import io
import ssl
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout, make_headers

from gateway.errors import FetchFailed, FetchRefused
from gateway.updates.release import Blob
from gateway.updates.transport.pace import Pace
from gateway.updates.transport.spans import Run, chunk_bytes, run_bytes, runs

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from urllib3.response import BaseHTTPResponse

MOST_HEAD_BYTES: Final = 64 << 10
# Longest stretch of one request: a server that goes away costs no more than what was on its way.
LONGEST_RUN: Final = 256
_READ_BYTES: Final = 64 << 10
# S3 and its like say 403 for what is not there.
_MISSING: Final = frozenset({403, 404, 410})
_LATER: Final = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What a server may cost in time.

    Attributes:
        connect_s: Longest wait for a connection, and for its TLS.
        read_s: Longest wait for any next byte.
        least_bytes_s: Least rate while we wait.
        window_s: Waiting over which the rate is taken.
    """

    connect_s: float = 10.0
    read_s: float = 20.0
    least_bytes_s: float = 1024.0
    window_s: float = 20.0


class HttpSource:
    """A repository at ``http(s)://``; connections are kept and used again.

    The environment's ``http_proxy``, ``https_proxy`` and ``no_proxy`` count, and
    so do ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``; else the system's authorities.

    Args:
        url: Address under which ``metadata/``, ``targets/`` and ``blobs/`` lie; may hold user and password.
        limits: What the server may cost.

    Raises:
        FetchRefused: It is no such address.
    """

    def __init__(self, url: str, limits: HttpLimits | None = None) -> None:
        parts = _split(url)
        host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else str(parts.hostname)
        place = f"{host}:{parts.port}" if parts.port else host
        self._base = f"{parts.scheme}://{place}{parts.path.rstrip('/')}/"
        self.name = self._base.rstrip("/")
        self._line = _Line(limits or HttpLimits())
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "jetson-gateway"}
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers |= make_headers(basic_auth=login)
        self._manager = _manager(parts, self._line)

    def read(self, path: str, most_bytes: int, deadline_s: float) -> bytes:
        """Return a small file; see ``Source``.

        Raises:
            FetchRefused: It is not there, or is not what a static server sends.
            FetchFailed: The server is not there, or too slow.
        """
        answer = self._get(path, {}, deadline_s)
        try:
            self._check_status(answer, path, 200)
            self._check_plain(answer, path)
            said = answer.headers.get("Content-Length", "0")
            if not _is_number(said) or int(said) > most_bytes:
                raise self._refused(path, f"is longer than {most_bytes} bytes")
            data = bytearray()
            while piece := self._piece(answer, path, min(_READ_BYTES, most_bytes + 1 - len(data))):
                data += piece
                if len(data) > most_bytes:
                    raise self._refused(path, f"is longer than {most_bytes} bytes")
            return bytes(data)
        finally:
            self._let_go(answer)

    def chunks(
        self, blob: Blob, wanted: Sequence[int], deadline_s: float
    ) -> Generator[tuple[int, bytes], None, None]:
        """Yield wanted chunks, unchecked; see ``Source``.

        Raises:
            FetchRefused: It has not got the blob, or does not answer as asked.
            FetchFailed: The server is not there, or too slow.
        """
        for run in runs(wanted, LONGEST_RUN):
            yield from self._run(blob, run, deadline_s)

    def close(self) -> None:
        """Close the connections that were kept."""
        self._manager.clear()

    def _run(self, blob: Blob, run: Run, deadline_s: float) -> Generator[tuple[int, bytes], None, None]:
        path = f"blobs/{blob.sha256}"
        offset, length = run_bytes(blob, run)
        last = offset + length - 1
        answer = self._get(path, {"Range": f"bytes={offset}-{last}"}, deadline_s)
        try:
            self._check_piece(answer, path, (offset, last, blob.size_bytes))
            for index in range(run.first, run.first + run.count):
                yield index, self._exactly(answer, path, chunk_bytes(blob, index))
        finally:
            self._let_go(answer)

    def _check_piece(self, answer: BaseHTTPResponse, path: str, span: tuple[int, int, int]) -> None:
        """Hold the head of an answer to what was asked for."""
        first, last, size = span
        if answer.status == 200 and last - first + 1 == size:
            pass  # all of it was asked for, and a server need not know Range
        else:
            if answer.status == 200:
                raise self._refused(path, "the server ignores Range: it sends the whole blob for a part")
            self._check_status(answer, path, 206)
            said = answer.headers.get("Content-Range", "")
            if said != f"bytes {first}-{last}/{size}":
                what = f"bytes {first}-{last}/{size} was asked for, {said[:80]!a} is sent"
                raise self._refused(path, what)
        self._check_plain(answer, path)
        if answer.headers.get("Content-Length") != str(last - first + 1):
            said = str(answer.headers.get("Content-Length"))
            raise self._refused(path, f"{last - first + 1} bytes were asked for, {said[:40]!a} are announced")

    def _get(self, path: str, more: Mapping[str, str], deadline_s: float) -> BaseHTTPResponse:
        limits = self._line.limits
        self._line.begin(f"{self.name}/{path}", deadline_s)
        left_s = self._line.left_s()
        try:
            return self._manager.request(
                "GET",
                self._base + path,
                headers={**self._headers, **more},
                timeout=Timeout(connect=min(limits.connect_s, left_s), read=min(limits.read_s, left_s)),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except (HTTPError, OSError, ValueError) as error:
            self._raise(path, error)

    def _exactly(self, answer: BaseHTTPResponse, path: str, length: int) -> bytes:
        data = self._piece(answer, path, length)
        if len(data) != length:
            what = f"{self.name}/{path}: the connection ended in the middle"
            raise FetchFailed(what, source=self.name, lost_bytes=len(data))
        return data

    def _piece(self, answer: BaseHTTPResponse, path: str, most_bytes: int) -> bytes:
        try:
            return answer.read(most_bytes)
        except (HTTPError, OSError, ValueError) as error:
            self._raise(path, error)

    def _check_status(self, answer: BaseHTTPResponse, path: str, wanted: int) -> None:
        status = answer.status
        if status == wanted:
            return
        if 300 <= status < 400:
            raise self._refused(path, f"{status}: redirects are not followed; give the final address")
        if status in _MISSING:
            what = f"{self.name}/{path}: {status}: not there"
            raise FetchRefused(what, source=self.name, missing=1, status=status)
        if status >= 500 or status in _LATER:
            what = f"{self.name}/{path}: the server answers {status}"
            raise FetchFailed(what, source=self.name, status=status)
        what = f"{self.name}/{path}: the server answers {status} where {wanted} is wanted"
        raise FetchRefused(what, source=self.name, status=status)

    def _check_plain(self, answer: BaseHTTPResponse, path: str) -> None:
        encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding != "identity":
            raise self._refused(path, f"is sent in encoding {encoding[:40]!a}, which was not asked for")

    def _refused(self, path: str, what: str) -> FetchRefused:
        return FetchRefused(f"{self.name}/{path}: {what}", source=self.name)

    def _raise(self, path: str, error: Exception) -> NoReturn:
        """Say in our words what urllib3 met; everything that it meets may be gone next time."""
        cause: BaseException = error
        while (inner := cause.__cause__ or cause.__context__) is not None:
            cause = inner
        words = str(cause) or type(cause).__name__
        raise FetchFailed(f"{self.name}/{path}: {words[:300]}", source=self.name) from error

    def _let_go(self, answer: BaseHTTPResponse) -> None:
        """Keep the connection if all was read; else the rest would answer the next request."""
        if getattr(answer, "length_remaining", None) == 0:
            answer.release_conn()
        else:
            answer.close()


class _Line:
    """What is on the wire now: the one request, its deadline, its pace and its head."""

    def __init__(self, limits: HttpLimits) -> None:
        self.limits = limits
        self._pace = Pace(limits.least_bytes_s, limits.window_s)
        self._what = ""
        self._deadline_s = 0.0
        self._head_left = 0

    def begin(self, what: str, deadline_s: float) -> None:
        """Take on a request."""
        self._what = what
        self._deadline_s = deadline_s
        self._pace.begin()
        self._head_left = MOST_HEAD_BYTES

    def head_is_over(self) -> None:
        """Count no more: what comes now is content."""
        self._head_left = -1

    def left_s(self) -> float:
        """Return the time that is left.

        Raises:
            FetchFailed: None is.
        """
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise FetchFailed(f"{self._what}: not here by its deadline")
        return left_s

    def receive(self, sock: Any, raw: io.RawIOBase, buffer: WriteableBuffer) -> int:
        """Receive once, within what the request has left.

        Raises:
            FetchFailed: Too slow, or too late.
            FetchRefused: The head has no end.
        """
        before_s = time.monotonic()
        sock.settimeout(min(self.limits.read_s, self.left_s()))
        try:
            count = raw.readinto(buffer) or 0
        except TimeoutError:
            self.left_s()
            raise FetchFailed(f"{self._what}: nothing came for {self.limits.read_s:g} s") from None
        self._pace.took(count, time.monotonic() - before_s)
        if self._pace.too_slow:
            rate = self._pace.rate_bytes_s
            what = f"{rate:.0f} bytes/s over {self.limits.window_s:g} s is too slow"
            raise FetchFailed(f"{self._what}: {what}", rate_bytes_s=rate)
        if self._head_left >= 0:
            self._head_left -= count
            if self._head_left < 0:
                raise FetchRefused(
                    f"{self._what}: the head of the answer is longer than {MOST_HEAD_BYTES} bytes"
                )
        return count


class _Wire(io.RawIOBase):
    """The receiving side of a socket, watched."""

    def __init__(self, line: _Line, sock: Any, raw: io.RawIOBase) -> None:
        self._line = line
        self._sock = sock
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        return self._line.receive(self._sock, self._raw, buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(HTTPResponse):
    """An answer whose every receive is watched.

    Attributes:
        line: Who watches; set where the class is made for one source.
    """

    line: _Line

    def __init__(self, sock: Any, *more: Any, **named: Any) -> None:
        super().__init__(sock, *more, **named)
        self.fp = io.BufferedReader(_Wire(self.line, sock, self.fp.detach()))

    def begin(self) -> None:
        super().begin()
        self.line.head_is_over()


def _manager(parts: SplitResult, line: _Line) -> urllib3.PoolManager:
    """Return urllib3's pools, made of connections that are watched."""

    class Answer(_Answer):
        pass

    Answer.line = line

    class Plain(HTTPConnection):
        response_class = Answer

    class Tls(HTTPSConnection):
        response_class = Answer

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    options: dict[str, Any] = {"num_pools": 1, "maxsize": 1}
    if parts.scheme == "https":
        options["ssl_context"] = _tls()
    proxy = _proxy(parts)
    manager = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
    manager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}
    return manager


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _proxy(parts: SplitResult) -> str | None:
    if proxy_bypass(str(parts.hostname)):
        return None
    return getproxies().get(parts.scheme)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        port, parts = 0, urlsplit("")
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or port == 0
        or parts.query
        or parts.fragment
    ):
        shown = url.rpartition("@")[2] if "@" in url else url
        raise FetchRefused(f"{shown[:200]!a} is no address of a repository: http(s)://HOST[:PORT][/PATH]")
    return parts


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20
