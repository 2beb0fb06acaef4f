"""A static web server for tests that knows Range, and every way to answer wrongly that a test asks for."""

from __future__ import annotations

import contextlib
import gzip
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_ACCEPT_S = 0.05


class Call:
    """One request, and the socket to answer it on.

    Attributes:
        path: What was asked for, without the slash.
        span: First and last byte asked for; None for all.
        headers: Names in lower case.
        body: What lies under the path; None for nothing.
    """

    def __init__(self, sock: socket.socket, head: str, body: bytes | None) -> None:
        first, *lines = head.split("\r\n")
        self.sock = sock
        self.path = first.split(" ")[1].lstrip("/")
        pairs = (line.partition(":") for line in lines if line)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        found = _RANGE.fullmatch(self.headers.get("range", ""))
        self.span = (int(found[1]), int(found[2])) if found else None
        self.body = body

    @property
    def part(self) -> bytes:
        """The bytes that were asked for."""
        assert self.body is not None
        return self.body if self.span is None else self.body[self.span[0] : self.span[1] + 1]

    def say(self, status: str, body: bytes = b"", **headers: str) -> None:
        """Answer; underscores in names become hyphens."""
        named = {"Content_Length": str(len(body)), **headers}
        lines = [
            f"HTTP/1.1 {status}",
            *(f"{name.replace('_', '-')}: {value}" for name, value in named.items()),
        ]
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def serve(self, change: Callable[[bytes], bytes] = bytes) -> None:
        """Answer as a good server does, with the bytes changed."""
        if self.body is None:
            self.say("404 Not Found")
        elif self.span is None:
            self.say("200 OK", change(self.part))
        else:
            first, last = self.span
            last = min(last, len(self.body) - 1)
            self.say(
                "206 Partial Content",
                change(self.part),
                Content_Range=f"bytes {first}-{last}/{len(self.body)}",
            )

    def reset(self) -> None:
        """Cut the wire without a word (RST)."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Fault = Callable[[Call], None]


class StaticServer:
    """Serves a folder on a free port of 127.0.0.1 until it is left.

    Args:
        root: The folder.
        fault: Called instead of the good answer.
        tls: For HTTPS.

    Attributes:
        calls: Every request, in order.
        connections: How many there were.
        sent_bytes: Bytes of content asked of blobs so far.
        stopping: Set when the test is over: faults that wait end by it.
    """

    def __init__(self, root: Path, fault: Fault | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.root = root
        self.fault = fault
        self._tls = tls
        self.calls: list[Call] = []
        self.connections = 0
        self.sent_bytes = 0
        self.stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_ACCEPT_S)
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> StaticServer:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        for sock in tuple(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except TimeoutError:
                continue
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self._open.add(sock)
            self._start(self._converse, sock)

    def _converse(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), self._wrapped(sock) as sock:  # noqa: PLR1704 - the same, wrapped
            while head := self._head(sock):
                call = Call(sock, head, self._body(head.split(" ")[1].lstrip("/")))
                self.calls.append(call)
                if call.body is not None and call.path.startswith("blobs/"):
                    self.sent_bytes += len(call.part)
                (self.fault or Call.serve)(call)
        self._open.discard(sock)

    def _wrapped(self, sock: socket.socket) -> socket.socket:
        return sock if self._tls is None else self._tls.wrap_socket(sock, server_side=True)

    def _head(self, sock: socket.socket) -> str:
        data = b""
        while b"\r\n\r\n" not in data:
            more = sock.recv(4096)
            if not more:
                return ""
            data += more
        return data.decode("latin-1").removesuffix("\r\n\r\n")

    def _body(self, path: str) -> bytes | None:
        file = self.root / path
        return file.read_bytes() if file.is_file() else None


def gzipped(call: Call) -> None:
    """Answer compressed, though nobody asked for it."""
    packed = gzip.compress(call.part)
    call.say("200 OK", packed, Content_Encoding="gzip")
