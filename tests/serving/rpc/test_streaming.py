"""Streams: many requests under way, answers in the order of the requests, errors that end nothing."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import grpc
import pytest

from gateway.configuration.secret import Secret
from gateway.configuration.serving_settings import AccessSettings, ServingSettings, TokenSettings
from gateway.serving.call import Sequence
from gateway.serving.rpc.streaming import MOST_UNDER_WAY, Room, room_of
from tests.serving.rpc.door import open_door
from tests.serving.rpc.raw_client import answers_of, client_of, word
from tests.serving.rpc.requests import echo, request


async def exchanged(stream: Any, *requests: Any) -> list[Any]:
    """Send everything, and return every answer."""
    for each in requests:
        await stream.write(each if isinstance(each, bytes) else each.SerializeToString())
    await stream.done_writing()
    return answers_of([each async for each in stream])


def test_answers_come_in_the_order_of_the_requests_whichever_is_ready_first() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            stream = client.stream()
            names = ["a", "b", "c", "d"]
            for name in names:
                model = "echo" if name == "c" else "slow"
                await stream.write(echo(name.encode(), name, model).SerializeToString())
            await stream.done_writing()
            while len(door.models.calls) < 4:
                await door.models.until_changed()
            for name in ("d", "b", "a"):  # all were under way at a time, or one of these would be missing
                door.models.waiting[name].set()
            answers = answers_of([each async for each in stream])
            assert [each.infer_response.id for each in answers] == names
            assert [bytes(each.infer_response.raw_output_contents[0]) for each in answers] == [
                name.encode() for name in names
            ]
            assert await stream.code() is grpc.StatusCode.OK

    asyncio.run(run())


def test_a_request_that_fails_is_answered_with_words_and_its_id_and_the_stream_goes_on() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            broken = echo(b"x", "3")
            broken.inputs[0].shape.append(2)
            answers = await exchanged(
                client.stream(), echo(b"a", "1"), request("nope", "2"), broken, b"\xff\xff", echo(b"b", "5")
            )
            assert [each.infer_response.id for each in answers] == ["1", "2", "3", "", "5"]
            assert [each.error_message.partition(":")[0] for each in answers] == [
                "",
                "refused.unknown_model",
                "refused.malformed",
                "refused.malformed",
                "",
            ]

    asyncio.run(run())


def test_a_client_may_want_its_stream_to_end_with_the_status_of_the_first_error() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            stream = client.stream(metadata=(("triton_grpc_error", "true"),))
            for each in (echo(b"a", "1"), request("nope", "2"), echo(b"x", "3", "slow")):
                await stream.write(each.SerializeToString())
            assert answers_of([await stream.read()])[0].infer_response.id == "1"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stream.read()
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            assert word(caught.value, "gateway-error-label") == "refused.unknown_model"

    asyncio.run(run())


def test_every_answer_says_that_it_is_the_last_of_its_request() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            answers = await exchanged(client.stream(), echo(), echo(triton_enable_empty_final_response=True))
            assert [
                each.infer_response.parameters["triton_final_response"].bool_param for each in answers
            ] == [True, True]

    asyncio.run(run())


def test_requests_of_a_sequence_reach_the_model_in_their_order() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            made = [
                echo(b"%d" % n, str(n), sequence_id=9, sequence_start=n == 0, sequence_end=n == 29)
                for n in range(30)
            ]
            # Long lists of numbers are read elsewhere; nothing overtakes them.
            made[4].ClearField("raw_input_contents")
            made[4].inputs[0].shape[:] = [200_000]
            made[4].inputs[0].contents.uint_contents.extend([200] * 200_000)
            answers = await exchanged(client.stream(), *made)
            assert [each.infer_response.id for each in answers] == [str(n) for n in range(30)]
            assert [call.id for call in door.models.calls] == [str(n) for n in range(30)]
            assert door.models.calls[0].sequence == Sequence("9", start=True)
            assert door.models.calls[29].sequence == Sequence("9", end=True)

    asyncio.run(run())


def test_a_stream_has_only_so_much_under_way() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            stream = client.stream()
            names = [str(n) for n in range(MOST_UNDER_WAY + 50)]

            async def send() -> None:
                for name in names:
                    await stream.write(echo(b"x", name, "slow").SerializeToString())
                await stream.done_writing()

            sending = asyncio.ensure_future(send())
            while len(door.models.waiting) < MOST_UNDER_WAY:
                await door.models.until_changed()
            # Whoever answers another call had turns enough to read more.
            await client.call("ModelInfer", echo())
            assert len(door.models.waiting) == MOST_UNDER_WAY
            got = []
            for name in names:
                while name not in door.models.waiting:
                    await door.models.until_changed()
                door.models.waiting[name].set()
                got += answers_of([await stream.read()])
            await sending
            assert [each.infer_response.id for each in got] == names

    asyncio.run(run())


def test_a_stream_waits_before_it_takes_all_that_its_client_may_have() -> None:
    assert room_of(1000, 256) == Room(64, 2000)
    assert room_of(1000, 16) == Room(8, 2000)
    assert room_of(1000, 1) == Room(1, 2000)


def test_bytes_under_way_are_bounded_too() -> None:
    async def run() -> None:
        async with open_door(max_message_bytes=20_000) as door, client_of(door.address) as client:
            stream = client.stream()
            names = [str(n) for n in range(10)]
            for name in names:
                await stream.write(echo(b"x" * 15_000, name, "slow").SerializeToString())
            await stream.done_writing()
            for at, name in enumerate(names):
                while name not in door.models.waiting:
                    await door.models.until_changed()
                await client.call("ModelInfer", echo())
                assert len(door.models.waiting) <= at + 3
                door.models.waiting[name].set()
                assert answers_of([await stream.read()])[0].infer_response.id == name

    asyncio.run(run())


def test_a_stranger_has_no_stream_and_a_client_that_asks_too_often_keeps_its_own() -> None:
    async def run() -> None:
        access = AccessSettings(
            tokens=(
                TokenSettings("app", Secret("a" * 16)),
                TokenSettings("eye", Secret("b" * 16), ("read",)),
            ),
            requests_per_s=0.001,
            burst=3,
        )
        settings = dataclasses.replace(ServingSettings(), access=access)
        async with open_door(settings) as door, client_of(door.address) as client:
            for token, status in (("c" * 16, "UNAUTHENTICATED"), ("b" * 16, "PERMISSION_DENIED")):
                stream = client.stream(metadata=(("authorization", f"Bearer {token}"),))
                assert (await stream.code()).name == status
            stream = client.stream(metadata=(("authorization", f"Bearer {'a' * 16}"),))
            answers = await exchanged(stream, echo(), echo(), echo())
            assert [each.error_message.partition(":")[0] for each in answers] == [
                "",
                "",
                "unavailable.rate_limited",
            ]
            assert {call.caller for call in door.models.calls} == {"token:app"}

    asyncio.run(run())


def test_requests_of_streams_are_counted_by_their_outcome() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            await exchanged(client.stream(), echo(), request("nope"))
            counts = dict(door.metrics.door_requests.values())
            assert counts[("grpc", "ModelStreamInfer", "done")] == 1
            assert counts[("grpc", "ModelStreamInfer", "refused.unknown_model")] == 1

    asyncio.run(run())
