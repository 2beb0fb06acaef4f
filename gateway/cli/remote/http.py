"""A server of the protocol over HTTP: ``http://``, ``https://``, or ``unix:/PATH`` on this machine."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import quote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NewConnectionError, SSLError

from gateway.cli.remote.bodies import read_answer, read_model, read_object, words_of_error, write_request
from gateway.cli.remote.server import BINARY, RemoteCall, RemoteModel, refusal_of_status
from gateway.errors import DeadlineExceeded, NotReady, RequestRefused, TooLarge
from gateway.serving.call import InferReply

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
MOST_ANSWER_BYTES: Final = 1 << 30
# A server may answer at its own deadline, which is ours.
GRACE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Credentials:
    """How we are known to the server, and it to us.

    Attributes:
        token: Bearer token; empty for none.
        ca_file: CA certificates (PEM) that sign the server's; the system's own when empty.
    """

    token: str = ""
    ca_file: str = ""


class _PathConnection(HTTPConnection):
    """A connection to a socket in the file system."""

    path = ""

    def _new_conn(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout if isinstance(self.timeout, int | float) else None)
            sock.connect(self.path)
        except OSError as error:
            sock.close()
            raise NewConnectionError(self, str(error)) from error
        return sock


class HttpServer:
    """One server; a context manager.

    Args:
        url: Its address, with whatever path stands before ``/v2``.
        timeout_s: Longest wait for an answer.
        credentials: For ``https``, and for doors that ask for a token.

    Raises:
        RequestRefused: The URL is not one, or the CA file cannot be read.
    """

    def __init__(self, url: str, timeout_s: float, credentials: Credentials) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._headers = {"User-Agent": "gateway-infer"}
        if credentials.token:
            self._headers["Authorization"] = f"Bearer {credentials.token}"
        self._pool = _pool(url, credentials)
        self._prefix = "" if url.startswith("unix:") else urlsplit(url).path.rstrip("/")

    def __enter__(self) -> HttpServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()

    @cached_property
    def extensions(self) -> frozenset[str]:
        """Names of the protocol's extensions that the server speaks; none where it does not say."""
        status, _, body = self._ask("GET", "/v2", b"", {})
        if status != 200:
            return frozenset()
        said = read_object(body).get("extensions")
        return frozenset(map(str, said)) if isinstance(said, list) else frozenset()

    def model(self, name: str, version: str) -> RemoteModel:
        """Return what a model is; see ``Server``."""
        return read_model(self._expect("GET", _path(name, version), b"", {})[1])

    def infer(self, call: RemoteCall) -> InferReply:
        """Return a model's answer; see ``Server``."""
        body, header_bytes = write_request(call, binary=BINARY in self.extensions)
        headers = {"Content-Type": "application/json" if header_bytes is None else "application/octet-stream"}
        if header_bytes is not None:
            headers[HEADER_LENGTH] = str(header_bytes)
        said, answer = self._expect("POST", f"{_path(call.model, call.version)}/infer", body, headers)
        return read_answer(answer, said.get(HEADER_LENGTH))

    def _expect(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[Mapping[str, str], bytes]:
        status, said, answer = self._ask(method, path, body, headers)
        if status != 200:
            raise refusal_of_status(status, words_of_error(answer))
        return said, answer

    def _ask(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Mapping[str, str], bytes]:
        began_s = time.monotonic()
        try:
            response = self._pool.urlopen(
                method,
                f"{self._prefix}{path}",
                body=body or None,
                headers={**self._headers, **headers},
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=urllib3.Timeout(connect=self._timeout_s, read=self._timeout_s + GRACE_S),
                preload_content=False,
            )
            answer = self._read(response, began_s + self._timeout_s + GRACE_S)
        except (HTTPError, OSError) as error:
            self._failed(error)
        return response.status, response.headers, answer

    def _read(self, response: BaseHTTPResponse, until_s: float) -> bytes:
        """Read an answer; a server that trickles does not hold us longer than one that is silent."""
        parts, size = [], 0
        for part in response.stream(1 << 20, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > MOST_ANSWER_BYTES:
                raise TooLarge(f"{self._url} answers more than {MOST_ANSWER_BYTES} bytes")
            if time.monotonic() > until_s:
                raise DeadlineExceeded(f"{self._url} had not answered all after {self._timeout_s:g} s")
        return b"".join(parts)

    def _failed(self, error: HTTPError | OSError) -> NoReturn:
        shown = self._url[:200]
        if isinstance(error, SSLError):
            raise NotReady(f"no TLS with {shown}: {_reason(error)}; say with --ca who signs its certificate")
        # Old releases count a refused connection among the timeouts.
        late = isinstance(error, urllib3.exceptions.TimeoutError) and not isinstance(
            error, NewConnectionError
        )
        if late:
            raise DeadlineExceeded(f"{shown} did not answer within {self._timeout_s:g} s") from None
        raise NotReady(f"nobody answers at {shown}: {_reason(error)}") from None


def _reason(error: BaseException) -> str:
    """Return the innermost words: the outer ones name objects of libraries."""
    cause: BaseException | None = error
    while cause is not None:
        error, cause = cause, cause.__cause__ or cause.__context__
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _path(model: str, version: str) -> str:
    of_version = f"/versions/{quote(version, safe='')}" if version else ""
    return f"/v2/models/{quote(model, safe='')}{of_version}"


def _pool(url: str, credentials: Credentials) -> HTTPConnectionPool:
    if url.startswith("unix:"):
        path = url.removeprefix("unix:")
        if not path.startswith("/"):
            raise RequestRefused(f"{url[:200]!r}: a socket's path begins with /")
        pool = HTTPConnectionPool("localhost")
        pool.ConnectionCls = type("_Connection", (_PathConnection,), {"path": path})
        return pool
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise RequestRefused(f"{url[:200]!r} is not a URL: {error}") from None
    if not host or parts.scheme not in ("http", "https"):
        raise RequestRefused(
            f"{url[:200]!r} is none of http://HOST:PORT, https://HOST:PORT, grpc://HOST:PORT and unix:/PATH"
        )
    if parts.scheme == "http":
        return HTTPConnectionPool(host, port)
    return _secure(host, port, credentials.ca_file)


def _secure(host: str, port: int | None, ca_file: str) -> HTTPSConnectionPool:
    import ssl

    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise RequestRefused(f"{ca_file}: no CA certificates: {error.strerror or error}") from None
    return HTTPSConnectionPool(host, port, ssl_context=context)
