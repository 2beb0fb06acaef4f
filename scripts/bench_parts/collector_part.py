"""One process with a million live objects under load, and how long its collector held it.

Usage: collector_part.py default|settled. Prints JSON: milliseconds of each run, by wall clock and processor.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gateway.operations.collector import settle_collector
from gateway.serving.call import InferCall, InferReply, InputTensor, OutputTensor
from gateway.serving.shared_memory.door_words import Part, encoded, inferred, read_packet, word_of

_LIVE = 1_000_000
_REQUESTS = 60_000
_TOGETHER = 64
_PACKET = encoded(
    {
        "do": "infer",
        "call": 1,
        "model": "m",
        "inputs": [{"name": "IN", "datatype": "UINT8", "shape": [8], "region": "r"}],
        "into": {"region": "o", "byte_size": 4096},
    }
)


def live(objects: int) -> list[dict[str, list[int]]]:
    """Return objects that the collector follows, as registries and caches hold them."""
    return [{"some": [number], "more": [number, number]} for number in range(objects // 3)]


async def request(number: int) -> bytes:
    """Do what the front end does for a request: words, a call, a wait, a reply; at times a ring remains."""
    word_of(read_packet(_PACKET))
    now_s = time.monotonic()
    call = InferCall("m", (InputTensor("IN", "UINT8", (8,), bytes(8)),), now_s + 1, now_s, id=str(number))
    await asyncio.sleep(0)
    if number % 10 == 0:
        ring: list[object] = [call]
        ring.append(ring)
    reply = InferReply(call.model, "1", call.id, (OutputTensor("X", "FP32", (1,), bytes(4)),))
    return inferred(number, reply, [Part("o", 0, 4)])


async def load(kept: list[dict[str, list[int]]]) -> None:
    """Answer requests, many at a time, while what is kept grows by a third: new sessions, series, streams."""
    for first in range(0, _REQUESTS, _TOGETHER):
        kept += live(_TOGETHER * _LIVE // _REQUESTS // 3)
        await asyncio.gather(*(request(number) for number in range(first, first + _TOGETHER)))


def main(kind: str) -> None:
    """Run."""
    kept = live(_LIVE)
    if kind == "settled":
        settle_collector()
    pauses: list[tuple[int, float, float]] = []
    began = (0.0, 0.0)

    def on_run(phase: str, info: dict[str, int]) -> None:
        nonlocal began
        now = (time.perf_counter(), time.thread_time())
        if phase == "start":
            began = now
        else:
            pauses.append((info["generation"], (now[0] - began[0]) * 1e3, (now[1] - began[1]) * 1e3))

    gc.callbacks.append(on_run)
    began_s = time.thread_time()
    asyncio.run(load(kept))
    took_s = time.thread_time() - began_s
    gc.callbacks.remove(on_run)
    objects = sum(1 + len(each) for each in kept)
    print(json.dumps({"objects": objects, "cpu_s": took_s, "requests": _REQUESTS, "pauses": pauses}))


if __name__ == "__main__":
    main(sys.argv[1])
