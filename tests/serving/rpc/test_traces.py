"""A call that is part of a trace goes on with it: in what is asked of models, in the metadata, in the log."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from tests.serving.rpc.door import open_door
from tests.serving.rpc.raw_client import answers_of, client_of, word
from tests.serving.rpc.requests import echo, request
from tests.serving.said import Lines, lines_said

__all__ = ["lines_said"]

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
STATE = "rojo=00f067aa0ba902b7, congo=t61rcWkgMzE"
TRACED = (("traceparent", PARENT), ("tracestate", STATE))


async def told(call: Any) -> dict[str, str]:
    """Return the trailing metadata of a call that is over."""
    return {str(key): str(value) for key, value in await call.trailing_metadata()}


def test_model_and_client_are_told_of_the_gateways_span() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            call = client.method("ModelInfer")(echo().SerializeToString(), metadata=TRACED)
            await call
            (asked,) = door.models.calls
            trailing = await told(call)
            assert (trailing["traceparent"], trailing["tracestate"]) == (asked.trace, STATE)
            assert (asked.trace[:36], asked.trace[52:]) == (PARENT[:36], PARENT[52:])
            assert asked.trace[36:52] != PARENT[36:52]

    asyncio.run(run())


def test_answers_that_are_compressed_are_told_of_it_as_well() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            data, wish = echo().SerializeToString(), ("gateway-compression", "gzip")
            call = client.method("ModelInfer")(data, metadata=(*TRACED, wish))
            await call
            assert (await told(call))["traceparent"][:36] == PARENT[:36]

    asyncio.run(run())


def test_errors_say_their_label_and_the_trace(said: Lines) -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.method("ModelInfer")(request("none").SerializeToString(), metadata=TRACED)
            assert word(caught.value, "gateway-error-label") == "refused.unknown_model"
            assert word(caught.value, "traceparent")[:36] == PARENT[:36]
            await client.method("ServerLive")(b"", metadata=TRACED)
            await client.call("RepositoryModelLoad", b"\x12\x03add", metadata=TRACED)

    asyncio.run(run())
    failed, admin = said()
    assert (failed["event"], failed["door"]) == ("request_failed", "grpc")
    assert (failed["label"], failed["trace_id"]) == ("refused.unknown_model", TRACE)
    assert (admin["event"], admin["on"], admin["trace_id"]) == ("admin_call", "add", TRACE)


def test_what_is_no_traceparent_begins_a_trace_and_none_begins_none() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            data = echo().SerializeToString()
            call = client.method("ModelInfer")(data, metadata=(("traceparent", "nonsense"), TRACED[1]))
            await call
            trailing = await told(call)
            assert trailing["traceparent"][3:35] != TRACE
            assert "tracestate" not in trailing
            call = client.method("ModelInfer")(data)
            await call
            assert await told(call) == {}
            assert door.models.calls[-1].trace == ""

    asyncio.run(run())


def test_requests_of_a_stream_have_spans_of_their_own(said: Lines) -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            stream = client.stream(metadata=TRACED)
            for each in (echo(b"a"), request("none"), echo(b"b")):
                await stream.write(each.SerializeToString())
            await stream.done_writing()
            answers = answers_of([answer async for answer in stream])
            assert [bool(each.error_message) for each in answers] == [False, True, False]
            traces = [call.trace for call in door.models.calls] + [(await told(stream))["traceparent"]]
            assert {trace[:36] for trace in traces} == {PARENT[:36]}
            assert len(set(traces)) == 3

    asyncio.run(run())
    (line,) = said()
    assert (line["event"], line["call"]) == ("request_failed", "ModelStreamInfer")
    assert line["trace_id"] == TRACE
