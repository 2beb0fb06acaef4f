"""Whether rows stay apart is found out by running them: on real models, and on runs that mix them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from gateway.errors import OutOfMemory, RunFailed
from gateway.inference.card_text import card_text
from gateway.inference.engines.engine import BatchAxis, EngineOptions
from gateway.inference.engines.select import open_engine
from gateway.inference.loaded import LoadedModel, LoadSpec
from gateway.inference.made_card import card_of_file
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
        runner = RowRunner(engine, card())
        runner.settle(is_quick=True)
        return runner.stacks
    finally:
        engine.close()


def indices(of: int) -> Graph:
    ports: tuple[list[Port], list[Port]] = (
        [("index", "int64", ("unk__1",))],
        [("row", "float32", ("unk__2", 3))],
    )
    table = np.arange(of * 3, dtype=np.float32).reshape(of, 3)
    return Graph([node("Gather", ["table", "index"], ["row"], axis=0)], *ports, {"table": table})


def pairs(*nodes: bytes, outputs: int) -> Graph:
    ports = [(name, "float32", (f"unk__{name}", 4)) for name in ("a", "b", "y", "z")]
    return Graph(nodes, ports[:2], ports[2 : 2 + outputs])


def found() -> Graph:
    """Return a model that gives a row for each number above zero, whatever row of its input it stood in."""
    nodes = [
        node("Reshape", ["x", "flat"], ["numbers"]),
        node("Greater", ["numbers", "zero"], ["is_found"]),
        node("Compress", ["numbers", "is_found"], ["found"]),
        node("Reshape", ["found", "column"], ["y"]),
    ]
    constants = {"flat": np.array([-1], np.int64), "column": np.array([-1, 1], np.int64)}
    return Graph(
        nodes,
        [("x", "float32", ("unk__1", "unk__2"))],
        [("y", "float32", ("unk__3", 1))],
        {**constants, "zero": np.array(0, np.float32)},
    )


def labels_of_sums() -> Graph:
    """Return a model of sequences whose two steps have one label, alone and together."""
    nodes = [node("CumSum", ["x", "axis"], ["sums"]), node("ArgMax", ["sums"], ["y"], axis=1)]
    ports: tuple[list[Port], list[Port]] = ([("x", "float32", ("time", 1))], [("y", "int64", ("steps", 1))])
    return Graph(nodes, *ports, {"axis": np.array(0, np.int64)})


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
        pairs(node("Mul", ["a", "b"], ["y"]), outputs=1),
    ],
    ids=["softmax", "product", "text", "table", "pair"],
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
        found(),
        labels_of_sums(),
        pairs(node("Neg", ["a"], ["y"]), node("Neg", ["b"], ["z"]), outputs=2),
    ],
    ids=[
        *("softmax over rows", "sums of rows", "transposed", "an index that no table has"),
        *("as many rows as are found", "one label for all", "two parts that have rows of their own"),
    ],
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


def has_no_memory(inputs: Mapping[str, Array]) -> dict[str, Array]:
    raise MemoryError


def says_nothing(inputs: Mapping[str, Array]) -> dict[str, Array]:
    return {"y": np.zeros_like(inputs["x"])}


@pytest.mark.parametrize(
    "run", [swapped, less_the_mean, one_for_all, fails_for_two, has_no_room, has_no_memory, says_nothing]
)
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
        runner = RowRunner(engine, card())
        runner.settle(is_quick=True)
        assert runner.stacks is stacked
        assert engine.runs == []


@pytest.mark.parametrize("is_quick", [True, False])
def test_only_what_runs_quickly_is_tried_and_that_once(is_quick: bool) -> None:
    engine = Doubling(batch_axis=BatchAxis.OPEN)
    runner = RowRunner(engine, card())
    assert not runner.stacks
    for again in (is_quick, True):
        runner.settle(is_quick=again)
        assert runner.stacks is is_quick
        assert engine.runs == ([1, 1, 2] if is_quick else [])


def test_a_model_is_tried_when_it_is_warm(tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", Graph([node("Softmax", ["x"], ["y"], axis=1)], *PORTS))
    (tmp_path / "card.yaml").write_text(card_text(card_of_file(path).card, ()))
    model = LoadedModel.load(LoadSpec("made", str(tmp_path)))
    assert (model.max_rows, model.shape.stacks) == (1, False)
    model.warm_up()
    assert (model.max_rows, model.shape.stacks) == (None, True)
    model.close()
