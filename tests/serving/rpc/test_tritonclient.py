"""Triton's own clients work against the door: the asynchronous one, and the one with threads."""

from __future__ import annotations

import asyncio
import json
import queue
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as sync_client
import tritonclient.grpc.aio as aio_client
from tritonclient.utils import InferenceServerException
from tritonclient.utils import shared_memory as shm

from tests.serving.rpc.door import Door, open_door

ROWS = np.array([[1, 2, 3, 4], [10, 20, 30, 40]], np.int32)


def inputs(kind: Any = sync_client) -> list[Any]:
    """Return A and B of the model ``add``."""
    made = [kind.InferInput(name, list(ROWS.shape), "INT32") for name in ("A", "B")]
    for each in made:
        each.set_data_from_numpy(ROWS)
    return made


def in_thread(work: Callable[[Any, Door], None]) -> None:
    """Run ``work`` with the client of threads beside a door."""

    async def run() -> None:
        async with open_door() as door:

            def talk() -> None:
                with sync_client.InferenceServerClient(door.address) as client:
                    work(client, door)

            await asyncio.to_thread(talk)

    asyncio.run(run())


def test_health_and_metadata() -> None:
    def work(client: Any, door: Door) -> None:
        assert client.is_server_live()
        assert client.is_server_ready()
        door.models.ready = False
        assert not client.is_server_ready()
        assert client.is_model_ready("add")
        assert client.is_model_ready("echo", "2")
        assert not client.is_model_ready("nope")
        server = client.get_server_metadata()
        assert server.name == "gateway"
        assert "system_shared_memory" in server.extensions
        model = client.get_model_metadata("echo")
        assert (model.name, list(model.versions), model.platform) == ("echo", ["2", "3"], "tensorflow_lite")
        assert [(each.name, each.datatype, list(each.shape)) for each in model.inputs] == [
            ("IN", "BYTES", [-1])
        ]
        with pytest.raises(InferenceServerException) as caught:
            client.get_model_metadata("nope")
        assert caught.value.status() == "StatusCode.NOT_FOUND"

    in_thread(work)


def test_configuration_and_statistics() -> None:
    def work(client: Any, _door: Door) -> None:
        config = client.get_model_config("add").config
        assert (config.name, config.max_batch_size, config.instance_group[0].count) == ("add", 8, 2)
        assert [(each.name, each.data_type, list(each.dims)) for each in config.input] == [
            ("A", 8, [4]),
            ("B", 8, [4]),
        ]
        assert config.HasField("dynamic_batching")
        found = client.get_inference_statistics().model_stats
        assert [each.name for each in found] == ["add", "echo", "slow"]
        assert (found[0].inference_count, found[0].inference_stats.fail.ns) == (6, 5)
        runs = found[0].batch_stats[0]
        assert runs.batch_size == 2
        assert runs.compute_input.count == runs.compute_infer.count == runs.compute_output.count > 0
        (plain,) = client.get_inference_statistics("add", as_json=True)["model_stats"]
        assert {"cache_hit", "cache_miss"} <= plain["inference_stats"].keys()
        assert len(client.get_inference_statistics("echo").model_stats) == 1

    in_thread(work)


def test_the_repository() -> None:
    def work(client: Any, door: Door) -> None:
        index = client.get_model_repository_index().models
        found = {each.name: (each.state, each.reason) for each in index}
        assert found["add"] == ("READY", "")
        assert found["broken"] == ("UNAVAILABLE", "it does not load")
        client.load_model("add", config='{"max_batch_size": 4}', files={"file:1/model.onnx": b"\0\1"})
        assert door.models.loads == [
            ("add", {"config": '{"max_batch_size": 4}', "file:1/model.onnx": b"\0\1"})
        ]
        own = client.get_model_config("add", as_json=True)["config"]
        client.load_model("add", config=json.dumps({**own, "instance_group": [{"count": 3}]}))
        assert door.models.loads[-1] == ("add", {"config": '{"instance_group": [{"count": 3}]}'})
        for name, status in (("broken", "FAILED_PRECONDITION"), ("nope", "NOT_FOUND")):
            with pytest.raises(InferenceServerException) as caught:
                client.load_model(name)
            assert caught.value.status() == f"StatusCode.{status}"
        client.unload_model("add", unload_dependents=True)
        assert not client.is_model_ready("add")

    in_thread(work)


def test_tracing_is_off_and_stays_off() -> None:
    def work(client: Any, _door: Door) -> None:
        assert list(client.get_trace_settings().settings["trace_level"].value) == ["OFF"]
        client.update_trace_settings("add", settings={"trace_level": ["OFF"], "trace_rate": None})
        changes: list[tuple[Callable[[], Any], str]] = [
            (lambda: client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]}), "UNIMPLEMENTED"),
            (lambda: client.update_trace_settings(settings={"nonsense": ["1"]}), "INVALID_ARGUMENT"),
            (lambda: client.get_trace_settings("nope"), "NOT_FOUND"),
        ]
        for change, status in changes:
            with pytest.raises(InferenceServerException) as caught:
                change()
            assert caught.value.status() == f"StatusCode.{status}"

    in_thread(work)


def test_the_log_is_set_in_the_words_of_the_protocol() -> None:
    def work(client: Any, _door: Door) -> None:
        said = client.get_log_settings().settings
        assert (said["log_info"].bool_param, said["log_verbose_level"].uint32_param) == (True, 0)
        assert said["log_format"].string_param == "default"
        assert client.update_log_settings({"log_info": False}).settings["log_info"].bool_param is False
        assert client.update_log_settings({"log_verbose_level": 1}).settings["log_info"].bool_param is True
        for change, status in (
            ({"log_format": "ISO8601"}, "UNIMPLEMENTED"),
            ({"log_error": False}, "INVALID_ARGUMENT"),
            ({"nonsense": True}, "INVALID_ARGUMENT"),
        ):
            with pytest.raises(InferenceServerException) as caught:
                client.update_log_settings(change)
            assert caught.value.status() == f"StatusCode.{status}"

    in_thread(work)


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_inference_with_classes_parameters_and_compression(compression: str | None) -> None:
    def work(client: Any, door: Door) -> None:
        found = client.infer("add", inputs(), request_id="7", compression_algorithm=compression, priority=3)
        assert found.as_numpy("SUM").tolist() == (2 * ROWS).tolist()
        assert found.get_response().id == "7"
        wanted = [sync_client.InferRequestedOutput("SUM", class_count=2)]
        found = client.infer("add", inputs(), outputs=wanted, sequence_id="cam", sequence_start=True)
        assert found.as_numpy("SUM").tolist() == [[b"8:3:z", b"6:2:y"], [b"80:3:z", b"60:2:y"]]
        assert door.models.calls[-1].sequence is not None

    in_thread(work)


def test_texts_go_there_and_back() -> None:
    def work(client: Any, _door: Door) -> None:
        texts = np.array([b"", b"one", "zw\u00f6lf".encode()], np.object_)
        tensor = sync_client.InferInput("IN", [3], "BYTES")
        tensor.set_data_from_numpy(texts)
        assert client.infer("echo", [tensor]).as_numpy("OUT").tolist() == texts.tolist()

    in_thread(work)


def test_a_stream_of_the_client_with_threads() -> None:
    def work(client: Any, _door: Door) -> None:
        answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
        client.start_stream(lambda result, error: answers.put((result, error)))
        for name in ("add", "nope", "add"):
            client.async_stream_infer(name, inputs(), request_id=name, enable_empty_final_response=True)
        got = [answers.get(timeout=30) for _ in range(3)]
        client.stop_stream()
        assert [error is None for _, error in got] == [True, False, True]
        assert got[2][0].as_numpy("SUM").tolist() == (2 * ROWS).tolist()
        assert "refused.unknown_model" in str(got[1][1])

    in_thread(work)


def test_the_asynchronous_client() -> None:
    async def run() -> None:
        async with open_door() as door, aio_client.InferenceServerClient(door.address) as client:
            assert await client.is_server_ready()
            found = await asyncio.gather(
                *(
                    client.infer("add", inputs(aio_client), request_id=str(n), client_timeout=20)
                    for n in range(20)
                )
            )
            assert [each.get_response().id for each in found] == [str(n) for n in range(20)]

            async def requests() -> AsyncIterator[dict[str, Any]]:
                for n in range(5):
                    yield {"model_name": "add", "inputs": inputs(aio_client), "request_id": str(n)}

            ids = []
            async for result, error in client.stream_infer(requests()):
                assert error is None
                ids.append(result.get_response().id)
            assert ids == ["0", "1", "2", "3", "4"]

    asyncio.run(run())


def test_a_call_that_the_asynchronous_client_cancels() -> None:
    async def run() -> None:
        async with open_door() as door, aio_client.InferenceServerClient(door.address) as client:
            tensor = aio_client.InferInput("IN", [1], "UINT8")
            tensor.set_data_from_numpy(np.zeros(1, np.uint8))
            waiting = asyncio.ensure_future(client.infer("slow", [tensor], request_id="a"))
            await door.models.until_changed()
            waiting.cancel()
            await door.models.until_changed()
            assert door.models.cancelled == ["a"]
            await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(run())


def test_tensors_in_shared_memory() -> None:
    def work(client: Any, door: Door) -> None:
        client.unregister_system_shared_memory()
        client.unregister_cuda_shared_memory()
        assert len(client.get_cuda_shared_memory_status().regions) == 0
        size = ROWS.nbytes
        region = shm.create_shared_memory_region("tensors", "/rpc_test_tensors", 3 * size)
        try:
            shm.set_shared_memory_region(region, [ROWS, ROWS])
            client.register_system_shared_memory("tensors", "/rpc_test_tensors", 3 * size)
            with pytest.raises(InferenceServerException, match="ALREADY_EXISTS"):
                client.register_system_shared_memory("tensors", "/rpc_test_tensors", 3 * size)
            status = client.get_system_shared_memory_status().regions
            assert (status["tensors"].key, status["tensors"].byte_size) == ("/rpc_test_tensors", 3 * size)
            placed = [sync_client.InferInput(name, list(ROWS.shape), "INT32") for name in ("A", "B")]
            placed[0].set_shared_memory("tensors", size)
            placed[1].set_shared_memory("tensors", size, offset=size)
            out = sync_client.InferRequestedOutput("SUM")
            out.set_shared_memory("tensors", size, offset=2 * size)
            found = client.infer("add", placed, outputs=[out])
            assert list(found.get_response().raw_output_contents) == [b""]
            written = shm.get_contents_as_numpy(region, np.int32, list(ROWS.shape), 2 * size)
            assert written.tolist() == (2 * ROWS).tolist()
            del written
            # One in shared memory, the other raw: raw entries are for the others alone.
            mixed = [placed[0], inputs()[1]]
            assert client.infer("add", mixed).as_numpy("SUM").tolist() == (2 * ROWS).tolist()
            placed[0].set_shared_memory("tensors", size, offset=3 * size)
            with pytest.raises(InferenceServerException, match="Invalid offset for shared memory region"):
                client.infer("add", placed)
            client.unregister_system_shared_memory("tensors")
            assert len(door.regions.status()) == 0
        finally:
            shm.destroy_shared_memory_region(region)
        with pytest.raises(InferenceServerException, match="UNIMPLEMENTED"):
            client.register_cuda_shared_memory("c", b"\0" * 64, 0, 64)

    in_thread(work)
