"""Whether rows stay apart is found out by running them: on real models, and on runs that mix them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from gateway.errors import OutOfMemory, RunFailed
from gateway.inference.engines.engine import BatchAxis, EngineOptions
from gateway.inference.engines.select import open_engine
from gateway.inference.row_trial import Run, rows_stay_apart
from gateway.inference.rows import RowRunner
from gateway.tensor import Array
from tests.inference.test_rows import Doubling, card
from tests.onnx_writer import Graph, Port, node, write

PORTS = ([("x", "float32", ("unk__7", 4))], [("y", "float32", ("unk__8", 4))])


def stacks(path: Path, graph: Graph) -> bool:
    engine = open_engine(write(path, graph), "onnx", "auto", EngineOptions())
    assert engine.batch_axis is BatchAxis.OPEN
    try:
        return RowRunner(engine, card()).stacks
    finally:
        engine.close()


def indices(of: int) -> Graph:
    ports: tuple[list[Port], list[Port]] = (
        [("index", "int64", ("unk__1",))],
        [("row", "float32", ("unk__2", 3))],
    )
    table = np.arange(of * 3, dtype=np.float32).reshape(of, 3)
    return Graph([node("Gather", ["table", "index"], ["row"], axis=0)], *ports, {"table": table})


@pytest.mark.parametrize(
    "graph",
    [
        Graph([node("Softmax", ["x"], ["y"], axis=1)], *PORTS),
        Graph([node("MatMul", ["x", "w"], ["y"])], *PORTS, {"w": np.eye(4, dtype=np.float32)}),
        Graph(
            [node("Identity", ["text"], ["same"])],
            [("text", "string", ("unk__1", 2))],
            [("same", "string", ("unk__2", 2))],
        ),
        indices(of=8),
    ],
    ids=["softmax", "product", "text", "table"],
)
def test_a_model_whose_axes_have_a_name_each_is_stacked_if_its_rows_stay_apart(
    tmp_path: Path, graph: Graph
) -> None:
    assert stacks(tmp_path / "model.onnx", graph)


@pytest.mark.parametrize(
    "graph",
    [
        Graph([node("Softmax", ["x"], ["y"], axis=0)], *PORTS),
        Graph([node("CumSum", ["x", "axis"], ["y"])], *PORTS, {"axis": np.array(0, np.int64)}),
        Graph(
            [node("Transpose", ["x"], ["y"])],
            [("x", "float32", ("unk__1", "unk__2"))],
            [("y", "float32", ("unk__2", "unk__1"))],
        ),
        indices(of=1),
    ],
    ids=["softmax over rows", "sums of rows", "transposed", "an index that no table has"],
)
def test_it_runs_row_by_row_if_they_do_not_or_nobody_can_tell(tmp_path: Path, graph: Graph) -> None:
    assert not stacks(tmp_path / "model.onnx", graph)


def swapped(inputs: Mapping[str, Array]) -> dict[str, Array]:
    return {"y": inputs["x"][::-1]}


def less_the_mean(inputs: Mapping[str, Array]) -> dict[str, Array]:
    return {"y": inputs["x"] - inputs["x"].mean(axis=0, keepdims=True)}


def one_for_all(inputs: Mapping[str, Array]) -> dict[str, Array]:
    return {"y": inputs["x"].max(axis=0, keepdims=True)}


def fails_for_two(inputs: Mapping[str, Array]) -> dict[str, Array]:
    if len(inputs["x"]) > 1:
        raise RunFailed("one row at a time")
    return {"y": inputs["x"]}


def has_no_room(inputs: Mapping[str, Array]) -> dict[str, Array]:
    raise OutOfMemory("none")


@pytest.mark.parametrize("run", [swapped, less_the_mean, one_for_all, fails_for_two, has_no_room])
def test_rows_that_are_swapped_mixed_lost_or_refused_do_not_stay_apart(run: Run) -> None:
    assert not rows_stay_apart(run, {"x": (1, 64)}, {"x": np.dtype(np.float32)})


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "uint32", "int64", "float16", "float32", "float64"]
)
def test_rounding_is_no_mixing_whatever_the_type(dtype: str) -> None:
    def run(inputs: Mapping[str, Array]) -> dict[str, Array]:
        values = inputs["x"]
        assert values.dtype == dtype
        more = np.finfo(values.dtype).eps * len(values) if values.dtype.kind == "f" else 0
        return {"y": values, "z": (values * (1 + more)).astype(dtype)}

    assert rows_stay_apart(run, {"x": (1, 3, 5)}, {"x": np.dtype(dtype)})


def test_what_the_file_says_is_believed_and_nothing_is_run() -> None:
    for axis, stacked in ((BatchAxis.ROWS, True), (BatchAxis.FIXED, False)):
        engine = Doubling(batch_axis=axis)
        assert RowRunner(engine, card()).stacks is stacked
        assert engine.runs == []
