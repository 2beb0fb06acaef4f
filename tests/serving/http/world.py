"""A listener on a free port, raw clients for it, and a look at what is left of it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

from gateway.serving.asgi import Application, Receive, Scope, Send
from gateway.serving.http.limits import HttpLimits
from gateway.serving.listener import Listener

LIMIT_S = 60.0
GET = b"GET /%s HTTP/1.1\r\nhost: x\r\n\r\n"


async def read_body(receive: Receive) -> tuple[bytes, bool]:
    """Return a request's body, and whether it came to its end."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts), False
        parts.append(message["body"])
        if not message["more_body"]:
            return b"".join(parts), True


async def answer(send: Send, body: bytes, status: int = 200) -> None:
    """Answer with a body of known length."""
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with method, path, the body's length and the version of HTTP."""
    body, _ = await read_body(receive)
    said = f"{scope['method']} {scope['path']} {len(body)} {scope['http_version']}"
    await answer(send, said.encode())


def run(
    work: Callable[[Listener], Awaitable[None]],
    app: Application = echo,
    limits: HttpLimits | None = None,
    listen: str = "127.0.0.1:0",
    tls: ssl.SSLContext | None = None,
) -> None:
    """Run ``work`` beside a listener, and check that nothing of it is left."""

    async def all_of_it() -> None:
        async with Listener(app, listen, limits, tls) as listener:
            await asyncio.wait_for(work(listener), LIMIT_S)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    before = open_files()
    asyncio.run(all_of_it())
    assert open_files() <= before  # threads that gRPC left may close theirs meanwhile, and open none


def open_files() -> int:
    """Count this process's file descriptors."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Client:
    """Bytes to and from a listener."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def sends(self, data: bytes) -> None:
        """Send bytes; a connection that the server has ended takes none."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def rest(self) -> bytes:
        """Return all that comes until the server ends the connection."""
        parts = []
        with contextlib.suppress(ConnectionError):
            while part := await self.reader.read(65_536):
                parts.append(part)
        return b"".join(parts)

    async def response(self) -> tuple[int, bytes]:
        """Return status and body of one response whose length is known."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if line)
        body = await self.reader.readexactly(int(lines.get(b"content-length", b"0")))
        return int(head.split()[1]), body

    async def close(self) -> None:
        """End."""
        self.writer.close()
        await asyncio.gather(self.writer.wait_closed(), return_exceptions=True)


@contextlib.asynccontextmanager
async def client(listener: Listener, tls: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
    """Connect; end at the end."""
    address = listener.address
    if address.startswith("/"):
        ends = await asyncio.open_unix_connection(address)
    else:
        host, _, port = address.rpartition(":")
        ends = await asyncio.open_connection(host, int(port), ssl=tls)
    made = Client(*ends)
    try:
        yield made
    finally:
        await made.close()


async def talk(listener: Listener, sent: bytes) -> bytes:
    """Send bytes, end, and return all that comes back."""
    async with client(listener) as made:
        await made.sends(sent)
        with contextlib.suppress(OSError):
            made.writer.write_eof()
        return bytes(await made.rest())


class Held:
    """Something large that a request brought, or a response."""


class Deaf:
    """An application that takes a request and never answers.

    Attributes:
        is_working: A request is here.
        held: What it held, as far as somebody holds on to it.
    """

    def __init__(self) -> None:
        self.is_working = asyncio.Event()
        self.held: list[weakref.ref[Held]] = []

    async def __call__(self, _scope: Scope, receive: Receive, _send: Send) -> None:
        """Hold something until it is cancelled."""
        large = Held()
        self.held.append(weakref.ref(large))
        await receive()
        self.is_working.set()
        await asyncio.Event().wait()
        del large


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Have nothing freed but what nobody holds on to."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def until(condition: Callable[[], bool]) -> None:
    """Give everybody else a turn until something is so."""
    while not condition():  # noqa: ASYNC110 - whatever changes it rings no bell
        await asyncio.sleep(0.001)
