"""A lane that came of another serves the same model, shares its memory, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated

from gateway.inference.engines.engine import EngineOptions
from gateway.inference.lane import Lane, LaneState
from gateway.inference.limits import PoolLimits
from gateway.inference.loaded import LoadSpec
from gateway.inference.pool import Pool
from gateway.inference.request import RequestState
from gateway.operations.restart import RestartLimits
from tests import onnx_writer, tflite_writer
from tests.children import children
from tests.inference import model_folders
from tests.inference.bench_of_lanes import PLUGINS, ROOT, payload, request, serving
from tests.inference.held import held_bytes
from tests.inference.test_scheduler import Answers, run, until

_BIG = 2236  # four weights of this square are 80 MB of float32


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{ROOT}")


class Owner:
    """Notes what the pool tells."""

    def __init__(self) -> None:
        self.lost: list[str] = []

    def batch_done(self, *_: object) -> None:
        raise AssertionError("nobody asked for a batch")

    def lane_lost(self, _lane: Lane, _batches: Sequence[object], reason: str) -> None:
        self.lost.append(reason)

    def lanes_changed(self) -> None:
        pass

    def pump(self) -> None:
        pass

    def out_of_service(self, reason: str) -> None:
        raise AssertionError(reason)


@asynccontextmanager
async def pool_of(spec: LoadSpec, lanes: int, niceness: int = 0) -> AsyncIterator[tuple[Pool, Owner]]:
    owner = Owner()
    pool = Pool(spec, lanes, PoolLimits(10.0, 60.0, RestartLimits(0.01, 0.1, 50, 60.0), niceness), owner)
    await pool.start()
    try:
        yield pool, owner
    finally:
        await pool.close()


def _status(pid: int, name: str) -> str:
    found = re.search(rf"^{name}:\s+(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return found[1]


def _descriptors(pid: int | str = "self") -> list[str]:
    return sorted(path.name for path in Path(f"/proc/{pid}/fd").iterdir())


def _oom_score(pid: int) -> str:
    return Path(f"/proc/{pid}/oom_score_adj").read_text().strip()


def _pss(pool: Pool) -> int:
    return sum(held_bytes(lane.pid) for lane in pool.lanes)


@pytest.mark.parametrize("model", ["motion-int8", "motion-int8-onnx"])
def test_lanes_that_came_of_each_other_give_the_same_answers_to_the_last_bit(model: str) -> None:
    async def test() -> None:
        async with serving(model) as (dataplane, scheduler, _):
            scheduler.pool.resize(4)
            await until(lambda: scheduler.pool.ready == 4)
            assert len({lane.pid for lane in scheduler.pool.lanes}) == 4
            said: dict[int, list[object]] = {}
            for lane in list(scheduler.pool.lanes):
                others = [each for each in scheduler.pool.lanes if each is not lane]
                for other in others:  # only this lane may answer
                    other.state = LaneState.STARTING
                answers = Answers()
                for number in range(6):
                    dataplane.submit(request(payload(seed=number), f"s{number}"), answers, number)
                outcomes = await answers.all_of(6)
                assert {o.state for o in outcomes.values()} == {RequestState.DONE}
                said[lane.pid] = [outcomes[number].prediction for number in range(6)]
                for other in others:
                    other.state = LaneState.READY
            first, *rest = said.values()
            assert rest == [first, first, first]

    run(test())


@pytest.mark.parametrize("model", ["motion-int8", "motion-int8-onnx"])
def test_a_lane_that_came_of_another_is_our_child_confined_like_it_and_leaves_no_zombie(model: str) -> None:
    async def test() -> None:
        before = len(_descriptors())
        async with pool_of(model_folders.spec(model), 3) as (pool, _):
            pids = [lane.pid for lane in pool.lanes]
            assert [lane.body.loaded for lane in pool.lanes] == [False, True, True]
            for pid in pids:
                assert _status(pid, "PPid") == str(os.getpid())
                assert _status(pid, "NoNewPrivs") == "1"
                assert _oom_score(pid) == "500"
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        assert len(_descriptors()) <= before

    run(test())


@pytest.mark.parametrize("threads", [1, 2])
def test_every_thread_of_every_lane_gives_way_to_the_front_end_as_far_as_told(threads: int) -> None:
    async def test() -> None:
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        spec = replace(model_folders.spec("motion-int8-onnx"), options=EngineOptions(threads=threads))
        async with pool_of(spec, 2, niceness=3) as (pool, _):
            lanes = [int(task) for pid in pool.pids for task in os.listdir(f"/proc/{pid}/task")]  # noqa: PTH208
            assert len(lanes) >= 2
            assert {os.getpriority(os.PRIO_PROCESS, task) for task in lanes} == {min(ours + 3, 19)}
            assert os.getpriority(os.PRIO_PROCESS, 0) == ours

    run(test())


def test_dividing_many_times_costs_a_worker_no_descriptor() -> None:
    async def test() -> None:
        async with pool_of(model_folders.spec("motion-int8"), 1) as (pool, _):
            (first,) = pool.lanes
            before = _descriptors(first.pid)
            for _ in range(12):
                pool.resize(2)
                await until(lambda: pool.ready == 2)
                pool.resize(1)
                await until(lambda: len(pool.lanes) == 1)
                assert pool.lanes == [first]
            assert _descriptors(first.pid) == before

    run(test())


def test_the_first_lane_may_die_and_the_others_go_on_and_divide_again() -> None:
    async def test() -> None:
        async with pool_of(model_folders.spec("motion-int8"), 2) as (pool, owner):
            first, second = pool.lanes
            os.kill(first.pid, signal.SIGKILL)
            await until(lambda: owner.lost != [] and pool.ready == 2)
            assert owner.lost == ["was ended by SIGKILL"]
            assert second in pool.lanes
            assert all(lane.body.loaded for lane in pool.lanes)
            os.kill(second.pid, signal.SIGKILL)
            await until(lambda: len(owner.lost) == 2 and pool.ready == 2)
            for lane in pool.lanes:
                await lane.canary(10.0)

    run(test())


def test_where_the_dividing_worker_dies_of_it_the_model_is_loaded_once_more() -> None:
    async def test() -> None:
        async with pool_of(model_folders.spec("motion-int8"), 1) as (pool, owner):
            (first,) = pool.lanes
            os.kill(first.pid, signal.SIGSTOP)
            pool.resize(2)
            await until(lambda: first.is_asked)
            os.kill(first.pid, signal.SIGKILL)
            await until(lambda: owner.lost != [] and pool.ready == 2)
            for lane in pool.lanes:
                await lane.canary(10.0)

    run(test())


def test_a_pool_that_closes_while_a_lane_divides_leaves_no_process() -> None:
    async def test() -> None:
        async with pool_of(model_folders.spec("motion-int8"), 1) as (pool, _):
            (first,) = pool.lanes
            os.kill(first.pid, signal.SIGSTOP)
            pool.resize(3)
            await until(lambda: first.is_asked)
            os.kill(first.pid, signal.SIGCONT)
        assert children() == []

    run(test())


def test_a_lane_that_is_let_go_the_moment_it_is_ready_is_not_told_as_lost() -> None:
    async def test() -> None:
        async with pool_of(model_folders.spec("motion-int8"), 1) as (pool, owner):
            pool.resize(2)

            def is_asked() -> bool:  # one that came of another is asked for its pipelines when it is ready
                return any(lane.state is LaneState.READY and lane.is_asked for lane in pool.lanes[1:])

            while not is_asked():  # noqa: ASYNC110 - `until` would miss the turn
                await asyncio.sleep(0)
            pool.resize(1)
            await until(lambda: len(pool.lanes) == 1 and not pool._starting)
            assert owner.lost == []

    run(test())


def test_a_worker_that_is_killed_in_the_midst_of_dividing_leaves_no_zombie() -> None:
    async def test() -> None:
        before = set(children())
        async with pool_of(model_folders.spec("motion-int8"), 1) as (pool, owner):
            for turn in range(6):
                (first,) = pool.lanes
                lost = len(owner.lost)
                pool.resize(2)
                await asyncio.sleep(0.001 * turn)  # another moment of it each time
                os.kill(first.pid, signal.SIGKILL)
                await until(lambda lost=lost: len(owner.lost) > lost and pool.ready == 2)  # type: ignore[misc]
                pool.resize(1)
                await until(lambda: len(pool.lanes) == 1)
        await until(lambda: not set(children()) - before)

    run(test())


def test_a_model_with_threads_of_its_own_never_divides() -> None:
    async def test() -> None:
        spec = replace(model_folders.spec("motion-int8-onnx"), options=EngineOptions(threads=2))
        async with pool_of(spec, 2) as (pool, _):
            assert [lane.facts.divides for lane in pool.lanes if lane.facts] == [False, False]
            assert [lane.body.loaded for lane in pool.lanes] == [False, False]

    run(test())


def test_pages_that_were_locked_are_locked_in_a_lane_that_came_of_another() -> None:
    async def test() -> None:
        async with pool_of(model_folders.spec("motion-int8"), 2) as (pool, _):
            first, second = pool.lanes
            assert first.facts
            assert second.facts
            assert second.facts.pinned == first.facts.pinned
            assert _status(second.pid, "VmLck") == _status(first.pid, "VmLck")

    run(test())


def big_onnx(at: Path) -> Path:
    """Write a model of 80 MB of float32 weights."""
    at.mkdir(parents=True)
    rng = np.random.default_rng(0)
    weights = {f"w{i}": (rng.normal(size=(_BIG, _BIG)) / 50).astype(np.float32) for i in range(4)}
    names = ["x", "a", "b", "c", "y"]
    nodes = [onnx_writer.node("MatMul", [names[i], f"w{i}"], [names[i + 1]]) for i in range(4)]
    ports = ([("x", "float32", (1, _BIG))], [("y", "float32", (1, _BIG))])
    path = onnx_writer.write(at / "m.onnx", onnx_writer.Graph(nodes, *ports, weights))
    tensors = [{"name": name, "dtype": "float32", "shape": [1, _BIG]} for name in ("x", "y")]
    return model_folders.write(at, path, tensors[:1], tensors[1:])


def big_tflite(at: Path) -> Path:
    """Write a model of 80 MB of int8 weights, which the runtime packs anew."""
    at.mkdir(parents=True)
    size, tensor, schema = 2 * _BIG, tflite_writer.Tensor, schema_py_generated
    rng = np.random.default_rng(0)
    full = (schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT())
    tensors, operators = [tensor("x", "int8", (1, size), 0.0625)], []
    for layer in range(4):
        weights = rng.integers(-127, 127, (size, size)).astype(np.int8)
        scale = 0.0625 if layer == 0 else 0.125
        tensors += [
            tensor(f"w{layer}", "int8", (size, size), 0.0078125, data=weights),
            tensor(f"b{layer}", "int32", (size,), scale * 0.0078125, data=np.zeros(size, np.int32)),
            tensor(f"y{layer}", "int8", (1, size), 0.125),
        ]
        base = 3 * layer
        kind = schema.BuiltinOperator.FULLY_CONNECTED
        operators.append(tflite_writer.Operator(kind, (base, base + 1, base + 2), (base + 3,), full))
    path = tflite_writer.write(at / "m.tflite", tensors, operators, [0], [12])
    x = {"name": "x", "dtype": "int8", "shape": [1, size], "scale": 0.0625, "zero_point": 0}
    y = {"name": "y3", "dtype": "int8", "shape": [1, size], "scale": 0.125, "zero_point": 0}
    return model_folders.write(at, path, [x], [y])


@pytest.mark.slow
@pytest.mark.parametrize("make", [big_onnx, big_tflite])
def test_four_lanes_of_a_large_model_take_hardly_more_memory_than_one(make: object, tmp_path: Path) -> None:
    assert callable(make)
    folder = make(tmp_path / "big")

    async def test() -> None:
        async with pool_of(model_folders.spec(folder), 1) as (pool, _):
            await pool.lanes[0].canary(30.0)
            one = _pss(pool)
            assert one > 80_000_000
            pool.resize(4)
            await until(lambda: pool.ready == 4)
            for _ in range(5):
                await asyncio.gather(*(lane.canary(30.0) for lane in pool.lanes))
            assert _pss(pool) < 1.3 * one

    run(test())
