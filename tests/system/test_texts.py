"""Models of text (``BYTES``), dropped in without a card and asked through every door of a running daemon."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from gateway.cli.main import main
from gateway.errors import GatewayError
from gateway.inference.texts import join_bytes
from gateway.serving.rpc import protocol
from gateway.serving.shared_memory.client import MemoryClient
from tests import onnx_writer
from tests.broker import Broker
from tests.serving.rpc.requests import request
from tests.system.running import Client, Daemon, subscribed, until

TEXT = [["", "zwölf"], ["a\0b", "日本" * 300]]
MORE = [["x"], ["y"]]
WORDS = {
    "inputs": [
        {"name": "text", "datatype": "BYTES", "shape": [2, 2], "data": TEXT},
        {"name": "more", "datatype": "BYTES", "shape": [2, 1], "data": MORE},
    ]
}


@dataclass(frozen=True)
class World:
    """A daemon with models of text, its broker, and where its memory door is."""

    daemon: Daemon
    broker: Broker
    memory: str


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("texts")
    drops = folder / "models"
    drops.mkdir()
    onnx_writer.words(drops / "words.onnx")
    onnx_writer.doubled(drops / "doubled.onnx")
    settings = (f"serving.shared_memory.socket={folder}/memory", f"serving.models_dir={drops}")
    with (
        Broker("log_type subscribe") as broker,
        Daemon(folder, "gateway: {id: test}\n", broker.url, *settings) as daemon,
    ):
        daemon.ready()
        subscribed(broker, "gw/test/v2/models/+/infer")
        for model in ("words", "doubled"):
            until(lambda model=model: daemon.page(f"/v2/models/{model}/ready")[0] == 200, model)  # type: ignore[misc]
        yield World(daemon, broker, f"{folder}/memory")
        assert daemon.stop() == 0


def _asked(kind: Any, **arrays: list[list[str]]) -> list[Any]:
    asked = []
    for name, texts in arrays.items():
        array = np.array([[each.encode() for each in row] for row in texts], np.object_)
        asked.append(kind(name, list(array.shape), "BYTES"))
        asked[-1].set_data_from_numpy(array)
    return asked


def _decoded(array: Any) -> list[list[str]]:
    return [[each.decode() for each in row] for row in array.tolist()]


def test_metadata_and_configuration_call_it_by_its_names(world: World) -> None:
    said = json.loads(world.daemon.page("/v2/models/words")[1])
    assert said["inputs"] == [
        {"name": "text", "datatype": "BYTES", "shape": [-1, 2]},
        {"name": "more", "datatype": "BYTES", "shape": [-1, 1]},
    ]
    config = json.loads(world.daemon.page("/v2/models/words/config")[1])
    assert config["output"][0]["data_type"] == "TYPE_STRING"
    assert config["max_batch_size"] > 1


def test_texts_go_through_every_door_unharmed(world: World) -> None:
    with contextlib.closing(tritonclient.http.InferenceServerClient(world.daemon.http)) as http:
        found = http.infer("words", _asked(tritonclient.http.InferInput, text=TEXT, more=MORE))
        assert _decoded(found.as_numpy("shout")) == TEXT
        assert _decoded(found.as_numpy("first")) == MORE
    with contextlib.closing(tritonclient.grpc.InferenceServerClient(world.daemon.grpc)) as rpc:
        found = rpc.infer("words", _asked(tritonclient.grpc.InferInput, text=TEXT, more=MORE))
        assert _decoded(found.as_numpy("shout")) == TEXT
        assert _decoded(found.as_numpy("first")) == MORE
    with MemoryClient(world.memory) as memory:
        given = {"text": np.array(TEXT, np.object_), "more": np.array(MORE, np.object_)}
        assert _decoded(memory.infer("words", given)["shout"]) == TEXT
    with Client(world.broker.port) as client:
        client.subscribe("app/texts")
        client.publish("gw/test/v2/models/words/infer", json.dumps(WORDS), response_topic="app/texts")
        said = {each["name"]: each["data"] for each in client.result()["outputs"]}
        assert said == {"shout": [*TEXT[0], *TEXT[1]], "first": ["x", "y"]}


def test_typed_contents_and_raw_ones_mean_the_same(world: World) -> None:
    made = request("words")
    for name, texts in (("text", TEXT), ("more", MORE)):
        tensor = made.inputs.add(name=name, datatype="BYTES", shape=[2, len(texts[0])])
        tensor.contents.bytes_contents.extend(each.encode() for row in texts for each in row)
    with grpc.insecure_channel(world.daemon.grpc) as channel:
        answer = channel.unary_unary(f"/{protocol.INFERENCE}/ModelInfer")(made.SerializeToString())
    said = protocol.parsed(protocol.message("inference.ModelInferResponse"), answer)
    assert [each.datatype for each in said.outputs] == ["BYTES", "BYTES"]
    assert list(said.raw_output_contents) == [
        join_bytes([each.encode() for row in texts for each in row]) for texts in (TEXT, MORE)
    ]


def test_texts_lie_in_shared_memory_both_ways(world: World) -> None:
    data = join_bytes([b"left", b"right"])
    region = shared_memory.SharedMemory(create=True, size=4096)
    assert region.buf is not None
    try:
        region.buf[: len(data)] = data
        with contextlib.closing(tritonclient.http.InferenceServerClient(world.daemon.http)) as http:
            http.register_system_shared_memory("texts", f"/{region.name.lstrip('/')}", 4096)
            asked = tritonclient.http.InferInput("text", [1, 2], "BYTES")
            asked.set_shared_memory("texts", len(data))
            wanted = tritonclient.http.InferRequestedOutput("doubled")
            wanted.set_shared_memory("texts", 2048, 2048)
            http.infer("doubled", [asked], outputs=[wanted])
            http.unregister_system_shared_memory("texts")
        assert bytes(region.buf[2048 : 2048 + 2 * len(data)]) == data + data
    finally:
        region.close()
        region.unlink()


def test_generate_takes_plain_text(world: World) -> None:
    with contextlib.closing(tritonclient.http.InferenceServerClient(world.daemon.http)) as http:
        answer = http._post("v2/models/doubled/generate", json.dumps({"text": "quiet"}), {}, {})
        assert json.loads(answer.read())["doubled"] == ["quiet", "quiet"]


def test_the_command_takes_texts_from_a_file(
    world: World, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.json").write_text(json.dumps([["so", "long"]]))
    assert (
        main(
            ["infer", "--url", f"http://{world.daemon.http}", "doubled", f"text={tmp_path}/in.json", "--json"]
        )
        == 0
    )
    assert json.loads(capfd.readouterr().out)["outputs"][0]["data"] == ["so", "long", "so", "long"]


def test_what_is_no_text_is_refused_and_its_batch_mates_are_answered(world: World) -> None:
    kind = tritonclient.http.InferInput
    client = tritonclient.http.InferenceServerClient(world.daemon.http, concurrency=8)
    with contextlib.closing(client) as http:
        bad = kind("text", [1, 2], "BYTES")
        bad.set_data_from_numpy(np.array([[b"fine", b"\xff"]], np.object_))
        good, more = _asked(kind, text=[["a", "b"]], more=[["c"]])
        calls = [(text, http.async_infer("words", [text, more])) for text in (bad, good, good) * 8]
        for text, call in calls:
            if text is good:
                assert _decoded(call.get_result().as_numpy("shout")) == [["a", "b"]]
                continue
            with pytest.raises(InferenceServerException, match="element 1 is no UTF-8") as caught:
                call.get_result()
            assert caught.value.status() == "400"


@pytest.mark.parametrize(
    ("shape", "datatype", "words"),
    [([1, 3], "BYTES", "has shape"), ([1, 2], "INT32", "is INT32, the model takes BYTES")],
)
def test_what_does_not_fit_is_said(world: World, shape: list[int], datatype: str, words: str) -> None:
    with contextlib.closing(tritonclient.http.InferenceServerClient(world.daemon.http)) as http:
        asked = tritonclient.http.InferInput("text", shape, datatype)
        array = np.full(shape, b"x", np.object_) if datatype == "BYTES" else np.zeros(shape, np.int32)
        asked.set_data_from_numpy(array)
        (more,) = _asked(tritonclient.http.InferInput, more=[["c"]])
        with pytest.raises(InferenceServerException, match=words):
            http.infer("words", [asked, more])


def test_text_has_no_greatest_elements(world: World) -> None:
    with contextlib.closing(tritonclient.http.InferenceServerClient(world.daemon.http)) as http:
        wanted = tritonclient.http.InferRequestedOutput("shout", class_count=2)
        asked = _asked(tritonclient.http.InferInput, text=TEXT, more=MORE)
        with pytest.raises(InferenceServerException, match="output shout is text"):
            http.infer("words", asked, outputs=[wanted])


def test_the_memory_door_says_which_text_is_none(world: World) -> None:
    with MemoryClient(world.memory) as memory:
        given = {"text": np.array([[b"\xc3(", b"x"]], np.object_), "more": np.array([["c"]], np.object_)}
        with pytest.raises(GatewayError, match="element 0 is no UTF-8"):
            memory.infer("words", given)
