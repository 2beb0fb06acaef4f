"""A corpus of damaged model files: each gives a proof or one typed error, and nobody else notices."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from gateway.configuration.settings import StepSettings
from gateway.errors import EngineFailed, LoadFailed, PipelineMisfit
from gateway.inference.loaded import LoadSpec, PipelineSpec
from gateway.inference.proof import prove
from gateway.inference.proven import Proof
from gateway.inference.request import RequestState
from tests.children import children
from tests.inference.bench_of_lanes import payload, request, serving
from tests.inference.model_folders import MODELS, copy, edit, spec

TIMEOUT_S = 60.0
PAGE = 4096
COUNT = int(os.environ.get("GATEWAY_DAMAGED_MODELS", "40"))  # half a second each
PIPELINE = PipelineSpec("motion", (StepSettings("window", {"carry": False}),))
FILES = {"motion-int8": "motion_int8.tflite", "motion-int8-onnx": "motion_int8_qdq.onnx"}

Damage = Callable[[bytearray, random.Random], bytes]


def cut(body: bytearray, chance: random.Random) -> bytes:
    return bytes(body[: chance.randrange(1, len(body))])


def flip(body: bytearray, chance: random.Random) -> bytes:
    body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
    return bytes(body)


def flip_at_an_end(body: bytearray, chance: random.Random) -> bytes:
    near = chance.randrange(min(512, len(body)))
    body[chance.choice((near, len(body) - 1 - near))] ^= 1 << chance.randrange(8)
    return bytes(body)


def blank(body: bytearray, chance: random.Random) -> bytes:
    start = chance.randrange(len(body))
    size = min(len(body) - start, chance.choice((16, 256, PAGE)))
    body[start : start + size] = bytes([chance.choice((0, 255))]) * size
    return bytes(body)


def insert(body: bytearray, chance: random.Random) -> bytes:
    at = chance.randrange(len(body))
    body[at:at] = chance.randbytes(chance.randrange(1, 9))
    return bytes(body)


def overwrite(body: bytearray, chance: random.Random) -> bytes:
    at = chance.randrange(len(body) - 4) & ~3
    number = chance.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(body)))
    body[at : at + 4] = struct.pack("<I", number)
    return bytes(body)


DAMAGES: Sequence[Damage] = (cut, flip, flip_at_an_end, blank, insert, overwrite)
FIXED = (b"\x18\0\0\0TFL3", b"\0", b"\x08\x08\x3a\xff\xff\xff\xff\x7f", bytes(PAGE), b"PK\x03\x04" * 99)


def corpus(name: str, count: int) -> Iterator[bytes]:
    """Yield ``count`` bodies that no author made: the same ones at every run."""
    body = (MODELS / name / FILES[name]).read_bytes()
    yield from FIXED[:count]
    for number in range(count - len(FIXED)):
        yield DAMAGES[number % len(DAMAGES)](bytearray(body), random.Random(f"{name} {number}"))


def folders(name: str, to: Path, count: int) -> list[Path]:
    """Copy the model once for each damage; every card vouches for its damaged file."""
    sound = hashlib.sha256((MODELS / name / FILES[name]).read_bytes()).hexdigest()
    made = []
    for number, body in enumerate(corpus(name, count)):
        folder = copy(name, to / str(number))
        (folder / FILES[name]).write_bytes(body)
        edit(folder, (sound, hashlib.sha256(body).hexdigest()))
        made.append(folder)
    return made


async def proven(wanted: Sequence[LoadSpec]) -> list[Proof | BaseException]:
    places = asyncio.Semaphore(2)

    async def one(each: LoadSpec) -> Proof:
        async with places:
            return await prove(each, timeout_s=TIMEOUT_S)

    return await asyncio.gather(*map(one, wanted), return_exceptions=True)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.slow
def test_damaged_files_give_a_proof_or_one_error_and_a_running_lane_never_notices(
    tmp_path: Path, name: str
) -> None:
    other = next(each for each in FILES if each != name)
    wanted = [spec(folder) for folder in folders(name, tmp_path, COUNT)]

    async def test() -> None:
        async with serving(other, pipeline=PIPELINE) as (dataplane, scheduler, seen):
            (lane,) = scheduler.pool.lanes
            pid = lane.pid
            before = await dataplane.infer(request(payload(seed=5)))
            trying = asyncio.ensure_future(proven(wanted))
            asked = 0
            while not trying.done():
                outcome = await dataplane.infer(request(payload(seed=5), f"s{asked}"))
                assert (outcome.state, outcome.prediction) == (RequestState.DONE, before.prediction)
                asked += 1
                await asyncio.wait({trying}, timeout=0.1)
            verdicts = trying.result()
            assert asked > 1
            assert (lane.pid, scheduler.pool.lanes, seen.lost) == (pid, [lane], [])
            assert children() == [str(pid)]
            check(verdicts)

    asyncio.run(test())
    assert children() == []


def check(verdicts: Sequence[Proof | BaseException]) -> None:
    for verdict in verdicts:
        assert isinstance(verdict, Proof | EngineFailed | PipelineMisfit), verdict
        if isinstance(verdict, EngineFailed):
            assert verdict.attributes["stage"] in {"structure", "load", "warm_up", "dry_run", "golden"}
    assert all(isinstance(verdict, LoadFailed) for verdict in verdicts[: len(FIXED)])
    refused = [verdict for verdict in verdicts if not isinstance(verdict, Proof)]
    assert len(refused) > len(verdicts) // 3


def test_the_corpus_is_the_same_at_every_run() -> None:
    for name in FILES:
        assert list(corpus(name, 60)) == list(corpus(name, 60))
        assert len(set(corpus(name, 60))) > 50
