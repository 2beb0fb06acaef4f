"""The clients that applications use work against the door with nothing special."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import subprocess
import uuid
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.serving.rest.served import Served, served

with warnings.catch_warnings():
    # The client's own libraries warn while they are imported.
    warnings.simplefilter("ignore")
    import tritonclient.http as triton
    import tritonclient.http.aio as triton_aio
    import tritonclient.utils.shared_memory as triton_memory
    from tritonclient.utils import InferenceServerException, np_to_triton_dtype

LEFT = np.arange(16, dtype=np.int32).reshape(1, 16)
RIGHT = np.full((1, 16), 3, np.int32)


@pytest.fixture(scope="module")
def door() -> Iterator[Served]:
    with served() as opened:
        yield opened


@pytest.fixture
def client(door: Served) -> Iterator[triton.InferenceServerClient]:
    with contextlib.closing(triton.InferenceServerClient(door.address)) as opened:
        yield opened


def given(name: str, array: np.ndarray[Any, Any], *, binary: bool = True) -> triton.InferInput:
    tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def test_triton_looks_at_everything(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("add_sub")
    assert client.is_model_ready("add_sub", "2-rc.1")
    assert not client.is_model_ready("nope")
    assert client.get_server_metadata()["name"] == "gateway"
    assert client.get_model_metadata("add_sub")["inputs"][0]["datatype"] == "INT32"
    assert client.get_model_config("add_sub")["input"][0]["data_type"] == "TYPE_INT32"
    assert client.get_inference_statistics("add_sub")["model_stats"][0]["name"] == "add_sub"
    assert len(client.get_inference_statistics()["model_stats"]) > 1
    assert client.get_trace_settings()["trace_level"] == ["OFF"]
    assert client.get_log_settings()["log_info"] is True
    assert client.update_log_settings({"log_verbose_level": 1})["log_verbose_level"] == 1
    assert client.get_model_repository_index()[0]["state"] == "READY"
    client.load_model("add_sub", config="{}", files={"file:1/model.onnx": b"abc"})
    client.load_model("add_sub", config=json.dumps(client.get_model_config("add_sub")))
    client.unload_model("add_sub", unload_dependents=True)
    assert client.get_cuda_shared_memory_status() == []
    client.unregister_cuda_shared_memory()


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_triton_infers(
    client: triton.InferenceServerClient, binary_in: bool, binary_out: bool | None
) -> None:
    inputs = [given("INPUT0", LEFT, binary=binary_in), given("INPUT1", RIGHT, binary=binary_in)]
    outputs = None
    if binary_out is not None:
        outputs = [triton.InferRequestedOutput(f"OUTPUT{at}", binary_data=binary_out) for at in (1, 0)]
    result = client.infer(
        "add_sub", inputs, outputs=outputs, request_id="a/1", priority=3, timeout=9_000_000, sequence_id=7
    )
    assert (result.as_numpy("OUTPUT0") == LEFT + RIGHT).all()
    assert (result.as_numpy("OUTPUT1") == LEFT - RIGHT).all()
    assert result.get_response()["id"] == "a/1"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_triton_compresses_both_ways(client: triton.InferenceServerClient, coding: str) -> None:
    array = np.zeros(5000, np.float32)
    result = client.infer(
        "same_fp32",
        [given("INPUT0", array)],
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    assert (result.as_numpy("OUTPUT0") == array).all()


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "uint16", "int64", "uint64", "float16", "float32", "float64"]
)
@pytest.mark.parametrize("binary", [True, False])
def test_triton_sends_every_datatype(client: triton.InferenceServerClient, dtype: str, binary: bool) -> None:
    """But half floats in JSON, for which the client has no words."""
    binary = binary or dtype == "float16"
    array = np.array([0, 1, 1], dtype)
    name = f"same_{np_to_triton_dtype(array.dtype).lower()}"
    outputs = [triton.InferRequestedOutput("OUTPUT0", binary_data=binary)]
    result = client.infer(name, [given("INPUT0", array, binary=binary)], outputs=outputs)
    back = result.as_numpy("OUTPUT0")
    assert back.dtype == array.dtype
    assert (back == array).all()


@pytest.mark.parametrize("binary", [True, False])
def test_triton_sends_texts(client: triton.InferenceServerClient, binary: bool) -> None:
    array = np.array(["grüße"], np.object_)
    outputs = [triton.InferRequestedOutput("OUTPUT0", binary_data=binary)]
    result = client.infer("same_bytes", [given("INPUT0", array, binary=binary)], outputs=outputs)
    back = result.as_numpy("OUTPUT0")[0]
    assert (back if isinstance(back, str) else back.decode()) == "grüße"


def test_triton_reads_nan_from_json_and_bytes(client: triton.InferenceServerClient) -> None:
    array = np.array([np.nan, 1.0], np.float32)
    for binary in (True, False):
        outputs = [triton.InferRequestedOutput("OUTPUT0", binary_data=binary)]
        back = client.infer("same_fp32", [given("INPUT0", array)], outputs=outputs).as_numpy("OUTPUT0")
        assert np.isnan(back[0])
        assert back[1] == 1.0


def test_triton_reads_classes(client: triton.InferenceServerClient) -> None:
    outputs = [triton.InferRequestedOutput("OUTPUT0", class_count=2)]
    result = client.infer("same_fp32", [given("INPUT0", np.array([1, 3, 2], np.float32))], outputs=outputs)
    assert list(result.as_numpy("OUTPUT0")) == [b"3.000000:1", b"2.000000:2"]


def test_triton_shares_memory(client: triton.InferenceServerClient) -> None:
    name = f"/rest-{uuid.uuid4().hex}"
    memory = triton_memory.create_shared_memory_region("both", name, 128)
    try:
        triton_memory.set_shared_memory_region(memory, [LEFT])
        client.unregister_system_shared_memory()
        client.register_system_shared_memory("both", name, 128)
        assert client.get_system_shared_memory_status()[0]["key"] == name
        tensor = triton.InferInput("INPUT0", [16], "INT32")
        tensor.set_shared_memory("both", 64)
        output = triton.InferRequestedOutput("OUTPUT0")
        output.set_shared_memory("both", 64, offset=64)
        result = client.infer("same_int32", [tensor], outputs=[output])
        assert result.get_output("OUTPUT0") == {"name": "OUTPUT0", "datatype": "INT32", "shape": [16]}
        back = triton_memory.get_contents_as_numpy(memory, np.int32, [16], offset=64)
        assert (back == LEFT.reshape(-1)).all()
        with pytest.raises(InferenceServerException, match="both"):
            client.register_system_shared_memory("both", name, 128)
        client.unregister_system_shared_memory("both")
        with pytest.raises(InferenceServerException, match="both"):
            client.infer("same_int32", [tensor], outputs=[output])
    finally:
        triton_memory.destroy_shared_memory_region(memory)


def test_triton_reads_errors(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="no model") as caught:
        client.infer("nope", [given("INPUT0", LEFT)])
    assert caught.value.status() == "404"
    with pytest.raises(InferenceServerException, match="not taken"):
        client.register_cuda_shared_memory("r", b"x", 0, 64)


def test_triton_asks_many_at_a_time(door: Served) -> None:
    with contextlib.closing(triton.InferenceServerClient(door.address, concurrency=4)) as client:
        inputs = [given("INPUT0", LEFT), given("INPUT1", RIGHT)]
        asked = [client.async_infer("add_sub", inputs) for _ in range(20)]
        assert all((each.get_result().as_numpy("OUTPUT0") == LEFT + RIGHT).all() for each in asked)


def test_triton_asks_from_a_loop(door: Served) -> None:
    async def run() -> None:
        async with triton_aio.InferenceServerClient(door.address) as client:
            assert await client.is_server_ready()
            # It asks for compression, and takes apart nothing but what models answer.
            assert len((await client.get_inference_statistics())["model_stats"]) > 10
            for binary in (True, False):
                inputs = [given("INPUT0", LEFT, binary=binary), given("INPUT1", RIGHT, binary=binary)]
                result = await client.infer("add_sub", inputs)
                assert (result.as_numpy("OUTPUT0") == LEFT + RIGHT).all()

    asyncio.run(run())


def fetch(door: Served, path: str, body: bytes | None = None) -> Any:
    """Ask with the headers of an ordinary HTTP library, and return the JSON of a good answer."""
    with contextlib.closing(http.client.HTTPConnection(door.address, timeout=30)) as client:
        headers = {"content-type": "application/json", "accept": "*/*", "user-agent": "python-httpx/0.28"}
        client.request("GET" if body is None else "POST", path, body, headers)
        answer = client.getresponse()
        assert answer.status == 200
        return json.load(answer)


def test_kserve_reads_health_by_its_body(door: Served) -> None:
    """What its client does: the status must be 200 and the body JSON with the very word."""
    for path, word in (("health/live", "live"), ("health/ready", "ready"), ("models/add_sub/ready", "ready")):
        assert fetch(door, f"/v2/{path}")[word] is True


def test_kserve_sends_what_its_client_sends(door: Served) -> None:
    """A request as it goes over the wire."""
    tensor = {"name": "INPUT0", "shape": [1, 16], "datatype": "INT32"}
    asked = {
        "id": "3f1c",
        "inputs": [
            {**tensor, "data": LEFT.reshape(-1).tolist()},
            {**tensor, "name": "INPUT1", "data": [1] * 16},
        ],
    }
    said = fetch(door, "/v2/models/add_sub/infer", json.dumps(asked).encode())
    assert (said["id"], said["model_name"]) == ("3f1c", "add_sub")
    assert said["outputs"][0]["data"] == (LEFT.reshape(-1) + 1).tolist()


def curl(*words: str, body: str = "") -> str:
    """Run curl and return what it says."""
    command = ["curl", "--silent", "--show-error", "--max-time", "30", *words]
    return subprocess.run(command, input=body, check=True, capture_output=True, text=True).stdout


def test_curl_asks(door: Served) -> None:
    tensor = {"name": "INPUT0", "shape": [2], "datatype": "FP32", "data": [1, 2.5]}
    url = f"{door.url}/v2/models/same_fp32/infer"
    said = curl("--data", json.dumps({"inputs": [tensor]}), url)
    assert json.loads(said)["outputs"][0]["data"] == [1.0, 2.5]
    assert curl("--head", f"{door.url}/v2/health/ready").startswith("HTTP/1.1 200")
    refused = curl("--include", "--request", "PUT", url)
    assert refused.startswith("HTTP/1.1 405")
    assert "allow: POST, OPTIONS" in refused.lower().replace("post", "POST").replace("options", "OPTIONS")
    assert "data: {" in curl("--data", '{"INPUT0":[1]}', f"{door.url}/v2/models/same_fp32/generate_stream")


def test_curl_asks_over_http_2(door: Served) -> None:
    tensor = {"name": "INPUT0", "shape": [50_000], "datatype": "INT32", "data": [7] * 50_000}
    url = f"{door.url}/v2/models/same_int32/infer"
    asked = ("--http2-prior-knowledge", "--data-binary", "@-", "--write-out", " %{http_version}", url)
    said = curl(*asked, body=json.dumps({"inputs": [tensor]}))
    assert said.endswith(" 2")
    assert json.loads(said[:-2])["outputs"][0]["data"] == [7] * 50_000


def test_prometheus_reads_what_the_door_counted(door: Served) -> None:
    curl(f"{door.url}/v2/health/live")
    said = curl(f"{door.url}/metrics")
    assert 'gateway_door_requests_total{door="http",method="live",outcome="done"}' in said
    assert json.loads(curl(f"{door.url}/readyz"))["ready"] is False


def test_who_hangs_up_is_not_worked_for() -> None:
    with served() as door:
        body = json.dumps(
            {"inputs": [{"name": "INPUT0", "shape": [1, 16], "datatype": "INT32", "data": [0] * 16}]}
        ).encode()
        host, port = door.address.split(":")
        with socket.create_connection((host, int(port))) as client:
            head = f"host: {door.address}\r\ncontent-length: {len(body)}\r\n\r\n"
            client.sendall(b"POST /v2/models/slow/infer HTTP/1.1\r\n" + head.encode() + body)
            door.wait(lambda house: house.models.begun)
        door.wait(lambda house: house.models.left)
        assert door.within(lambda: door.house.models.cancelled) == 1
