"""The REST door, asked without sockets: every page, every refusal, and nobody waited for who has left."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import zlib
from typing import Any

import numpy as np
import pytest

from gateway.errors import (
    DeadlineRunning,
    GatewayBug,
    GatewayError,
    NotReady,
    Overloaded,
    RateLimited,
    RunFailed,
    WorkerCrashed,
)
from gateway.operations.events import Level
from gateway.serving.access.policy import Policy
from gateway.serving.rest.routes import ROUTES
from tests.serving.rest.rest_house import RestHouse, nothing_left

LEFT = np.arange(16, dtype="<i4").reshape(1, 16)
INFER = "/v2/models/add_sub/infer"


def wide(name: str, data: Any = None) -> dict[str, Any]:
    return {
        "name": name,
        "shape": [1, 16],
        "datatype": "INT32",
        "data": LEFT.tolist() if data is None else data,
    }


def both(**more: Any) -> dict[str, Any]:
    return {"inputs": [wide("INPUT0"), wide("INPUT1")], **more}


def test_the_server_says_what_it_is_and_does() -> None:
    house = RestHouse(name="bench")
    for path in ("/v2", "/v2/"):
        got = house.get("GET", path)
        assert (got.status, got.headers["content-type"]) == (200, "application/json")
        assert got.json["name"] == "bench"
        assert "system_shared_memory" in got.json["extensions"]
        assert "cuda_shared_memory" not in got.json["extensions"]


def test_health_has_a_status_for_one_client_and_a_body_for_another() -> None:
    house = RestHouse()
    assert house.get("GET", "/v2/health/live").json == {"live": True}
    assert house.get("GET", "/v2/health/ready").json == {"ready": True}
    assert house.get("GET", "/v2/models/add_sub/ready").json == {"name": "add_sub", "ready": True}
    house.models.is_up = False
    got = house.get("GET", "/v2/health/ready")
    assert (got.status, got.json) == (503, {"ready": False})
    got = house.get("GET", "/v2/models/add_sub/versions/2-rc.1/ready")
    assert (got.status, got.json) == (503, {"name": "add_sub", "ready": False})


def test_a_model_says_what_it_takes() -> None:
    got = RestHouse().get("GET", "/v2/models/add_sub/versions/2-rc.1").json
    assert got["inputs"][0] == {"name": "INPUT0", "datatype": "INT32", "shape": [-1, 16]}
    assert (got["name"], got["versions"], got["platform"]) == ("add_sub", ["1", "2-rc.1"], "onnxruntime_onnx")


def test_statistics_are_of_one_model_or_of_all() -> None:
    house = RestHouse()
    (one,) = house.get("GET", "/v2/models/add_sub/stats").json["model_stats"]
    assert (one["name"], one["inference_stats"]["success"]) == ("add_sub", {"count": 1, "ns": 1000})
    assert one["batch_stats"][0]["batch_size"] == 1
    every = house.get("GET", "/v2/models/stats").json["model_stats"]
    assert {each["name"] for each in every} == set(house.models.views)


def test_an_inference_in_json_is_answered_in_json_flat() -> None:
    house = RestHouse()
    got = house.get("POST", INFER, both(id="a"), {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
    assert got.status == 200
    assert got.json["outputs"][0] == {
        "name": "OUTPUT0",
        "datatype": "INT32",
        "shape": [1, 16],
        "data": (LEFT * 2).reshape(-1).tolist(),
    }
    assert (got.json["id"], got.json["model_name"], got.json["model_version"]) == ("a", "add_sub", "1")
    (call,) = house.models.calls
    assert (call.caller, call.trace[:2]) == ("127.0.0.1", "00")


def test_bytes_in_and_out_and_mixed_with_json() -> None:
    house = RestHouse()
    inputs = [
        {"name": "INPUT0", "shape": [1, 16], "datatype": "INT32", "parameters": {"binary_data_size": 64}},
        wide("INPUT1"),
    ]
    outputs = [{"name": "OUTPUT1"}, {"name": "OUTPUT0", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    got = house.get("POST", INFER, head + LEFT.tobytes(), {"Inference-Header-Content-Length": str(len(head))})
    length = int(got.headers["inference-header-content-length"])
    said = json.loads(got.body[:length])
    assert got.headers["content-type"] == "application/octet-stream"
    assert [each["name"] for each in said["outputs"]] == ["OUTPUT1", "OUTPUT0"]
    assert said["outputs"][0]["data"] == [0] * 16
    assert said["outputs"][1]["parameters"] == {"binary_data_size": 64}
    assert got.body[length:] == (LEFT * 2).tobytes()


def test_a_raw_body_is_the_one_input_and_is_answered_in_bytes() -> None:
    house = RestHouse()
    body = np.array([1.5, -2.0], "<f4").tobytes()
    got = house.get("POST", "/v2/models/same_fp32/infer", body, {"inference-header-content-length": "0"})
    length = int(got.headers["inference-header-content-length"])
    assert got.body[length:] == body
    assert json.loads(got.body[:length])["outputs"][0]["shape"] == [2]


def test_nan_is_null_in_json_with_a_word_about_it_and_exact_in_bytes() -> None:
    house = RestHouse()
    body = np.array([np.nan, np.inf, 1], "<f4").tobytes()
    asked: dict[str, Any] = {
        "inputs": [
            {"name": "INPUT0", "shape": [3], "datatype": "FP32", "parameters": {"binary_data_size": 12}}
        ]
    }
    head = json.dumps(asked).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    got = house.get("POST", "/v2/models/same_fp32/infer", head + body, headers)
    assert got.json["outputs"][0]["data"] == [None, None, 1.0]
    assert got.json["parameters"] == {"not_finite_outputs": "OUTPUT0"}
    head = json.dumps({**asked, "parameters": {"binary_data_output": True}}).encode()
    got = house.get(
        "POST", "/v2/models/same_fp32/infer", head + body, {"Inference-Header-Content-Length": str(len(head))}
    )
    assert got.body.endswith(body)


def test_classes_are_asked_for_and_said() -> None:
    asked = {
        "inputs": [{"name": "INPUT0", "shape": [3], "datatype": "FP32", "data": [1, 3, 2]}],
        "outputs": [{"name": "OUTPUT0", "parameters": {"classification": 2}}],
    }
    got = RestHouse().get("POST", "/v2/models/same_fp32/infer", asked)
    assert got.json["outputs"][0]["data"] == ["3.000000:1", "2.000000:2"]


def test_a_deadline_that_a_request_names_is_kept_and_bounded() -> None:
    house = RestHouse(timeout_s=30.0, max_timeout_s=60.0)
    for timeout, wanted in ((None, 30.0), (0, 30.0), (1_500_000, 1.5), (10**12, 60.0)):
        house.get("POST", INFER, both(parameters={} if timeout is None else {"timeout": timeout}))
        call = house.models.calls[-1]
        assert call.deadline_s - call.arrived_s == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("error", "status", "label", "retry"),
    [
        (Overloaded("full"), 503, "unavailable.overloaded", "1"),
        (NotReady("loading", retry_after_s=2.1), 503, "unavailable.not_ready", "3"),
        (RateLimited("slow down", retry_after_s=0.2), 429, "unavailable.rate_limited", "1"),
        (DeadlineRunning("late"), 504, "deadline.running", None),
        (RunFailed("boom"), 500, "engine.run", None),
        (GatewayBug("secret"), 500, "bug", None),
        (KeyError("secret"), 500, "bug", None),
    ],
)
def test_what_a_model_raises_is_told_in_json_with_its_status(
    error: GatewayError | Exception, status: int, label: str, retry: str | None
) -> None:
    house = RestHouse()
    house.models.fails = error
    got = house.get("POST", INFER, both())
    assert (got.status, got.json["label"], got.headers.get("retry-after")) == (status, label, retry)
    assert isinstance(got.json["error"], str)
    assert "secret" not in got.body.decode()
    counted = [key for key, value in house.metrics.door_requests.values() if value]
    assert counted == [("http", "infer", label)]


def test_every_stage_of_an_error_is_told() -> None:
    house = RestHouse()
    error = WorkerCrashed("ended", model="add_sub")
    error.__cause__ = RunFailed("boom", release="7", stage="run")
    house.models.fails = error
    got = house.get("POST", INFER, both()).json
    assert got["details"] == [
        {"label": "unavailable.worker_crashed", "error": "ended", "model": "add_sub"},
        {"label": "engine.run", "error": "boom", "release": "7", "stage": "run"},
    ]


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/v2/models/nope/infer", b"nonsense", {}, 404),
        ("/v2/models/nope/infer", b'{"inputs":[]}', {}, 404),
        ("/v2/models/add_sub/versions/9/infer", b'{"inputs":[]}', {}, 404),
        (INFER, b"nonsense", {}, 400),
        (INFER, b"", {}, 400),
        (INFER, b'{"inputs":[]}', {}, 400),
        (INFER, b'{"inputs":[]}', {"content-type": "image/png"}, 415),
        (INFER, b'{"inputs":[]}', {"content-encoding": "br"}, 415),
        (INFER, b'{"inputs":[]}', {"content-encoding": "gzip, gzip"}, 415),
        (INFER, b'{"inputs":[]}', {"content-encoding": "gzip"}, 400),
        (INFER, b'{"inputs":[]}', {"inference-header-content-length": "abc"}, 400),
        (INFER, b'{"inputs":[]}', {"inference-header-content-length": "99"}, 400),
        (INFER, b"[" * 100, {}, 413),
        (INFER, b"x" * 70_000, {}, 413),
        (INFER, b"", {"content-length": "99999999"}, 413),
        (INFER, gzip.compress(b" " * 5_000_000), {"content-encoding": "gzip"}, 413),
        (INFER, zlib.compress(b" " * 5_000_000), {"content-encoding": "deflate"}, 413),
        ("/v2/repository/models/nope/load", b"", {}, 404),
        ("/v2/repository/models/nope/unload", b"", {}, 404),
        ("/v2/cudasharedmemory/region/r/register", b"", {}, 400),
        ("/v2/systemsharedmemory/region/r/register", b'{"key":"/nope","byte_size":64}', {}, 404),
        ("/v2/systemsharedmemory/region/r/register", b'{"key":"/nope"}', {}, 400),
        ("/v2/logging", b'{"log_file":"/tmp/x"}', {}, 400),
        ("/v2/logging", b'{"log_error":false}', {}, 400),
        ("/v2/logging", b'{"log":1}', {}, 400),
        ("/v2/logging", b'{"log_info":true,"log_warning":false}', {}, 400),
        ("/v2/logging", b'{"log_verbose_level":1,"log_info":false}', {}, 400),
        ("/v2/systemsharedmemory/region/%07/unregister", b"", {}, 400),
        ("/v2/trace/setting", b'{"trace_level":["TIMESTAMPS"]}', {}, 400),
        ("/v2/models/nope/trace/setting", b"{}", {}, 404),
        ("/v2/nope", b"", {}, 404),
        ("/v2/models/a%ffb/infer", b"", {}, 404),
    ],
)  # fmt: skip
def test_every_refusal_has_its_status_and_a_sentence(
    path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    house = RestHouse(max_body_bytes=65_536)
    got = house.get("POST", path, body, headers)
    assert got.status == status, got.body
    assert got.headers["content-type"] == "application/json"
    assert got.json["error"]
    assert house.app._room.used_bytes == 0


def test_a_body_in_parts_is_bounded_in_all() -> None:
    house = RestHouse(max_body_bytes=65_536)
    got = asyncio.run(house.ask("POST", INFER, [b"x" * 30_000] * 3))
    assert got is not None
    assert got.status == 413


def test_all_bodies_together_are_bounded() -> None:
    house = RestHouse(max_body_bytes=65_536)
    house.app._room.take(4 * 65_536 - 10)
    got = house.get("POST", INFER, both())
    assert (got.status, got.json["label"]) == (503, "unavailable.overloaded")
    house.app._room.give_back(4 * 65_536 - 10)
    assert house.get("POST", INFER, both()).status == 200
    assert house.app._room.used_bytes == 0


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_wrong_methods_are_refused_with_those_that_are_right(route: Any) -> None:
    path = re.sub(r"\{\w+\}", "x", route.path)
    house = RestHouse()
    got = house.get("DELETE", path)
    assert got.status == 405
    assert route.method in got.headers["allow"]
    assert ("HEAD" in got.headers["allow"]) == ("GET" in got.headers["allow"])
    options = house.get("OPTIONS", path)
    assert (options.status, options.headers["allow"], options.body) == (204, got.headers["allow"], b"")


def test_head_is_get_without_a_body() -> None:
    house = RestHouse()
    got, head = (house.get(method, "/v2/models/add_sub/config") for method in ("GET", "HEAD"))
    assert head.body == b""
    assert head.headers == got.headers
    assert int(head.headers["content-length"]) == len(got.body)


@pytest.mark.parametrize("unpack", [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
def test_both_ways_may_be_compressed(unpack: Any) -> None:
    encoding, taken_apart = unpack
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    house = RestHouse()
    got = house.get(
        "POST",
        "/v2/models/same_int32/infer",
        pack(
            json.dumps(
                {"inputs": [{"name": "INPUT0", "shape": [999], "datatype": "INT32", "data": [7] * 999}]}
            ).encode()
        ),
        {"content-encoding": encoding, "accept-encoding": f"br, {encoding};q=0.5"},
    )
    assert got.headers["content-encoding"] == encoding
    assert json.loads(taken_apart(got.body))["outputs"][0]["data"] == [7] * 999


def test_tensors_in_bytes_are_compressed_for_those_alone_who_ask_for_just_that() -> None:
    house = RestHouse()
    body = np.zeros(999, "<f4").tobytes()
    raw = {"inference-header-content-length": "0"}
    path = "/v2/models/same_fp32/infer"
    assert (
        "content-encoding"
        not in house.get("POST", path, body, {**raw, "accept-encoding": "gzip, deflate"}).headers
    )
    got = house.get("POST", path, body, {**raw, "accept-encoding": "gzip"})
    length = int(got.headers["inference-header-content-length"])
    assert gzip.decompress(got.body)[length:] == body


def test_the_repository_lists_loads_and_unloads() -> None:
    house = RestHouse()
    every = house.get("POST", "/v2/repository/index").json
    assert every[-1] == {"name": "zzz", "version": "", "state": "UNAVAILABLE", "reason": "unloaded"}
    ready = house.get("POST", "/v2/repository/index", {"ready": True}).json
    assert {each["state"] for each in ready} == {"READY"}
    parameters = {"config": "{}", "file:1/model.onnx": "AAAA"}
    assert house.get("POST", "/v2/repository/models/add_sub/load", {"parameters": parameters}).status == 200
    assert house.models.loaded == [("add_sub", parameters)]
    asked = {"parameters": {"unload_dependents": True}}
    assert house.get("POST", "/v2/repository/models/add_sub/unload", asked).status == 200


def test_the_log_level_is_told_and_changed_in_the_protocols_words() -> None:
    house = RestHouse()
    before = house.get("GET", "/v2/logging").json
    assert (before["log_info"], before["log_verbose_level"]) == (True, 0)
    for change, level in (
        ({"log_verbose_level": 1}, Level.DEBUG),
        ({"log_info": False}, Level.WARNING),
        ({"log_warning": False}, Level.ERROR),
        ({"log_info": True}, Level.INFO),
        ({"log_verbose_level": 1}, Level.DEBUG),
        ({"log_warning": True}, Level.DEBUG),
        ({"log_verbose_level": 0}, Level.INFO),
        ({"log_info": True, "log_warning": True}, Level.INFO),
        ({**before}, Level.INFO),
    ):
        got = house.get("POST", "/v2/logging", change)
        assert (got.status, house.log.level) == (200, level)
        assert got.json == house.get("GET", "/v2/logging").json
        assert change.items() <= got.json.items()


def test_traces_are_off_and_may_stay_so() -> None:
    house = RestHouse()
    now = house.get("GET", "/v2/models/add_sub/trace/setting").json
    assert now["trace_level"] == ["OFF"]
    for same in ({}, now, {"trace_level": None}, {"trace_level": "OFF"}):
        assert house.get("POST", "/v2/trace/setting", same).json == now


def test_cuda_memory_answers_what_example_programs_ask_first() -> None:
    house = RestHouse()
    assert house.get("GET", "/v2/cudasharedmemory/status").json == []
    assert house.get("POST", "/v2/cudasharedmemory/unregister").status == 200
    assert house.get("POST", "/v2/cudasharedmemory/region/r/unregister").status == 200
    assert house.get("GET", "/v2/cudasharedmemory/region/r/status").status == 404


def test_shared_memory_is_for_programs_of_this_machine() -> None:
    house = RestHouse(Policy(is_open=True))
    lies = {"shared_memory_region": "r", "shared_memory_byte_size": 64}
    tensor = {"name": "INPUT0", "shape": [16], "datatype": "INT32", "parameters": lies}
    asked = json.dumps({"inputs": [tensor]}).encode()
    for method, path, body in (
        ("GET", "/v2/systemsharedmemory/status", b""),
        ("POST", "/v2/systemsharedmemory/region/r/register", b"{}"),
        ("POST", "/v2/models/same_int32/infer", asked),
    ):
        got = asyncio.run(house.ask(method, path, body, client="192.0.2.7"))
        assert got is not None
        assert (got.status, got.json["label"]) == (403, "access.forbidden")


def test_who_is_not_known_is_told_so_before_its_body_is_read() -> None:
    house = RestHouse()
    got = asyncio.run(house.ask("POST", INFER, b"nonsense", client="192.0.2.7"))
    assert got is not None
    assert got.status in {401, 403}
    assert house.models.asked == 0


def test_plain_values_are_asked_and_answered() -> None:
    house = RestHouse()
    got = house.get(
        "POST", "/v2/models/same_bytes/generate", {"INPUT0": "hi", "id": "7", "timeout": 5_000_000}
    )
    assert got.json == {"OUTPUT0": "hi", "id": "7", "model_name": "same_bytes", "model_version": "1"}
    row = list(range(16))
    got = house.get("POST", "/v2/models/add_sub/generate", {"INPUT0": row, "INPUT1": [row]})
    assert got.json["OUTPUT0"] == [2 * each for each in row]
    stream = house.get(
        "POST", "/v2/models/same_fp32/generate_stream", {"INPUT0": 1.5, "parameters": {"max": 3}}
    )
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.body.startswith(b"data: {")
    assert stream.body.endswith(b"}\n\n")
    assert json.loads(stream.body[6:])["OUTPUT0"] == 1.5


@pytest.mark.parametrize(
    "asked",
    [
        {"INPUT0": [1] * 15, "INPUT1": [1] * 16},
        {"INPUT0": [[1], [2]]},
        {"INPUT0": None},
        {"INPUT0": 1, "x": {}},
        {"triton_x": 1},
    ],
)
def test_plain_values_that_do_not_fit_are_refused(asked: dict[str, Any]) -> None:
    assert RestHouse().get("POST", "/v2/models/add_sub/generate", asked).status == 400


def test_who_leaves_is_not_waited_for() -> None:
    async def run() -> None:
        house, leaves = RestHouse(), asyncio.Event()
        async with nothing_left():
            body = json.dumps({"inputs": [wide("INPUT0")]}).encode()
            asking = asyncio.ensure_future(house.ask("POST", "/v2/models/slow/infer", body, leaves=leaves))
            await house.models.begun.wait()
            leaves.set()
            assert await asking is None
            assert house.models.cancelled == 1
        assert dict(house.metrics.door_requests.values()) == {("http", "infer", "cancelled"): 1}
        assert house.app._room.used_bytes == 0

    asyncio.run(run())


def test_who_leaves_while_sending_asks_nothing() -> None:
    async def run() -> None:
        house, leaves = RestHouse(), asyncio.Event()
        leaves.set()
        assert await house.ask("POST", INFER, [], leaves=leaves) is None
        assert house.models.asked == 0

    asyncio.run(run())


def test_a_server_that_ends_the_application_ends_the_call() -> None:
    async def run() -> None:
        house = RestHouse()
        async with nothing_left():
            body = json.dumps({"inputs": [wide("INPUT0")]}).encode()
            asking = asyncio.ensure_future(house.ask("POST", "/v2/models/slow/infer", body))
            await house.models.begun.wait()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert house.models.cancelled == 1

    asyncio.run(run())


def test_a_deadline_ends_a_call_that_waits() -> None:
    got = RestHouse().get(
        "POST", "/v2/models/slow/infer", {"inputs": [wide("INPUT0")], "parameters": {"timeout": 1000}}
    )
    assert (got.status, got.json["label"]) == (504, "deadline.queued")


def test_other_protocols_are_not_spoken() -> None:
    with pytest.raises(ValueError, match="websocket"):
        asyncio.run(RestHouse().app({"type": "websocket"}, None, None))  # type: ignore[arg-type]
