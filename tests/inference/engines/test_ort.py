"""ONNX Runtime on the shipped models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gateway.errors import LoadFailed, RunFailed
from gateway.inference.engines.engine import BatchAxis, Engine, EngineOptions
from gateway.inference.engines.select import open_engine
from tests.inference.model_folders import MODELS
from tests.onnx_writer import Graph, node, write

MOTION = MODELS / "motion-int8-onnx" / "motion_int8_qdq.onnx"
VOICE = MODELS / "silero-vad" / "silero_vad_16k_op15.onnx"


def opened(path: Path, **options: object) -> Engine:
    return open_engine(path, "onnx", "auto", EngineOptions(**options))  # type: ignore[arg-type]


def test_specs_come_from_the_file_with_open_axes_as_none() -> None:
    engine = opened(MOTION)
    assert [(spec.dtype, spec.shape) for spec in (*engine.inputs, *engine.outputs)] == [
        ("float32", (None, 100, 6)),
        ("float32", (None, 4)),
    ]
    assert engine.batch_axis is BatchAxis.ROWS


def test_a_model_whose_state_has_no_leading_rows_is_not_batched() -> None:
    assert opened(VOICE).batch_axis is BatchAxis.FIXED


@pytest.mark.parametrize(
    ("taken", "given", "axis"),
    [
        (("n", 4), ("n", 4), BatchAxis.ROWS),
        (("unk__1", 4), ("unk__2", 4), BatchAxis.OPEN),
        (("n", 4), (1, 4), BatchAxis.FIXED),
        ((1, 4), (1, 4), BatchAxis.FIXED),
    ],
)
def test_an_axis_is_one_of_rows_if_it_has_one_name_in_all_tensors(
    tmp_path: Path, taken: tuple[str | int, int], given: tuple[str | int, int], axis: BatchAxis
) -> None:
    graph = Graph([node("Identity", ["x"], ["y"])], [("x", "float32", taken)], [("y", "float32", given)])
    assert opened(write(tmp_path / "model.onnx", graph)).batch_axis is axis


def test_facts_name_the_provider_that_runs() -> None:
    facts = opened(MOTION, threads=2).facts
    assert (facts.runtime, facts.backend, facts.threads) == ("onnxruntime", "CPUExecutionProvider", 2)


def test_a_provider_that_is_absent_is_passed_over_only_if_another_was_asked_for() -> None:
    both = opened(MOTION, providers=("CUDAExecutionProvider", "CPUExecutionProvider"))
    assert both.facts.backend == "CPUExecutionProvider"
    with pytest.raises(LoadFailed, match="none of the providers CUDAExecutionProvider"):
        opened(MOTION, providers=("CUDAExecutionProvider",))


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"window": np.zeros((1, 99, 6), np.float32)},
        {"window": np.zeros((1, 100, 6), np.float64)},
        {"other": np.zeros((1, 100, 6), np.float32)},
    ],
)
def test_inputs_that_do_not_fit_fail_the_run_and_not_the_engine(
    inputs: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]],
) -> None:
    engine = opened(MOTION)
    with pytest.raises(RunFailed):
        engine.run(inputs)
    assert engine.run({"window": np.zeros((2, 100, 6), np.float32)})["probabilities"].shape == (2, 4)


def test_outputs_stay_what_they_were_when_the_model_runs_again() -> None:
    engine = opened(MOTION)
    first = engine.run({"window": np.ones((1, 100, 6), np.float32)})["probabilities"]
    kept = first.tolist()
    engine.run({"window": np.full((1, 100, 6), 9, np.float32)})
    engine.close()
    assert first.tolist() == kept


@pytest.mark.parametrize("damage", ["half", "empty", "garbage", "absent"])
def test_what_is_no_model_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "m.onnx"
    whole = MOTION.read_bytes()
    if damage != "absent":
        path.write_bytes(
            {"half": whole[: len(whole) // 2], "empty": b"", "garbage": b"\x00rubbish" * 99}[damage]
        )
    with pytest.raises(LoadFailed, match=r"m\.onnx: onnxruntime cannot load it"):
        opened(path)


def test_nothing_is_printed_even_when_a_run_fails() -> None:
    program = f"""
import numpy as np
from pathlib import Path
from gateway.errors import RunFailed
from gateway.inference.engines.engine import EngineOptions
from gateway.inference.engines.select import open_engine
options = EngineOptions(providers=("CUDAExecutionProvider", "CPUExecutionProvider"))
engine = open_engine(Path({str(MOTION)!r}), "onnx", "auto", options)
try:
    engine.run({{"window": np.zeros((1, 3, 6), np.float32)}})
except RunFailed:
    engine.run({{"window": np.zeros((1, 100, 6), np.float32)}})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_the_runtime_keeps_nothing_in_the_home_folder_and_reports_to_nobody(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from gateway.inference.engines.engine import EngineOptions
from gateway.inference.engines.select import open_engine
open_engine(Path({str(MOTION)!r}), "onnx", "auto", EngineOptions())
"""
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env=environment)
    assert list(tmp_path.iterdir()) == []
