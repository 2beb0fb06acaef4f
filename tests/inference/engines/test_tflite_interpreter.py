"""Engines on the Interpreter API, on real files of every element type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import BuiltinOperator

from gateway.errors import LoadFailed, RunFailed
from gateway.inference.engines.engine import BatchAxis, Engine, EngineOptions
from gateway.inference.engines.select import open_engine
from gateway.tensor import Quantization
from tests import tflite_writer
from tests.inference.model_folders import MODELS

EFFICIENTNET = MODELS / "efficientnet-lite0-int8" / "efficientnet_lite0_int8.tflite"


def opened(path: Path, **options: object) -> Engine:
    return open_engine(path, "tflite", "litert", EngineOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point"),
    [("float32", 0.0, 0), ("float16", 0.0, 0), ("int8", 0.5, -3), ("uint8", 0.25, 127), ("int16", 0.125, 0)],
)
def test_tensors_are_taken_and_given_in_the_type_and_quantisation_of_the_file(
    tmp_path: Path, dtype: str, scale: float, zero_point: int
) -> None:
    engine = opened(tflite_writer.identity(tmp_path / "m.tflite", dtype, scale, zero_point))
    wanted = Quantization(scale, zero_point) if scale else None
    assert [(spec.dtype, spec.shape, spec.quantization) for spec in engine.inputs] == [
        (dtype, (1, 4), wanted)
    ]
    codes = np.arange(4).astype(dtype)[None]
    given = engine.run({"x": codes})["y"]
    assert given.dtype == codes.dtype
    assert given.tolist() == codes.tolist()


def test_outputs_stay_what_they_were_when_the_model_runs_again(tmp_path: Path) -> None:
    engine = opened(tflite_writer.identity(tmp_path / "m.tflite", "int8", 1.0))
    first = engine.run({"x": np.full((1, 4), 7, np.int8)})["y"]
    engine.run({"x": np.full((1, 4), 9, np.int8)})
    engine.close()
    assert first.tolist() == [[7, 7, 7, 7]]


def test_a_model_of_any_batch_takes_batches_of_changing_size(tmp_path: Path) -> None:
    engine = opened(tflite_writer.identity(tmp_path / "m.tflite", "int8", 1.0, rows=-1))
    assert engine.batch_axis is BatchAxis.ROWS
    assert engine.inputs[0].shape == (None, 4)
    for rows in (3, 1, 5, 5):
        codes = np.arange(rows * 4, dtype=np.int8).reshape(rows, 4)
        assert engine.run({"x": codes})["y"].tolist() == codes.tolist()


def test_a_model_of_fixed_batch_is_known_as_such() -> None:
    assert opened(EFFICIENTNET).batch_axis is BatchAxis.FIXED


@pytest.mark.parametrize(("delegates", "backend"), [(("xnnpack",), "xnnpack"), ((), "builtin")])
def test_facts_name_what_really_runs(tmp_path: Path, delegates: tuple[str, ...], backend: str) -> None:
    engine = opened(tflite_writer.product(tmp_path / "m.tflite"), delegates=delegates, threads=2)
    assert (engine.facts.runtime, engine.facts.backend, engine.facts.threads) == ("litert", backend, 2)


def test_a_delegate_that_takes_nothing_is_not_said_to_run(tmp_path: Path) -> None:
    engine = opened(tflite_writer.identity(tmp_path / "m.tflite", "int16", 0.5), delegates=("xnnpack",))
    assert engine.facts.backend == "builtin"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the package's own destructor
def test_a_delegate_that_is_not_there_is_refused() -> None:
    with pytest.raises(LoadFailed, match="no_such_delegate"):
        opened(EFFICIENTNET, delegates=("no_such_delegate.so",))


def test_a_recurrent_layer_begins_every_run_at_zero(tmp_path: Path) -> None:
    engine = opened(tflite_writer.recurrent(tmp_path / "m.tflite"))
    ones = np.ones((1, 2), np.float32)
    assert [engine.run({"x": ones})["y"].tolist() for _ in range(3)] == [[[1.0, 1.0]]] * 3


def test_a_model_that_hides_state_from_the_gateway_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match="streams would mix"):
        opened(tflite_writer.hidden_state(tmp_path / "m.tflite"))


def test_inputs_quantised_per_channel_are_refused(tmp_path: Path) -> None:
    tensors = [
        tflite_writer.Tensor("x", "int8", (2, 2), (0.5, 0.25)),
        tflite_writer.Tensor("shape", "int32", (2,), data=np.array([2, 2], np.int32)),
        tflite_writer.Tensor("y", "int8", (2, 2), 0.5),
    ]
    reshape = tflite_writer.Operator(BuiltinOperator.RESHAPE, (0, 1), (2,))
    path = tflite_writer.write(tmp_path / "m.tflite", tensors, [reshape], [0], [2])
    with pytest.raises(LoadFailed, match="per channel"):
        opened(path)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"wrong": np.zeros((1, 4), np.int8)},
        {"x": np.zeros((1, 5), np.int8)},
        {"x": np.zeros((1, 4), np.float32)},
        {"x": np.zeros((4,), np.int8)},
    ],
)
def test_inputs_that_do_not_fit_fail_the_run_and_not_the_engine(
    tmp_path: Path, inputs: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int8]]]
) -> None:
    engine = opened(tflite_writer.identity(tmp_path / "m.tflite", "int8", 1.0))
    with pytest.raises(RunFailed):
        engine.run(inputs)
    assert engine.run({"x": np.ones((1, 4), np.int8)})["y"].tolist() == [[1, 1, 1, 1]]


@pytest.mark.parametrize("damage", ["half", "empty", "garbage", "absent"])
def test_what_is_no_model_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "m.tflite"
    whole = EFFICIENTNET.read_bytes()
    if damage != "absent":
        path.write_bytes(
            {"half": whole[: len(whole) // 2], "empty": b"", "garbage": b"\x00rubbish" * 99}[damage]
        )
    with pytest.raises(LoadFailed, match=r"m\.tflite: litert cannot load it"):
        opened(path)
