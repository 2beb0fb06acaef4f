"""Answers that their clients do not take count as under way: gRPC keeps them as long as a client likes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from h2.settings import SettingCodes, Settings

from gateway.configuration.serving_settings import AccessSettings, ServingSettings
from tests.serving.http.h2_client import H2Client
from tests.serving.rpc.door import Door, open_door
from tests.serving.rpc.raw_client import client_of
from tests.serving.rpc.requests import echo

INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
HEADERS = ((b"content-type", b"application/grpc"), (b"te", b"trailers"))


@contextlib.asynccontextmanager
async def stalled(door: Door) -> AsyncIterator[H2Client]:
    """Connect a client that opens no window for answers."""
    host, _, port = door.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    made = H2Client(reader, writer, takes=False)
    made.machine.local_settings = Settings(initial_values={SettingCodes.INITIAL_WINDOW_SIZE: 0})
    made.begin()
    try:
        yield made
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


def framed(size: int) -> bytes:
    """Return a request for an answer of this size, as gRPC frames it."""
    data: bytes = echo(bytes(size)).SerializeToString()
    return b"\0" + len(data).to_bytes(4, "big") + data


async def head_of(client: H2Client, stream: int) -> dict[bytes, bytes]:
    """Return what the head of an answer says."""
    while not client.responses[stream].headers:
        await client.turn()
    return client.responses[stream].headers


def test_a_client_that_takes_no_answers_has_so_many_and_no_more() -> None:
    async def run() -> None:
        settings = ServingSettings(access=AccessSettings(concurrent=2))
        async with open_door(settings) as door:
            async with stalled(door) as client:
                for _ in range(2):
                    stream = client.ask(INFER, "POST", framed(20_000), headers=HEADERS)
                    assert b"grpc-status" not in await head_of(client, stream)
                stream = client.ask(INFER, "POST", framed(20_000), headers=HEADERS)
                assert (await head_of(client, stream))[b"grpc-status"] == b"8"
            async with client_of(door.address) as other:
                # Once it is gone everything is as before, and who takes answers may have many.
                while door.gate._concurrency.running("127.0.0.1"):  # noqa: ASYNC110 - nothing rings for it
                    await asyncio.sleep(0.001)
                for _ in range(5):
                    assert (
                        len(await other.method("ModelInfer")(echo(bytes(20_000)).SerializeToString()))
                        > 20_000
                    )

    asyncio.run(asyncio.wait_for(run(), 30.0))


def test_an_answer_of_a_stream_that_nobody_takes_is_under_way_until_the_stream_ends() -> None:
    async def run() -> None:
        async with open_door() as door:
            running = door.gate._concurrency.running
            async with stalled(door) as client:
                stream = client.ask(STREAM, "POST", framed(20_000), more=True, headers=HEADERS)
                await head_of(client, stream)
                assert running("127.0.0.1") == 1
            while running("127.0.0.1"):  # noqa: ASYNC110 - nothing rings for it
                await asyncio.sleep(0.001)
            async with client_of(door.address) as other:
                open_stream = other.stream()
                for _ in range(3):
                    await open_stream.write(echo(bytes(20_000)).SerializeToString())
                    assert len(await open_stream.read()) > 20_000
                while running("127.0.0.1"):  # noqa: ASYNC110 - nothing rings for it
                    await asyncio.sleep(0.001)
                await open_stream.done_writing()

    asyncio.run(asyncio.wait_for(run(), 30.0))
