"""Two thousand damaged requests over a real socket: each is answered with a typed error, none with a 500."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.client
import json
import random
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from tests.serving.rest.served import Served, served

COUNT: Final = 2000
_PATHS: Final = (
    "/v2/models/add_sub/infer",
    "/v2/models/add_sub/versions/2-rc.1/infer",
    "/v2/models/same_fp32/infer",
    "/v2/models/same_bytes/infer",
    "/v2/models/same_bool/generate",
    "/v2/models/same_int8/generate_stream",
    "/v2/repository/index",
    "/v2/repository/models/add_sub/load",
    "/v2/logging",
    "/v2/trace/setting",
    "/v2/systemsharedmemory/region/r/register",
)
_WORDS: Final[tuple[Any, ...]] = (
    None,
    True,
    -1,
    2**63,
    1e300,
    "",
    "x",
    "triton_x",
    [],
    [[]],
    {},
    {"a": 1},
    [1, [2]],
    "\u0000",
    0.5,
)


def _good() -> tuple[dict[str, Any], bytes]:
    tensor = {"name": "INPUT0", "shape": [1, 16], "datatype": "INT32", "parameters": {"binary_data_size": 64}}
    other = {"name": "INPUT1", "shape": [1, 16], "datatype": "INT32", "data": list(range(16))}
    members = {
        "id": "1",
        "inputs": [tensor, other],
        "outputs": [{"name": "OUTPUT0", "parameters": {"binary_data": True}}],
        "parameters": {"timeout": 10**7, "sequence_id": 3},
    }
    return members, np.arange(16, dtype="<i4").tobytes()


def _spoil(chance: random.Random, value: Any) -> Any:
    """Return a value with one place in it changed."""
    if chance.random() < 0.25 or not isinstance(value, dict | list) or not value:
        return chance.choice(_WORDS)
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    key = chance.choice(list(copy)) if isinstance(copy, dict) else chance.randrange(len(copy))
    if chance.random() < 0.2:
        del copy[key]
    else:
        copy[key] = _spoil(chance, copy[key])
    return copy


def _request(chance: random.Random) -> tuple[str, str, bytes, dict[str, str]]:
    members, behind = _good()
    for _ in range(chance.randrange(1, 3)):
        members = _spoil(chance, members)
    head = json.dumps(members).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))} if chance.random() < 0.8 else {}
    body = head + behind
    for _ in range(chance.choice((0, 0, 1, 3))):
        at = chance.randrange(len(body))
        body = body[:at] + chance.randbytes(chance.randrange(3)) + body[at + chance.randrange(3) :]
    if chance.random() < 0.2:
        headers["Inference-Header-Content-Length"] = chance.choice(("-1", "0", "99999", "x", "", "1e3", "7"))
    if chance.random() < 0.15:
        coding = chance.choice(("gzip", "deflate", "br", "gzip, gzip"))
        headers["Content-Encoding"] = coding
        body = gzip.compress(body) if chance.random() < 0.5 else body
    if chance.random() < 0.1:
        headers["Content-Type"] = chance.choice(("image/png", "application/octet-stream", ";", "a/b+json"))
    if chance.random() < 0.1:
        headers["Accept-Encoding"] = chance.choice(("gzip;q=x", "*;q=0", ",", "deflate, gzip;q=0.1"))
    return chance.choice(("POST",) * 9 + ("PUT",)), chance.choice(_PATHS), body, headers


def _ask(
    client: http.client.HTTPConnection, request: tuple[str, str, bytes, dict[str, str]]
) -> tuple[int, bytes]:
    method, path, body, headers = request
    client.request(method, path, body, headers)
    answer = client.getresponse()
    return answer.status, answer.read()


def _still_answers(door: Served, client: http.client.HTTPConnection) -> bool:
    members, behind = _good()
    head = json.dumps(members).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    status, body = _ask(client, ("POST", _PATHS[0], head + behind, headers))
    expected = (np.arange(16, dtype="<i4") * 2).tobytes()
    return (
        status == 200
        and body.endswith(expected)
        and door.within(lambda: door.house.app._room.used_bytes) == 0
    )


def test_damaged_requests_are_refused_with_words_and_cost_nothing() -> None:
    chance = random.Random(20)
    seen: dict[int, int] = {}
    with served(max_body_bytes=65_536) as door:
        tasks = door.within(_tasks(door))
        with contextlib.closing(http.client.HTTPConnection(door.address, timeout=60)) as client:
            for _ in range(COUNT):
                request = _request(chance)
                status, body = _ask(client, request)
                seen[status] = seen.get(status, 0) + 1
                assert status < 500, (request, body)
                if status >= 400:
                    said = json.loads(body)
                    assert said["error"], request
                    assert said["label"].startswith("refused."), request
            assert _still_answers(door, client)
        assert door.within(_tasks(door)) <= tasks + 1
    assert seen.get(400, 0) > COUNT / 2, seen
    assert {200, 405, 415} <= set(seen), seen


def _tasks(door: Served) -> Callable[[], int]:
    return lambda: len(asyncio.all_tasks(door.loop))
