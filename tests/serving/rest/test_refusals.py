"""What the REST door refuses, and how; and nobody is waited for who has left."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import zlib
from typing import Any

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
from gateway.serving.access.policy import Policy
from gateway.serving.rest.routes import ROUTES
from tests.serving.rest.rest_house import INFER, RestHouse, both, nothing_left, wide


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


@pytest.mark.parametrize(
    "asked",
    [
        {"INPUT0": [1] * 15, "INPUT1": [1] * 16},
        {"INPUT0": [[1], [2]]},
        {"INPUT0": None},
        {"INPUT0": 1, "x": {}},
        {"triton_x": 1},
        {"priority": -1},
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
