"""A recurrent model's state follows its stream: over chunks, to a gap, past a dead worker."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from gateway.demo.microphone import LoopingMicrophone
from gateway.demo.recordings import speech
from gateway.frames.declaration import Declaration
from gateway.frames.prepared import JsonValue
from gateway.inference.dataplane import DataPlane
from gateway.inference.loaded import PipelineSpec
from gateway.inference.request import InferRequest, Outcome
from tests.inference.bench_of_lanes import serving

VOICE = PipelineSpec("voice")  # with its card's own steps
PCM = Declaration(media="audio/pcm", dtype="int16", rate_hz=16_000, channels=1).to_json()
CHUNK_S = 0.1
GAP_S = 2.0
PATIENCE_S = 30.0
CHUNKS = [LoopingMicrophone(speech()).chunk(number) for number in range(3, 11)]  # all of them speech
LAST = len(CHUNKS) - 1

Predictions = list[dict[str, JsonValue] | None]


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 180))


async def _hear(dataplane: DataPlane, stream: str, chunk: bytes, arrived_s: float) -> Outcome:
    deadline_s = time.monotonic() + PATIENCE_S
    request = InferRequest(
        "voice", "voice", stream, chunk, PCM, arrived_s, deadline_s, ordered=True, reset_gap_s=GAP_S
    )
    return await dataplane.infer(request)


async def _play(
    dataplane: DataPlane, stream: str, chunks: Sequence[bytes], silence_s: float = CHUNK_S
) -> Predictions:
    """Play chunks at their own pace, as their times of arrival tell; before the last one comes a silence."""
    told: Predictions = []
    arrived_s = time.monotonic()
    for chunk in chunks:
        arrived_s += silence_s if len(told) == len(chunks) - 1 else CHUNK_S
        told.append((await _hear(dataplane, stream, chunk, arrived_s)).prediction)
    return told


def test_a_stream_remembers_its_chunks_until_it_was_silent_for_too_long() -> None:
    async def test() -> None:
        async with serving("silero-vad", pipeline=VOICE) as (dataplane, _, _seen):
            (fresh,) = await _play(dataplane, "fresh", CHUNKS[LAST:])
            flowing = await _play(dataplane, "flowing", CHUNKS)
            almost = await _play(dataplane, "almost", CHUNKS, GAP_S - 0.1)
            broken = await _play(dataplane, "broken", CHUNKS, GAP_S + 0.1)
            assert fresh is not None
            assert fresh["kind"] == "voice"
            assert flowing[LAST] != fresh
            assert almost == flowing
            assert broken[:LAST] == flowing[:LAST]
            assert broken[LAST] == fresh

    run(test())


def test_two_streams_at_once_do_not_hear_each_other() -> None:
    async def test() -> None:
        async with serving("silero-vad", pipeline=VOICE) as (dataplane, _, _seen):
            alone = await _play(dataplane, "alone", CHUNKS)
            backwards = await _play(dataplane, "backwards", CHUNKS[::-1])
            assert alone != backwards
            one, other = await asyncio.gather(
                _play(dataplane, "one", CHUNKS), _play(dataplane, "other", CHUNKS[::-1])
            )
            assert one == alone
            assert other == backwards

    run(test())


def test_what_a_stream_carries_outlives_the_worker() -> None:
    async def test() -> None:
        async with serving("silero-vad", pipeline=VOICE) as (dataplane, scheduler, seen):
            whole = await _play(dataplane, "whole", CHUNKS)
            began_s = time.monotonic()
            told: Predictions = []
            for number, chunk in enumerate(CHUNKS):
                if number == LAST:
                    os.kill(scheduler.pool.lanes[0].pid, signal.SIGKILL)
                    while not seen.lost:  # noqa: ASYNC110 - nobody tells; `run` bounds the wait
                        await asyncio.sleep(0.01)
                told.append((await _hear(dataplane, "cut", chunk, began_s + number * CHUNK_S)).prediction)
            assert told == whole
            assert scheduler.pool.restarts == 1

    run(test())
