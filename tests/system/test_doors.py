"""The running daemon's doors, asked by clients that others wrote: the same answer everywhere, always one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from gateway.serving.rpc import protocol
from gateway.serving.shared_memory.client import MemoryClient
from tests.broker import Broker
from tests.serving.rpc.requests import add_raw, request
from tests.system.running import MODELS, Client, Daemon, subscribed, until

CONFIG = f"""
gateway: {{id: test}}
inference: {{restart_min_s: 0.05, restart_max_s: 0.2, crash_limit: 1000}}
models:
  motion: {{path: {MODELS}/motion-int8-onnx, lanes: 2}}
  cold: {{path: {MODELS}/motion-int8, load: on_demand}}
aliases:
  detector:
    targets: [{{model: motion}}]
"""
Array = np.ndarray[Any, Any]
RANDOM = np.random.default_rng(5)
FRAME = RANDOM.normal(size=(2, 100, 6)).astype(np.float32)


@pytest.fixture
def daemon(tmp_path: Path, broker: Broker) -> Iterator[Daemon]:
    memory = f"serving.shared_memory.socket={tmp_path}/memory"
    with Daemon(tmp_path, CONFIG, broker.url, memory) as running:
        running.ready()
        subscribed(broker, "gw/test/v2/models/+/infer")
        yield running
        assert running.stop() == 0


def over_http(url: str, model: str, frame: Array = FRAME, **more: Any) -> Array:
    with contextlib.closing(tritonclient.http.InferenceServerClient(url)) as client:
        asked = tritonclient.http.InferInput("window", list(frame.shape), "FP32")
        asked.set_data_from_numpy(frame)
        found: Array = client.infer(model, [asked], **more).as_numpy("probabilities")
        return found


def over_grpc(url: str, model: str, frame: Array = FRAME, **more: Any) -> Array:
    with contextlib.closing(tritonclient.grpc.InferenceServerClient(url)) as client:
        asked = tritonclient.grpc.InferInput("window", list(frame.shape), "FP32")
        asked.set_data_from_numpy(frame)
        found: Array = client.infer(model, [asked], **more).as_numpy("probabilities")
        return found


def test_every_door_gives_the_same_bits(tmp_path: Path, daemon: Daemon, client: Client) -> None:
    answer = over_http(daemon.http, "motion")
    assert answer.shape == (2, 4)
    assert over_grpc(daemon.grpc, "motion").tobytes() == answer.tobytes()
    assert over_http(daemon.http, "detector").tobytes() == answer.tobytes()
    with MemoryClient(str(tmp_path / "memory")) as memory:
        assert memory.infer("motion", {"window": FRAME})["probabilities"].tobytes() == answer.tobytes()
    client.subscribe("app/answers")
    asked = {"inputs": [{"name": "window", "shape": [2, 100, 6], "datatype": "FP32", "data": FRAME.tolist()}]}
    client.publish("gw/test/v2/models/motion/infer", json.dumps(asked), response_topic="app/answers")
    said = client.result()
    assert np.array(said["outputs"][0]["data"], np.float32).tobytes() == answer.tobytes()
    status, page = daemon.page("/v2/models/motion/stats")
    assert status == 200
    assert json.loads(page)["model_stats"][0]["inference_count"] == 10
    _, metrics = daemon.page("/metrics")
    for door in ("http", "grpc", "memory"):
        assert f'door="{door}"'.encode() in metrics


@pytest.mark.parametrize(
    ("model", "label"), [("nobody", "refused.unknown_model"), ("motion", "refused.shape")]
)
def test_every_door_says_the_same_of_an_error(
    tmp_path: Path, daemon: Daemon, client: Client, model: str, label: str
) -> None:
    short = np.zeros((1, 3), np.float32)
    asked = {"inputs": [{"name": "window", "shape": [1, 3], "datatype": "FP32", "data": [0, 0, 0]}]}
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://{daemon.http}/v2/models/{model}/infer", json.dumps(asked).encode())
    with caught.value as answer:
        said = json.loads(answer.read())
    assert (said["label"], said["details"][0]["label"]) == (label, label)
    client.subscribe("app/answers")
    client.publish(f"gw/test/v2/models/{model}/infer", json.dumps(asked), response_topic="app/answers")
    assert client.result() == said
    made = request(model)
    add_raw(made, "window", short, "FP32")
    with grpc.insecure_channel(daemon.grpc) as channel, pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary(f"/{protocol.INFERENCE}/ModelInfer")(made.SerializeToString())
    assert json.loads(dict(failed.value.trailing_metadata())["gateway-error-bin"]) == said
    with MemoryClient(str(tmp_path / "memory")) as memory:
        region = memory.share("window", 4096)
        memory.submit(model, {"window": region.tensor((1, 3), np.float32)}, region.part(1024))
        head = memory._packet()
        assert (head["error"]["message"], head["error"]["label"]) == (said["error"], said["label"])
        assert head["details"] == said["details"]


def test_a_cold_model_is_known_at_once_and_loaded_by_its_first_request(daemon: Daemon) -> None:
    status, page = daemon.page("/v2/models/cold")
    assert status == 200
    assert json.loads(page)["inputs"][0]["shape"] == [1, 100, 6]
    with contextlib.closing(tritonclient.http.InferenceServerClient(daemon.http)) as client:
        assert client.is_model_ready("cold")
        name = json.loads(page)["inputs"][0]["name"]
        asked = tritonclient.http.InferInput(name, [1, 100, 6], json.loads(page)["inputs"][0]["datatype"])
        asked.set_data_from_numpy(np.zeros((1, 100, 6), _numpy(json.loads(page)["inputs"][0]["datatype"])))
        assert client.infer("cold", [asked], timeout=60_000_000).get_response()["model_name"] == "cold"
        client.unload_model("cold")
        index = {entry["name"]: entry["state"] for entry in client.get_model_repository_index()}
        assert index["cold"] == "UNAVAILABLE"
        assert client.infer("cold", [asked]).get_response()["model_name"] == "cold"
        client.unload_model("motion")
        with pytest.raises(InferenceServerException, match="unloaded"):
            over_http(daemon.http, "motion")
        client.load_model("motion")
        assert over_http(daemon.http, "motion").shape == (2, 4)


def _numpy(datatype: str) -> Any:
    return {"FP32": np.float32, "INT8": np.int8, "UINT8": np.uint8}[datatype]


def test_no_request_goes_unanswered_while_workers_die_and_the_broker_is_gone(
    daemon: Daemon, broker: Broker
) -> None:
    ended: Counter[str] = Counter()
    lock, over = threading.Lock(), threading.Event()

    def ask(door: Any, url: str) -> None:
        while not over.is_set():
            try:
                door(url, "motion", FRAME, client_timeout=20.0) if door is over_grpc else door(url, "motion")
                how = "done"
            except InferenceServerException as error:
                how = str(error.message())[:200]
            with lock:
                ended[how] += 1

    threads = [
        threading.Thread(target=ask, args=pair)
        for pair in ((over_http, daemon.http), (over_grpc, daemon.grpc)) * 2
    ]
    for thread in threads:
        thread.start()
    until(lambda: ended["done"] > 20)
    broker.kill()
    for _ in range(5):
        before, killed = sum(ended.values()), daemon.lanes("motion")[0]
        os.kill(killed, signal.SIGKILL)
        until(lambda gone=killed: len({*daemon.lanes("motion")} - {gone}) == 2)  # type: ignore[misc]
        until(lambda before=before: sum(ended.values()) > before + 20)  # type: ignore[misc]
    over.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    others = {how for how in ended if how != "done"}
    assert all("worker" in how for how in others), ended


def test_what_a_client_leaves_behind_is_never_run(daemon: Daemon) -> None:
    lanes = daemon.lanes("motion")
    for pid in lanes:
        os.kill(pid, signal.SIGSTOP)
    try:
        with contextlib.closing(tritonclient.grpc.InferenceServerClient(daemon.grpc)) as client:
            asked = tritonclient.grpc.InferInput("window", list(FRAME.shape), "FP32")
            asked.set_data_from_numpy(FRAME)
            calls = [client.async_infer("motion", [asked], lambda **_: None) for _ in range(20)]
            until(lambda: _gauge(daemon, 'gateway_queue_rows{model="motion"}') >= 10)
            for call in calls:
                call.cancel()
            until(lambda: _gauge(daemon, 'gateway_queue_rows{model="motion"}') == 0)
    finally:
        for pid in lanes:
            os.kill(pid, signal.SIGCONT)
    assert over_http(daemon.http, "motion").shape == (2, 4)


def test_a_request_is_answered_at_its_deadline_and_not_when_the_lane_is_done(daemon: Daemon) -> None:
    lanes = daemon.lanes("motion")
    for pid in lanes:
        os.kill(pid, signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        with pytest.raises(InferenceServerException, match="deadline"):
            over_http(daemon.http, "motion", timeout=300_000)
        with pytest.raises(InferenceServerException):
            over_grpc(daemon.grpc, "motion", client_timeout=0.3)
        assert time.monotonic() - began_s < 8.0  # less than it takes to see that a lane hangs
    finally:
        for pid in lanes:
            os.kill(pid, signal.SIGCONT)


def _gauge(daemon: Daemon, name: str) -> float:
    _, page = daemon.page("/metrics")
    line = next(line for line in page.decode().splitlines() if line.startswith(name))
    return float(line.rpartition(" ")[2])
