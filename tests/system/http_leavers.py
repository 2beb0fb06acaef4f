"""Clients of the HTTP door that ask, and then leave some of what they asked for; the rest of it stays."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded

from tests.system.running import LIMIT_S, Client, Daemon

Array = np.ndarray[Any, Any]
INFER = "/v2/models/motion/infer"
LONG_US = 200_000_000
ANSWER_BYTES = 16
UNTOUCHED = b"\xa5" * ANSWER_BYTES


@dataclass(frozen=True)
class House:
    """Where the doors are.

    Attributes:
        daemon: It runs.
        folder: Of its sockets: ``http`` and ``memory``.
        client: Of its broker.
    """

    daemon: Daemon
    folder: Path
    client: Client


class Leaver(Protocol):
    """A client of one door; a context manager."""

    def __enter__(self) -> Leaver: ...

    def __exit__(self, *exc: object) -> None: ...

    def ask(self, frame: Array, *, goes: bool) -> None:
        """Ask for a window; one that goes is given up by ``leave``."""
        ...

    def leave(self) -> None:
        """Give up what goes."""
        ...

    def answers(self) -> list[bytes]:
        """Return the outputs of what stayed, in the order in which it was asked for."""
        ...


class Base:
    """What every client of this file has: things to end, and what nobody has to look for."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stack.close()

    def leave(self) -> None:
        """Give up nothing: it ends by itself."""


def body_of(frame: Array, **parameters: Any) -> tuple[int, bytes]:
    """Return how long the JSON of a request is, and the request with its tensor in binary."""
    data = frame.tobytes()
    tensor = {"name": "window", "shape": frame.shape, "datatype": "FP32"}
    said = {"timeout": LONG_US, "binary_data_output": True, **parameters}
    head = json.dumps(
        {"inputs": [{**tensor, "parameters": {"binary_data_size": len(data)}}], "parameters": said}
    )
    return len(head), head.encode() + data


class Http1(Base):
    """HTTP/1.1, a connection for each request; who leaves closes it."""

    linger: ClassVar[bytes] = b""
    half_closes: ClassVar[bool] = False

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.going: list[socket.socket] = []
        self.staying: list[socket.socket] = []

    def connect(self) -> socket.socket:
        """Open a connection."""
        host, _, port = self.house.daemon.http.rpartition(":")
        return socket.create_connection((host, int(port)), LIMIT_S)

    def message(self, frame: Array) -> tuple[int | None, bytes]:
        """Return the length of a body's JSON if more follows it, and the body."""
        return body_of(frame)

    def ask(self, frame: Array, *, goes: bool) -> None:
        """Ask over a connection of its own."""
        json_bytes, body = self.message(frame)
        lines = [f"POST {INFER} HTTP/1.1", "host: gateway", f"content-length: {len(body)}"]
        if json_bytes is not None:
            lines.append(f"inference-header-content-length: {json_bytes}")
        sock = self.stack.enter_context(self.connect())
        sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        if self.half_closes:
            sock.shutdown(socket.SHUT_WR)
        (self.going if goes else self.staying).append(sock)

    def leave(self) -> None:
        """Close the connections of what goes."""
        for sock in self.going:
            if self.linger:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, self.linger)
            sock.close()

    def answers(self) -> list[bytes]:
        """Return what came over the connections that stayed."""
        return [self.read(sock) for sock in self.staying]

    def read(self, sock: socket.socket) -> bytes:
        """Return the output in an answer."""
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        body = answer.read()
        assert answer.status == 200, body
        return body[-ANSWER_BYTES:]


class Http1Reset(Http1):
    """HTTP/1.1, by a client that dies: its connections are reset."""

    linger = struct.pack("ii", 1, 0)


class Http1HalfClosed(Http1):
    """HTTP/1.1, by clients that stop to send after their requests; some wait for their answers."""

    half_closes = True


class HttpUnix(Http1):
    """HTTP/1.1 at a socket in the file system."""

    def connect(self) -> socket.socket:
        """Open a connection."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(LIMIT_S)
        sock.connect(str(self.house.folder / "http"))
        return sock


class HttpUnixHalfClosed(HttpUnix):
    """The same at a socket in the file system."""

    half_closes = True


class SystemMemory(Http1):
    """Tensors in ``/dev/shm``, asked for over HTTP/1.1; nothing is written for who left."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.paths: list[Path] = []

    def message(self, frame: Array) -> tuple[int | None, bytes]:
        """Return a request whose tensors lie in a region of its own."""
        name = f"leaver-{os.getpid()}-{len(self.paths)}"
        path = Path("/dev/shm") / name
        path.write_bytes(frame.tobytes() + UNTOUCHED)
        self.stack.callback(path.unlink)
        self.paths.append(path)
        self.post(f"/v2/systemsharedmemory/region/{name}/register", path.stat().st_size, name)
        at = {"shared_memory_region": name, "shared_memory_byte_size": frame.nbytes}
        into = {**at, "shared_memory_byte_size": ANSWER_BYTES, "shared_memory_offset": frame.nbytes}
        tensor = {"name": "window", "shape": frame.shape, "datatype": "FP32", "parameters": at}
        outputs = [{"name": "probabilities", "parameters": into}]
        said = {"inputs": [tensor], "outputs": outputs, "parameters": {"timeout": LONG_US}}
        return None, json.dumps(said).encode()

    def post(self, path: str, size: int, name: str) -> None:
        """Register a region."""
        connection = http.client.HTTPConnection(self.house.daemon.http, timeout=LIMIT_S)
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps({"key": f"/{name}", "byte_size": size}))
            assert connection.getresponse().status == 200

    def answers(self) -> list[bytes]:
        """Return what was written into the regions of what stayed; no other was written to."""
        for sock in self.staying:
            self.read(sock)
        found = [path.read_bytes()[-ANSWER_BYTES:] for path in self.paths]
        assert found.count(UNTOUCHED) == len(self.going)
        return [each for each in found if each != UNTOUCHED]


class Http2(Base):
    """HTTP/2, all on one connection; who leaves resets its streams."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        host, _, port = house.daemon.http.rpartition(":")
        self.sock = self.stack.enter_context(socket.create_connection((host, int(port)), LIMIT_S))
        self.machine = H2Connection(H2Configuration(header_encoding=None))
        self.machine.initiate_connection()
        self.going: list[int] = []
        self.staying: list[int] = []

    def ask(self, frame: Array, *, goes: bool) -> None:
        """Ask on a stream of its own."""
        json_bytes, body = body_of(frame)
        stream = self.machine.get_next_available_stream_id()
        fields = {":method": "POST", ":path": INFER, ":scheme": "http", ":authority": "gateway"}
        self.machine.send_headers(
            stream, [*fields.items(), ("inference-header-content-length", str(json_bytes))]
        )
        self.machine.send_data(stream, body, end_stream=True)
        self.sock.sendall(self.machine.data_to_send())
        (self.going if goes else self.staying).append(stream)

    def leave(self) -> None:
        """Reset the streams of what goes."""
        for stream in self.going:
            self.machine.reset_stream(stream, 8)
        self.sock.sendall(self.machine.data_to_send())

    def answers(self) -> list[bytes]:
        """Return what came on the streams that stayed."""
        bodies, open_streams = dict.fromkeys(self.staying, b""), set(self.staying)
        while open_streams:
            data = self.sock.recv(65_536)
            assert data, "the connection ended"
            for event in self.machine.receive_data(data):
                if isinstance(event, DataReceived):
                    bodies[event.stream_id] += event.data
                elif isinstance(event, StreamEnded):
                    open_streams.discard(event.stream_id)
            self.sock.sendall(self.machine.data_to_send())
        return [bodies[stream][-ANSWER_BYTES:] for stream in self.staying]


class Http2Gone(Http2):
    """HTTP/2, two connections; who leaves closes its own."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.goer = self.stack.enter_context(Http2(house))

    def ask(self, frame: Array, *, goes: bool) -> None:
        """Ask on one of the connections."""
        if goes:
            self.goer.ask(frame, goes=True)
        else:
            super().ask(frame, goes=False)

    def leave(self) -> None:
        """Close one connection."""
        self.goer.sock.close()
