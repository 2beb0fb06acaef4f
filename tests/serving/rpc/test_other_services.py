"""Health, reflection and the mesh's runtime service, asked by clients that others wrote."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from gateway.configuration.secret import Secret
from gateway.configuration.serving_settings import AccessSettings, ServingSettings, TokenSettings
from gateway.serving.model_view import IndexEntry
from gateway.serving.rpc import protocol
from gateway.serving.rpc.health_service import HealthService
from tests.serving.rpc.door import Door, InMemory, open_door
from tests.serving.rpc.raw_client import END, RawClient, client_of, word

SERVING, NOT_SERVING, UNKNOWN = 1, 2, 3


def guarded() -> ServingSettings:
    """Return settings under which nobody is served without a token."""
    access = AccessSettings(tokens=(TokenSettings("ops", Secret("o" * 16), ("infer", "read", "admin")),))
    return dataclasses.replace(ServingSettings(), access=access)


def test_health_is_checked_without_credentials() -> None:
    async def run() -> None:
        async with open_door(guarded()) as door, client_of(door.address) as client:
            stub = health_pb2_grpc.HealthStub(client.channel)
            for name in ("", protocol.INFERENCE, protocol.RUNTIME):
                assert (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status == SERVING
            door.models.ready = False
            assert (await stub.Check(health_pb2.HealthCheckRequest())).status == NOT_SERVING
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Check(health_pb2.HealthCheckRequest(service="nope"))
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            listed = await client.made("List", protocol.HEALTH)
            assert {name: each.status for name, each in listed.statuses.items()} == dict.fromkeys(
                ("", protocol.INFERENCE, protocol.RUNTIME), NOT_SERVING
            )

    asyncio.run(run())


def test_who_watches_hears_of_every_change_and_of_the_end() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            stub = health_pb2_grpc.HealthStub(client.channel)
            watching = stub.Watch(health_pb2.HealthCheckRequest())
            strange = stub.Watch(health_pb2.HealthCheckRequest(service="nope"))
            assert (await watching.read()).status == SERVING
            assert (await strange.read()).status == UNKNOWN
            door.models.ready = False
            door.server.health_changed()
            assert (await watching.read()).status == NOT_SERVING
            door.models.ready = True  # nobody says so: it is found by looking
            assert (await watching.read()).status == SERVING
            closing = asyncio.ensure_future(door.server.__aexit__(None, None, None))
            assert (await watching.read()).status == NOT_SERVING
            assert await watching.read() is END
            assert await strange.read() is END
            await closing

    asyncio.run(run())


def test_who_is_told_something_while_the_gateway_stops_hears_of_that_too() -> None:
    said: list[int] = []

    class Healthy:
        def is_live(self) -> bool:
            return True

        is_ready = is_live

    class Context:
        async def write(self, data: bytes) -> None:
            said.append(health_pb2.HealthCheckResponse.FromString(data).status)
            service.close()

    calls: Any = None  # what is watched here was let in
    service = HealthService(Healthy(), (), calls)
    asyncio.run(service._watch(b"", Context()))
    assert said == [SERVING, NOT_SERVING]


def test_tools_learn_the_services_from_the_door() -> None:
    async def run() -> None:
        async with open_door() as door:
            await asyncio.to_thread(look_around, door)

    asyncio.run(run())


def look_around(door: Door) -> None:
    """Ask as grpcurl does: by the reflection client of another package, into a pool of its own."""
    with grpc.insecure_channel(door.address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert sorted(database.get_services()) == sorted(
            [
                protocol.INFERENCE,
                protocol.RUNTIME,
                protocol.HEALTH,
                protocol.REFLECTION,
                protocol.REFLECTION_DRAFT,
            ]
        )
        pool = DescriptorPool(database)
        service = pool.FindServiceByName(protocol.INFERENCE)
        assert len(service.methods) == 20
        assert pool.FindMessageTypeByName("inference.ModelConfig").fields_by_name["backend"].number == 17
        assert pool.FindFileByName("model_runtime.proto").package == "mmesh"
        with pytest.raises(KeyError):
            pool.FindMessageTypeByName("inference.Nothing")
        assert list(database.FindAllExtensionNumbers("inference.ModelConfig")) == []


def test_the_younger_name_of_reflection_answers_too_and_nothing_is_an_error_of_its_own() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            kind, answer = protocol.methods(protocol.REFLECTION)["ServerReflectionInfo"]
            stream = client.stream("ServerReflectionInfo", protocol.REFLECTION)
            for asked in (kind(list_services=""), kind(file_by_filename="x.proto"), kind()):
                await stream.write(asked.SerializeToString())
            await stream.done_writing()
            got = [answer.FromString(each) async for each in stream]
            assert protocol.INFERENCE in [each.name for each in got[0].list_services_response.service]
            assert [each.error_response.error_code for each in got[1:]] == [5, 12]

    asyncio.run(run())


def test_reflection_can_be_off_and_wants_credentials_where_reading_does() -> None:
    async def run() -> None:
        async with open_door(guarded()) as door, client_of(door.address) as client:
            stream = client.stream(
                "ServerReflectionInfo",
                protocol.REFLECTION,
                metadata=(("authorization", "Bearer nobody-knows-this-one"),),
            )
            with pytest.raises(grpc.aio.AioRpcError, match="UNAUTHENTICATED"):
                await stream.read()
        async with open_door(reflection=False) as door, client_of(door.address) as client:
            with pytest.raises(grpc.aio.AioRpcError, match="UNIMPLEMENTED"):
                await client.stream("ServerReflectionInfo", protocol.REFLECTION).read()

    asyncio.run(run())


def test_a_mesh_drives_the_gateway_as_one_of_its_runtimes() -> None:
    async def run() -> None:
        async with open_door() as door, client_of(door.address) as client:
            status = await client.made("runtimeStatus", protocol.RUNTIME)
            assert (status.status, status.capacityInBytes) == (1, 2**30)
            assert status.defaultModelSizeInBytes >= 1_000_003
            path = status.methodInfos["inference.GRPCInferenceService/ModelInfer"].idInjectionPath
            assert list(path) == [1]
            for name in status.methodInfos:  # where the mesh writes the model's name, the door reads it
                kind, _ = protocol.methods(protocol.INFERENCE)[name.rpartition("/")[2]]
                field = kind.DESCRIPTOR.fields_by_number[1]
                assert field.name in ("name", "model_name")
            predicted = await client.made(
                "predictModelSize", protocol.RUNTIME, modelId="add", modelType="onnx"
            )
            loaded = await client.made(
                "loadModel", protocol.RUNTIME, modelId="add", modelPath="/x", modelKey="{}"
            )
            size = await client.made("modelSize", protocol.RUNTIME, modelId="add")
            assert predicted.sizeInBytes == loaded.sizeInBytes == size.sizeInBytes == 1_000_003
            assert door.models.loads == [("add", {})]
            await client.made("unloadModel", protocol.RUNTIME, modelId="add")
            await client.made("unloadModel", protocol.RUNTIME, modelId="add")
            await refused(client, "loadModel", "nope", "FAILED_PRECONDITION")
            await refused(client, "loadModel", "broken", "FAILED_PRECONDITION")
            await refused(client, "predictModelSize", "nope", "NOT_FOUND")
            await refused(client, "modelSize", "add", "NOT_FOUND")

    asyncio.run(run())


class WithAnAlias(InMemory):
    """Models, and a name in the index that is none of them."""

    def index(self) -> Sequence[IndexEntry]:
        return [*super().index(), IndexEntry("front-door", "", "READY")]


def test_an_alias_takes_no_memory_and_keeps_no_mesh_away() -> None:
    async def run() -> None:
        async with open_door(models=WithAnAlias()) as door, client_of(door.address) as client:
            status = await client.made("runtimeStatus", protocol.RUNTIME)
            assert status.defaultModelSizeInBytes >= 1_000_003
            await refused(client, "modelSize", "front-door", "NOT_FOUND")

    asyncio.run(run())


async def refused(client: RawClient, method: str, model: str, status: str) -> Any:
    """Check that a call ends with a status."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.made(method, protocol.RUNTIME, modelId=model)
    assert caught.value.code().name == status
    assert word(caught.value, "gateway-error-label")


def test_without_a_memory_there_is_no_mesh() -> None:
    async def run() -> None:
        async with open_door(mesh=False) as door, client_of(door.address) as client:
            with pytest.raises(grpc.aio.AioRpcError, match="UNIMPLEMENTED"):
                await client.made("runtimeStatus", protocol.RUNTIME)

    asyncio.run(run())
