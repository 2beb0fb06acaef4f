"""The REST door, asked without sockets: every page says what it should."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from typing import Any

import numpy as np
import pytest

from gateway.errors import Malformed
from gateway.operations.events import Level
from gateway.serving.call import OutputTensor
from tests.serving.rest.rest_house import INFER, LEFT, RestHouse, both, wide


def test_the_server_says_what_it_is_and_does() -> None:
    house = RestHouse(name="bench")
    for path in ("/v2", "/v2/"):
        got = house.get("GET", path)
        assert (got.status, got.headers["content-type"]) == (200, "application/json")
        assert got.json["name"] == "bench"
        assert {"system_shared_memory", "schedule_policy"} <= {*got.json["extensions"]}
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
    runs = one["batch_stats"][0]
    assert runs["batch_size"] == 1
    # Whoever divides by the count finds one beside each time, of what takes none too.
    assert [runs[part]["count"] for part in ("compute_input", "compute_infer", "compute_output")] == [1, 1, 1]
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


def test_small_compressed_bodies_need_little_room_however_many_come_at_once() -> None:
    house = RestHouse()
    body = gzip.compress(json.dumps(both()).encode())

    async def ask_all() -> set[int]:
        asked = [house.ask("POST", INFER, body, {"content-encoding": "gzip"}) for _ in range(50)]
        return {got.status for got in await asyncio.gather(*asked) if got is not None}

    assert asyncio.run(ask_all()) == {200}


def test_compressed_bodies_count_as_what_they_become() -> None:
    house = RestHouse(max_body_bytes=1_000_000)
    body = gzip.compress(json.dumps({"inputs": [wide("INPUT0")]}).encode().ljust(900_000))

    async def ask_all() -> list[int]:
        path, headers = "/v2/models/slow/infer", {"content-encoding": "gzip"}
        held = []
        for _ in range(4):
            house.models.begun.clear()
            held.append(asyncio.ensure_future(house.ask("POST", path, body, headers)))
            await house.models.begun.wait()
        one_more = await house.ask("POST", path, body, headers)
        house.models.release.set()
        return [got.status for got in (one_more, *await asyncio.gather(*held)) if got is not None]

    assert asyncio.run(ask_all()) == [503, 200, 200, 200, 200]


def test_answers_that_nobody_takes_are_bounded_in_all_and_one_alone_is_not() -> None:
    house = RestHouse(max_body_bytes=100_000)
    path, raw = "/v2/models/same_fp32/infer", {"inference-header-content-length": "0"}

    async def ask_all() -> None:
        takes = asyncio.Event()
        asked = [
            asyncio.ensure_future(house.ask("POST", path, bytes(96_000), raw, takes=takes)) for _ in range(4)
        ]
        await asyncio.sleep(0)
        refused = await house.ask("POST", path, bytes(96_000), raw)
        assert refused is not None
        assert (refused.status, refused.json["label"]) == (503, "unavailable.overloaded")
        small = await house.ask("GET", "/v2/models/same_fp32")
        assert small is not None
        assert small.status == 200
        takes.set()
        assert {got.status for got in await asyncio.gather(*asked) if got is not None} == {200}
        huge = OutputTensor("OUTPUT0", "FP32", (250_000,), bytes(1_000_000))
        house.models.works["same_fp32"] = lambda _call: (huge,)
        alone = await house.ask("POST", path, bytes(4), raw)
        assert alone is not None
        assert len(alone.body) > 1_000_000

    asyncio.run(ask_all())


@pytest.mark.parametrize("length", ["9" * 9000, "-1", "1e3", "300001"])
def test_a_length_of_the_header_that_is_none_is_refused_with_a_long_body_too(length: str) -> None:
    got = RestHouse().get("POST", INFER, b" " * 300_000, {"inference-header-content-length": length})
    assert (got.status, got.json["label"]) == (400, "refused.malformed")


@pytest.mark.parametrize("page", ["infer", "generate"])
def test_others_are_answered_while_much_json_is_read(page: str) -> None:
    house = RestHouse()
    ended: list[str] = []
    many = [1.5] * 1_000_000
    tensor = {"name": "INPUT0", "shape": [len(many)], "datatype": "FP32", "data": many}
    said = {"inputs": [tensor]} if page == "infer" else {"INPUT0": many}
    body = json.dumps(said).encode()

    async def ask(name: str, method: str, path: str, sent: bytes) -> None:
        got = await house.ask(method, path, sent)
        assert got is not None
        assert got.status == 200
        ended.append(name)

    async def ask_both() -> None:
        await asyncio.gather(
            ask("much", "POST", f"/v2/models/same_fp32/{page}", body),
            ask("little", "POST", INFER, json.dumps(both()).encode()),
        )

    asyncio.run(ask_both())
    assert ended == ["little", "much"]


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


def test_pages_and_errors_are_not_compressed_for_a_library_that_lists_what_it_knows() -> None:
    house = RestHouse()
    both_ways = {"accept-encoding": "gzip, deflate"}
    got = house.get("GET", "/v2/models/stats", headers=both_ways)
    assert len(got.body) > 1024
    assert "content-encoding" not in got.headers
    assert got.json
    got = house.get("GET", "/v2/models/stats", headers={"accept-encoding": "gzip"})
    assert json.loads(gzip.decompress(got.body))
    house.models.fails = Malformed("too long " * 1000)
    for accepted in ("gzip, deflate", "gzip"):
        got = house.get("POST", INFER, both(), {"accept-encoding": accepted})
        assert len(got.body) > 1024
        assert got.json["error"].startswith("too long")


def test_the_repository_lists_loads_and_unloads() -> None:
    house = RestHouse()
    every = house.get("POST", "/v2/repository/index").json
    assert every[-1] == {"name": "zzz", "version": "", "state": "UNAVAILABLE", "reason": "unloaded"}
    ready = house.get("POST", "/v2/repository/index", {"ready": True}).json
    assert {each["state"] for each in ready} == {"READY"}
    parameters = {"config": "{}", "file:1/model.onnx": "AAAA"}
    assert house.get("POST", "/v2/repository/models/add_sub/load", {"parameters": parameters}).status == 200
    assert house.models.loaded == [("add_sub", parameters)]
    for null in ({"parameters": None}, {"parameters": {"unload_dependents": None}}):
        assert house.get("POST", "/v2/repository/models/add_sub/unload", null).status == 200
    assert house.get("POST", "/v2/repository/models/add_sub/load", {"parameters": None}).status == 200
    assert house.models.loaded[1:] == [("add_sub", {})]
    assert house.get("POST", "/v2/repository/index", {"ready": None}).json == every
    asked = {"parameters": {"unload_dependents": True}}
    assert house.get("POST", "/v2/repository/models/add_sub/unload", asked).status == 200


def test_the_log_level_is_told_and_changed_in_the_protocols_words() -> None:
    house = RestHouse()
    before = house.get("GET", "/v2/logging").json
    assert (before["log_info"], before["log_verbose_level"]) == (True, 0)
    for change, level in (
        ({"log_verbose_level": 1}, Level.DEBUG),
        ({"log_verbose_level": None, "log_file": None, "log_error": None}, Level.DEBUG),
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
        said = {name: value for name, value in change.items() if value is not None}
        assert said.items() <= got.json.items()


def test_traces_are_off_and_may_stay_so() -> None:
    house = RestHouse()
    now = house.get("GET", "/v2/models/add_sub/trace/setting").json
    assert now["trace_level"] == ["OFF"]
    for same in ({}, now, {"trace_level": None}, {"trace_level": "OFF"}):
        assert house.get("POST", "/v2/trace/setting", same).json == now
    for other in ({"trace_level": ["TIMESTAMPS"]}, {"trace_level": ["OFF"], "trace_rate": "56"}):
        got = house.get("POST", "/v2/trace/setting", other)
        assert (got.status, got.json["label"]) == (400, "refused.not_supported")
        assert got.json["error"].startswith(f"{list(other)[-1]} stays ")


def test_cuda_memory_answers_what_example_programs_ask_first() -> None:
    house = RestHouse()
    assert house.get("GET", "/v2/cudasharedmemory/status").json == []
    assert house.get("POST", "/v2/cudasharedmemory/unregister").status == 200
    assert house.get("POST", "/v2/cudasharedmemory/region/r/unregister").status == 200
    assert house.get("GET", "/v2/cudasharedmemory/region/r/status").status == 404


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
    inside = {"INPUT0": row, "parameters": {"INPUT1": row, "timeout": 5_000_000}}
    assert house.get("POST", "/v2/models/add_sub/generate", inside).json["OUTPUT1"] == [0] * 16
    twice = {"INPUT0": row, "INPUT1": row, "parameters": {"INPUT1": row}}
    assert "stands twice" in house.get("POST", "/v2/models/add_sub/generate", twice).json["error"]


def test_plain_values_that_json_cannot_say_are_null_and_named() -> None:
    house = RestHouse()
    infinite = OutputTensor("OUTPUT0", "FP32", (1,), np.array([np.inf], "<f4").tobytes())
    house.models.works["same_fp32"] = lambda _call: (infinite,)
    got = house.get("POST", "/v2/models/same_fp32/generate", {"INPUT0": 1})
    assert (got.json["OUTPUT0"], got.json["not_finite_outputs"]) == (None, "OUTPUT0")


@pytest.mark.parametrize(
    "parameters",
    [
        {"priority": 3, "timeout": 5_000_000},
        {"sequence_id": "s", "sequence_start": True, "sequence_end": True, "priority": 3},
        {},
    ],
)
@pytest.mark.parametrize("page", ["generate", "generate_stream"])
def test_parameters_beside_plain_values_mean_what_they_mean_beside_tensors(
    page: str, parameters: dict[str, Any]
) -> None:
    house = RestHouse()
    row = list(range(16))
    values = {"INPUT0": row, "INPUT1": row, "id": "7"}
    house.get("POST", INFER, both(id="7", parameters=parameters))
    house.get("POST", f"/v2/models/add_sub/{page}", {**values, **parameters})
    house.get("POST", f"/v2/models/add_sub/{page}", {**values, "parameters": parameters})
    said = {(c.id, c.level, c.sequence, round(c.deadline_s - c.arrived_s, 3)) for c in house.models.calls}
    assert len(house.models.calls) == 3
    assert len(said) == 1
    assert house.models.calls[0].level == (2 if "timeout" in parameters else 0)
