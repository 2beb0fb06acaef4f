"""Whatever is sent to whatever method: a typed status, nothing that is called our fault, and nothing left."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import grpc
import pytest

from gateway.serving.rpc import protocol
from tests.serving.rpc.door import InMemory, open_door
from tests.serving.rpc.raw_client import RawClient, answers_of, client_of, word
from tests.serving.rpc.requests import echo

UNARY = [
    (service, name)
    for service in (protocol.INFERENCE, protocol.RUNTIME, protocol.HEALTH)
    for name in protocol.methods(service)
    if name not in ("ModelStreamInfer", "Watch")
]
# Of a status that nobody chose; UNIMPLEMENTED is chosen for what is known and not done.
NEVER = {"UNKNOWN", "INTERNAL", "DATA_LOSS", "CANCELLED"}


def is_list(field: Any) -> bool:
    """Return whether a field holds any number of values; protobuf says it in two ways, one for each age."""
    return bool(field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED)


def any_message(rng: random.Random, descriptor: Any, depth: int = 0) -> Any:
    """Return a message with random fields."""
    message = protocol.message(descriptor.full_name)()
    for field in descriptor.fields:
        if rng.random() < 0.4:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            _fill_map(rng, message, field, depth)
        elif is_list(field):
            for _ in range(rng.randrange(4)):
                value = _value(rng, field, depth)
                getattr(message, field.name).append(value)
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(_value(rng, field, depth))
        else:
            setattr(message, field.name, _value(rng, field, depth))
    return message


def _fill_map(rng: random.Random, message: Any, field: Any, depth: int) -> None:
    value_field = field.message_type.fields_by_name["value"]
    into = getattr(message, field.name)
    reserved = (
        "sequence_id",
        "timeout",
        "shared_memory_region",
        "classification",
        "priority",
        "triton_x",
        "",
    )
    for _ in range(rng.randrange(3)):
        key = rng.choice(reserved)
        if value_field.message_type is None:
            into[key] = _value(rng, value_field, depth)
        else:
            into[key].CopyFrom(_value(rng, value_field, depth))


def _value(rng: random.Random, field: Any, depth: int) -> Any:
    if field.message_type is not None:
        if depth > 4:
            return protocol.message(field.message_type.full_name)()
        return any_message(rng, field.message_type, depth + 1)
    if field.enum_type is not None:
        return rng.choice(field.enum_type.values).number
    kinds: dict[int, Any] = {
        field.TYPE_STRING: lambda: rng.choice(
            ["", "add", "echo", "IN", "A", "UINT8", "BYTES", "INT32", "\0\u20ac", "x" * 99]
        ),
        field.TYPE_BYTES: lambda: rng.randbytes(rng.choice([0, 1, 4, 16, 9000])),
        field.TYPE_BOOL: lambda: rng.random() < 0.5,
        field.TYPE_DOUBLE: lambda: rng.choice([0.0, float("nan"), float("inf"), -1.5]),
        field.TYPE_FLOAT: lambda: rng.choice([0.0, float("nan"), 1e30]),
        field.TYPE_INT32: lambda: rng.choice([0, 1, -1, 2**31 - 1, -(2**31)]),
        field.TYPE_UINT32: lambda: rng.choice([0, 1, 2**32 - 1]),
        field.TYPE_UINT64: lambda: rng.choice([0, 1, 2**64 - 1]),
    }
    return kinds.get(field.type, lambda: rng.choice([0, 1, 4, 16, -1, 2**62, -(2**63)]))()


async def status_of(client: RawClient, service: str, name: str, data: bytes) -> str:
    """Return the status of a call, after a look at its label."""
    try:
        await client.method(name, service)(data)
    except grpc.aio.AioRpcError as error:
        assert word(error, "gateway-error-label"), (name, error)
        return str(error.code().name)
    return "OK"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bytes", "messages"])
def test_two_thousand_malformed_requests_each_get_a_typed_status(kind: str) -> None:
    async def run() -> None:
        rng = random.Random(kind)
        seen: dict[str, int] = {}
        async with open_door() as door, client_of(door.address) as client:
            for _ in range(1000):
                service, name = rng.choice(UNARY)
                request, _ = protocol.methods(service)[name]
                if kind == "messages":
                    data = any_message(rng, request.DESCRIPTOR).SerializeToString()
                else:
                    data = rng.randbytes(rng.choice([0, 1, 7, 200, 10_000]))
                status = await status_of(client, service, name, data)
                assert status not in NEVER, (name, data)
                seen[status] = seen.get(status, 0) + 1
                if not door.models.views:  # some were well-formed enough to unload what there was
                    door.models.views = InMemory().views
            assert "INVALID_ARGUMENT" in seen
            door.models.views = InMemory().views
            assert len((await client.call("ModelInfer", echo(b"well"))).raw_output_contents) == 1

    asyncio.run(run())


@pytest.mark.slow
def test_a_stream_of_malformed_requests_answers_every_one_and_goes_on() -> None:
    async def run() -> None:
        rng = random.Random(5)
        kind = protocol.message("inference.ModelInferRequest").DESCRIPTOR
        async with open_door() as door, client_of(door.address) as client:
            stream = client.stream()

            async def send() -> None:
                for n in range(1000):
                    data = any_message(rng, kind).SerializeToString() if n % 2 else rng.randbytes(50)
                    await stream.write(data)
                await stream.write(echo(b"well", "last").SerializeToString())
                await stream.done_writing()

            sending = asyncio.ensure_future(send())
            answers = answers_of([each async for each in stream])
            await sending
            assert len(answers) == 1001
            assert answers[-1].infer_response.id == "last"
            labels = {each.error_message.partition(":")[0] for each in answers}
            assert {label.partition(".")[0] for label in labels} <= {"", "refused"}

    asyncio.run(run())


def test_a_call_that_ends_without_a_request_is_refused_and_its_trace_is_answered() -> None:
    async def run() -> None:
        trace = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        async with open_door() as door, client_of(door.address) as client:
            for service, name in UNARY:
                call = client.channel.stream_unary(f"/{service}/{name}")(metadata=[trace], timeout=20)
                await call.done_writing()
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
                assert word(caught.value, "gateway-error-label") == "refused.malformed"
                assert word(caught.value, "traceparent").startswith("00-0af7651916cd43dd8448eb211c80319c-")

    asyncio.run(run())


def test_methods_and_services_that_are_not_there_are_unimplemented() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            for path in ("/inference.GRPCInferenceService/Nothing", "/no.Service/ModelInfer"):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await client.channel.unary_unary(path)(b"")
                assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED

    asyncio.run(run())


def test_what_nobody_foresaw_is_internal_logged_and_says_nothing_of_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    class Broken(InMemory):
        async def infer(self, call: Any) -> Any:
            raise ZeroDivisionError("secret words")

    async def run() -> None:
        async with open_door(models=Broken()) as door, client_of(door.address) as client:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.call("ModelInfer", echo())
            assert caught.value.code() is grpc.StatusCode.INTERNAL
            assert caught.value.details() == "bug: the gateway failed on this call; its log says why"
            stream = client.stream()
            await stream.write(echo(b"x", "1").SerializeToString())
            assert answers_of([await stream.read()])[0].error_message.startswith("bug: ")
            stream.cancel()

    asyncio.run(run())
    assert "rpc_failed" in capfd.readouterr().err
