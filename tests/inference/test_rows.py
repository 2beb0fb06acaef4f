"""Running rows: stacked, alone, in order; on real models, and on one that fails where it is told to."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import DeadlineRunning, OutOfMemory, RunFailed
from gateway.frames.prepared import Prepared, StreamState
from gateway.inference.engines.engine import BatchAxis, EngineFacts
from gateway.inference.rows import ROW_CAP, Job, RowRunner
from gateway.model import CardState, CardTensor, ModelCard
from gateway.tensor import Array, TensorSpec

POISON = -1.0
NEVER = float("inf")


class Doubling:
    """A model (n, 1) to (n, 1) that gives twice its input and fails any run that holds POISON."""

    facts = EngineFacts("none", "0", "none", 1)
    inputs = (TensorSpec("x", "float32", (None, 1)),)
    outputs = (TensorSpec("y", "float32", (None, 1)),)
    maps_file = False

    def __init__(self, *, batch_axis: BatchAxis = BatchAxis.ROWS) -> None:
        self.batch_axis = batch_axis
        self.runs: list[int] = []

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.runs.append(len(inputs["x"]))
        if (inputs["x"] == POISON).any():
            raise RunFailed("poison")
        return {"y": inputs["x"] * 2}

    def close(self) -> None:
        """Nothing to free."""


class Counting:
    """A recurrent model: y = state + x, and the next state is y."""

    facts = EngineFacts("none", "0", "none", 1)
    inputs = (
        TensorSpec("x", "float32", (None, 1)),
        TensorSpec("state", "float32", (2, None, 3)),
        TensorSpec("gain", "int64", ()),
    )
    outputs = (TensorSpec("y", "float32", (None, 1)), TensorSpec("next", "float32", (2, None, 3)))
    batch_axis = BatchAxis.FIXED
    maps_file = False

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        assert inputs["state"].shape == (2, 1, 3)
        assert inputs["gain"].dtype == np.int64
        total = inputs["state"] + inputs["x"].reshape(1, 1, 1) * np.float32(inputs["gain"])
        return {"y": total[0, :, :1], "next": total}

    def close(self) -> None:
        """Nothing to free."""


def card(**more: Any) -> ModelCard:
    return ModelCard("m", "1", "", "", "MIT", "m", "0" * 64, "onnx", **{"inputs": (), "outputs": (), **more})


def recurrent() -> RowRunner:
    shape = CardTensor("state", "float32", (2, -1, 3))
    return RowRunner(
        Counting(), card(inputs=(shape,), state=(CardState("state", "next"),), constants={"gain": 10})
    )


def job(*values: float, deadline_s: float = NEVER, state: StreamState | None = None) -> Job:
    rows: list[dict[str, Array]] = [{"x": np.array([[value]], np.float32)} for value in values]
    return Job(Prepared(rows), state or StreamState(), deadline_s)


def values(done: Job) -> list[float]:
    assert all(output["y"].shape == (1, 1) for output in done.outputs)
    return [float(output["y"][0, 0]) for output in done.outputs]


def clock() -> float:
    return 0.0


def test_rows_of_all_members_go_in_one_run_and_come_back_to_their_members() -> None:
    engine = Doubling()
    jobs = [job(1, 2), job(), job(3)]
    RowRunner(engine, card()).run(jobs, clock)
    assert engine.runs == [3]
    assert [values(each) for each in jobs] == [[2, 4], [], [6]]


def test_a_fixed_batch_runs_row_by_row() -> None:
    engine = Doubling(batch_axis=BatchAxis.FIXED)
    jobs = [job(1, 2), job(3)]
    RowRunner(engine, card()).run(jobs, clock)
    assert engine.runs == [1, 1, 1]
    assert [values(each) for each in jobs] == [[2, 4], [6]]


def test_no_run_holds_more_rows_than_the_cap() -> None:
    engine = Doubling()
    long = job(*range(ROW_CAP * 2 + 1))
    RowRunner(engine, card()).run([long], clock)
    assert engine.runs == [ROW_CAP, ROW_CAP, 1]
    assert values(long) == [2 * value for value in range(ROW_CAP * 2 + 1)]


def test_a_poisoned_member_is_found_by_running_each_alone_once() -> None:
    engine = Doubling()
    jobs = [job(1), job(POISON), job(3)]
    RowRunner(engine, card()).run(jobs, clock)
    assert engine.runs == [3, 1, 1, 1]
    assert [values(jobs[0]), values(jobs[2])] == [[2], [6]]
    assert isinstance(jobs[1].error, RunFailed)


def test_a_member_that_fails_alone_is_not_run_twice() -> None:
    engine = Doubling()
    alone = job(POISON)
    RowRunner(engine, card()).run([alone], clock)
    assert (engine.runs, type(alone.error)) == ([1], RunFailed)


@given(
    st.lists(st.lists(st.sampled_from([1.0, 2.0, POISON]), max_size=ROW_CAP), min_size=1, max_size=6),
    st.sampled_from([BatchAxis.ROWS, BatchAxis.FIXED]),
)
def test_each_member_gets_what_it_would_get_alone(batches: list[list[float]], axis: BatchAxis) -> None:
    jobs = [job(*each) for each in batches]
    RowRunner(Doubling(batch_axis=axis), card()).run(jobs, clock)
    for each, wanted in zip(jobs, batches, strict=True):
        assert (each.error is not None) == (POISON in wanted)
        if each.error is None:
            assert values(each) == [2 * value for value in wanted]


def test_rows_of_different_sizes_are_not_stacked_but_still_run() -> None:
    engine = Doubling()
    wide = Job(Prepared([{"x": np.ones((1, 2), np.float32)}]), StreamState(), NEVER)
    narrow = job(5)
    RowRunner(engine, card()).run([wide, narrow], clock)
    assert wide.outputs[0]["y"].tolist() == [[2, 2]]
    assert values(narrow) == [10]


def test_a_model_that_mixes_rows_up_is_run_row_by_row() -> None:
    class Summing(Doubling):
        def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
            return {"y": inputs["x"].sum(axis=0, keepdims=True)}

    jobs = [job(1), job(2)]
    RowRunner(Summing(), card()).run(jobs, clock)
    assert [values(each) for each in jobs] == [[1], [2]]


def test_running_out_of_memory_together_does_not_fail_those_that_fit_alone() -> None:
    class Small(Doubling):
        def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
            if len(inputs["x"]) > 1:
                raise OutOfMemory("too many rows")
            return super().run(inputs)

    jobs = [job(1), job(2)]
    RowRunner(Small(), card()).run(jobs, clock)
    assert [values(each) for each in jobs] == [[2], [4]]


def test_state_passes_from_row_to_row_and_from_frame_to_frame() -> None:
    runner, state = recurrent(), StreamState()
    first, second, other = job(1, 2, state=state), job(4, state=state), job(5)
    runner.run([first, second, other], clock)
    assert [values(each) for each in (first, second, other)] == [[10, 30], [70], [50]]
    kept = StreamState.from_bytes(state.to_bytes())
    later = job(1, state=kept)
    runner.run([later], clock)
    assert values(later) == [80]


def test_state_of_another_shape_is_left_behind() -> None:
    state = StreamState({"model.state": np.ones((9, 9), np.float32)})
    fresh = job(1, state=state)
    recurrent().run([fresh], clock)
    assert values(fresh) == [10]


def test_rows_after_the_deadline_do_not_run() -> None:
    ticks = itertools.count()
    late = job(1, 2, 3, 4, deadline_s=3)
    engine = Doubling(batch_axis=BatchAxis.FIXED)
    RowRunner(engine, card()).run([late], lambda: float(next(ticks)))
    assert isinstance(late.error, DeadlineRunning)
    assert engine.runs == [1, 1]


def test_zeros_are_one_row_of_every_input_that_payloads_feed() -> None:
    assert {name: array.shape for name, array in recurrent().zeros().items()} == {"x": (1, 1)}
