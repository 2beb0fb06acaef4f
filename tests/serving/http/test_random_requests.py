"""Thousands of malformed requests of each version: an answer or an end, nothing left, the next is served."""

from __future__ import annotations

import asyncio
import gc
import random

import pytest

from gateway.serving.http.limits import HttpLimits
from gateway.serving.listener import Listener
from tests.serving.http.h2_client import PREFACE, frame
from tests.serving.http.test_http2_attacks import FLOODS, REQUEST
from tests.serving.http.test_request_reader import SMUGGLED
from tests.serving.http.world import GET, open_files, run, talk, until

COUNT = 2000
AT_A_TIME = 20
LIMITS = HttpLimits(head_s=0.3, body_s=0.3, idle_s=0.3, response_s=1.0, linger_s=0.1, taking_s=0.3)
SOUND_1 = (
    GET % b"a",
    b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc",
    b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\nabc",
    *SMUGGLED.values(),
)
SOUND_2 = (
    PREFACE + frame(4) + frame(1, 1, REQUEST, 5),
    PREFACE + frame(4) + frame(1, 1, REQUEST, 4) + frame(0, 1, b"abc", 1) + frame(1, 3, REQUEST, 5),
    PREFACE
    + frame(4, 0, b"\0\4\0\0\0\1")
    + frame(1, 1, REQUEST, 5)
    + frame(8, 1, b"\0\0\0\5")
    + frame(3, 1, b"\0" * 4),
    PREFACE + frame(4) + frame(1, 1, REQUEST, 1) + frame(9, 1, b"\x40\x01a\x01b", 4) + frame(6, 0, b"a" * 8),
    *(PREFACE + frame(4) + flood[:600] for flood in FLOODS.values()),
)


def spoiled(rng: random.Random, sound: bytes) -> bytes:
    """Return bytes with some of them changed, doubled, or left out."""
    data = bytearray(sound)
    for _ in range(rng.randint(0, 5)):
        at = rng.randrange(len(data) or 1)
        kind = rng.random()
        if kind < 0.5 and data:
            data[at] = rng.randrange(256)
        elif kind < 0.7:
            data[at:at] = rng.choice((b"\r\n", b"\0", b"\xff" * 9, b"a" * 300, bytes(data[:50])))
        else:
            del data[at : at + rng.randint(1, 20)]
    return bytes(data[: rng.randint(1, len(data) or 1)] if rng.random() < 0.2 else data)


@pytest.mark.parametrize(("version", "sound"), [(1, SOUND_1), (2, SOUND_2)])
def test_thousands_of_malformed_requests_leave_nothing(version: int, sound: tuple[bytes, ...]) -> None:
    rng = random.Random(version)
    kinds = {"answered": 0, "refused": 0, "failed": 0}

    async def one(listener: Listener, sent: bytes) -> None:
        answered = await talk(listener, sent)
        kinds["answered"] += b"200" in answered[:12]
        kinds["refused"] += answered.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501"))
        kinds["failed"] += answered.startswith(b"HTTP/1.1 500")

    async def work(listener: Listener) -> None:
        assert (await talk(listener, GET % b"a")).startswith(b"HTTP/1.1 200")
        await until(lambda: not listener._connections)
        gc.collect()
        before = open_files(), len(asyncio.all_tasks())
        for _ in range(COUNT // AT_A_TIME):
            batch = [spoiled(rng, rng.choice(sound)) for _ in range(AT_A_TIME)]
            await asyncio.gather(*(one(listener, sent) for sent in batch))
        await until(lambda: not listener._connections)
        gc.collect()
        await until(lambda: (open_files(), len(asyncio.all_tasks())) == before)
        assert (await talk(listener, GET % b"ok")).endswith(b"GET /ok 0 1.1")

    run(work, limits=LIMITS)
    assert kinds["failed"] == 0
    if version == 1:
        assert kinds["answered"] > COUNT // 50
        assert kinds["refused"] > COUNT // 3
