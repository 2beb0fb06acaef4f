"""A plain gRPC client that sends bytes and shows status, words and metadata, for the tests of this folder."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from gateway.serving.rpc import protocol

# What a stream gives when there is no more.
END: Any = vars(grpc.aio)["EOF"]


class RawClient:
    """Calls methods by name with messages of our own pool, or with any bytes."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel

    def method(self, name: str, service: str = protocol.INFERENCE) -> Any:
        return self.channel.unary_unary(f"/{service}/{name}")

    def stream(self, name: str = "ModelStreamInfer", service: str = protocol.INFERENCE, **more: Any) -> Any:
        return self.channel.stream_stream(f"/{service}/{name}")(**more)

    async def call(self, name: str, request: Any, service: str = protocol.INFERENCE, **more: Any) -> Any:
        """Return the answer's message."""
        data = request if isinstance(request, bytes) else request.SerializeToString()
        answer = await self.method(name, service)(data, **more)
        return protocol.methods(service)[name][1].FromString(answer)

    async def made(self, method: str, service: str = protocol.INFERENCE, /, **fields: Any) -> Any:
        """Send a request with these fields; return the answer's message."""
        return await self.call(method, protocol.methods(service)[method][0](**fields), service)


@contextlib.asynccontextmanager
async def client_of(address: str, credentials: Any = None, **options: Any) -> AsyncIterator[RawClient]:
    """Connect."""
    given = [(f"grpc.{name}", value) for name, value in options.items()]
    given += [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    channel = (
        grpc.aio.insecure_channel(address, given)
        if credentials is None
        else grpc.aio.secure_channel(address, credentials, given)
    )
    async with channel:
        yield RawClient(channel)


def answers_of(messages: list[bytes]) -> list[Any]:
    """Return the messages of a stream of inferences."""
    kind = protocol.message("inference.ModelStreamInferResponse")
    return [kind.FromString(each) for each in messages]


def word(error: grpc.aio.AioRpcError, name: str) -> Any:
    """Return the value of a name in the trailing metadata; None if it is not there."""
    found: Any = error.trailing_metadata() or ()
    return dict(list(found)).get(name)
