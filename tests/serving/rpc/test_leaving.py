"""Deadlines and clients that leave: what nobody waits for any more is cancelled at once."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from typing import Any

import grpc
import pytest

from gateway.configuration.serving_settings import ServingSettings
from tests.serving.rpc.door import Door, InMemory, open_door
from tests.serving.rpc.raw_client import answers_of, client_of
from tests.serving.rpc.requests import echo


def slow(request_id: str, **parameters: Any) -> bytes:
    """Return a request that is answered when its turn is called."""
    data: bytes = echo(b"x", request_id, "slow", **parameters).SerializeToString()
    return data


async def begun(models: InMemory, *names: str) -> None:
    """Wait until requests wait in the model."""
    while not set(names) <= set(models.waiting):
        await models.until_changed()


async def left(models: InMemory, *names: str) -> None:
    """Wait until requests were cancelled in the model."""
    while not set(names) <= set(models.cancelled):
        await models.until_changed()


def test_a_call_that_is_cancelled_is_cancelled_in_the_model() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            call = client.method("ModelInfer")(slow("a"))
            other = client.method("ModelInfer")(slow("b"))
            sent = [asyncio.ensure_future(each) for each in (call, other)]
            await begun(door.models, "a", "b")
            call.cancel()
            await left(door.models, "a")
            door.models.waiting["b"].set()
            assert b"x" in await sent[1]
            await asyncio.gather(*sent, return_exceptions=True)
            assert door.models.cancelled == ["a"]

    asyncio.run(run())


def test_a_client_that_disconnects_is_cancelled_in_the_model() -> None:
    async def run() -> None:
        async with open_door() as door:
            async with client_of(door.address) as client:
                calls = [client.method("ModelInfer")(slow(name)) for name in ("a", "b")]
                await begun(door.models, "a", "b")
            await left(door.models, "a", "b")
            assert all(call.done() for call in calls)

    asyncio.run(run())


def test_the_deadline_of_a_call_reaches_the_model_and_ends_there() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            await client.made("ServerLive")  # what follows is not spent on connecting
            before_s = time.monotonic()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.method("ModelInfer")(slow("a"), timeout=1.0)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            call = door.models.calls[0]
            assert before_s < call.arrived_s < call.deadline_s < call.arrived_s + 1.01

    asyncio.run(run())


@pytest.mark.parametrize(
    ("timeout_s", "parameters", "least_s", "most_s"),
    [
        (None, {}, 30.0, 30.0),
        (None, {"timeout": 2_000_000}, 2.0, 2.0),
        (None, {"timeout": 10**15}, 300.0, 300.0),
        (60.0, {}, 50.0, 61.0),  # gRPC's client says long times in few digits, rounded up
        (60.0, {"timeout": 2_000_000}, 2.0, 2.0),
        (4.0, {"timeout": 20_000_000}, 1.0, 4.1),
        (3000.0, {}, 300.0, 300.0),
    ],
)
def test_the_shortest_of_all_times_counts(
    timeout_s: float | None, parameters: Any, least_s: float, most_s: float
) -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            await client.method("ModelInfer")(echo(**parameters).SerializeToString(), timeout=timeout_s)
            (call,) = door.models.calls
            assert least_s <= call.deadline_s - call.arrived_s + 1e-6
            assert call.deadline_s - call.arrived_s - 1e-6 <= most_s

    asyncio.run(run())


def test_the_deadline_of_a_stream_bounds_its_requests_and_is_not_theirs() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            stream = client.stream(timeout=3000.0)
            for made in (echo(), echo(timeout=1_000_000)):
                await stream.write(made.SerializeToString())
            await stream.done_writing()
            assert len(answers_of([each async for each in stream])) == 2
            times_s = [call.deadline_s - call.arrived_s for call in door.models.calls]
            assert times_s == pytest.approx([30.0, 1.0])

    asyncio.run(run())


def test_a_request_that_is_late_is_answered_with_words_before_the_client_gives_up() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.method("ModelInfer")(slow("a", timeout=30_000), timeout=60.0)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert caught.value.details() == "deadline.queued: it waited too long"

    asyncio.run(run())


@pytest.mark.parametrize("how", ["cancel", "disconnect"])
def test_a_stream_that_ends_cancels_all_that_it_asked_for(how: str) -> None:
    async def run() -> None:
        async with open_door() as door:
            async with client_of(door.address) as client:
                stream = client.stream()
                for name in ("a", "b", "c"):
                    await stream.write(slow(name))
                await begun(door.models, "a", "b", "c")
                if how == "cancel":
                    stream.cancel()
                    await left(door.models, "a", "b", "c")
            await left(door.models, "a", "b", "c")

    asyncio.run(run())


def test_closing_answers_what_is_under_way_and_says_why_streams_end() -> None:
    async def run() -> None:
        models = InMemory()
        async with door_to_close(models) as (door, closing), client_of(door.address) as client:
            stream = client.stream()
            await stream.write(slow("a"))
            call = asyncio.ensure_future(client.method("ModelInfer")(slow("b")))
            await begun(models, "a", "b")
            ending = asyncio.ensure_future(closing())
            await asyncio.sleep(0)
            for each in models.waiting.values():
                each.set()
            assert b"x" in await call
            answers = answers_of([await stream.read()])
            assert answers[0].infer_response.id == "a"
            with pytest.raises(grpc.aio.AioRpcError, match=r"unavailable\.draining") as caught:
                await stream.read()
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            await ending

    asyncio.run(run())


def test_closing_cuts_what_does_not_end_within_the_grace_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.serving.rpc.server._GRACE_S", 0.05)

    async def run() -> None:
        models = InMemory()
        async with door_to_close(models) as (door, closing), client_of(door.address) as client:
            call = asyncio.ensure_future(client.method("ModelInfer")(slow("a")))
            stream = client.stream()
            await stream.write(slow("b"))
            await begun(models, "a", "b")
            await closing()
            await left(models, "a", "b")
            assert isinstance((await asyncio.gather(call, return_exceptions=True))[0], grpc.aio.AioRpcError)

    asyncio.run(run())


def door_to_close(models: InMemory) -> Any:
    """Return a door and what closes it before its block ends."""

    @contextlib.asynccontextmanager
    async def opened() -> Any:
        stack = contextlib.AsyncExitStack()
        door: Door = await stack.enter_async_context(open_door(models=models))
        async with stack:
            yield door, lambda: door.server.__aexit__(None, None, None)

    return opened()


def test_a_request_that_names_no_time_has_the_configured_one() -> None:
    async def run() -> None:
        settings = dataclasses.replace(ServingSettings(), timeout_s=1.5, max_timeout_s=2.0)
        async with open_door(settings) as door, client_of(door.address) as client:
            await client.call("ModelInfer", echo())
            await client.call("ModelInfer", echo(timeout=5_000_000))
            times_s = [call.deadline_s - call.arrived_s for call in door.models.calls]
            assert times_s == pytest.approx([1.5, 2.0])

    asyncio.run(run())
