"""The shipped models answer on an emulated Cortex-A57 what they answer here, tensor by tensor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from gateway.tensor import Array
from tests.arm64.root import Root, Unavailable, missing
from tests.rules.tree import ROOT

pytestmark = pytest.mark.slow

_MODELS: Final = ROOT / "models"
_PROGRAM: Final = Path(__file__).parent / "answers.py"

# Of outputs in floating point: the largest difference, in the output's own units, and why so much.
# Integer outputs, and the inputs that payloads become, may not differ at all but where it says so below.
TOLERANCES: Final = {
    # Measured 1.3e-4 of values up to 155: sums of products in another order, over some twenty layers.
    "blazeface-short-range": 5e-4,
    # Measured 0: between the first and the last layer all is integers. Two steps of the last, of 0.0528.
    "efficientnet-lite0-int8-onnx": 0.106,
    # Measured 0, as above; one step in 256, which the softmax behind it can at most give back as such.
    "motion-int8-onnx": 4e-3,
    # Measured 2.2e-6 after one run: tanh and exp are approximated by other polynomials.
    "silero-vad": 2e-5,
}
# Of outputs in integers, in steps. Measured 0; one step is half a rounding here and half there.
_STEPS: Final = 1
# Of a picture's levels: codecs and scalers with other instructions may round otherwise. Measured 0.
_LEVELS: Final = 1


@dataclass(frozen=True)
class Answers:
    """What one processor made of the golden samples."""

    machine: str
    models: dict[str, Any]
    tensors: dict[str, Array]


def _read(place: Path) -> Answers:
    said = json.loads(place.with_suffix(".json").read_text())
    with np.load(place.with_suffix(".npz"), allow_pickle=False) as kept:
        return Answers(said["machine"], said["models"], {name: kept[name] for name in kept.files})


@pytest.fixture(scope="module", name="root")
def _root() -> Root:
    lacking = missing()
    if lacking:
        pytest.skip(f"NOT TRIED, for {', '.join(lacking)} is not there")
    try:
        return Root()
    except Unavailable as error:
        pytest.skip(f"NOT TRIED, for arm64's packages could not be fetched: {error}")


@pytest.fixture(scope="module", name="there")
def _there(root: Root, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    place = tmp_path_factory.mktemp("arm64") / "there"
    done = root.run(_PROGRAM, str(_MODELS), str(place))
    assert done.returncode == 0, done.stderr[-4000:]
    return _read(place)


@pytest.fixture(scope="module", name="here")
def _here(there: Answers, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    place = tmp_path_factory.mktemp("arm64") / "here"
    command = [sys.executable, str(_PROGRAM), str(_MODELS), str(place)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ORT_DISABLE_TELEMETRY": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=120)
    return _read(place)


def _pairs(here: Answers, there: Answers, side: str) -> Iterator[tuple[str, Array, Array]]:
    for name in here.tensors:
        if name.split("/")[3] == side:
            yield name, here.tensors[name], there.tensors[name]


def _apart(first: Array, second: Array) -> float:
    return float(np.abs(first.astype(np.float64) - second.astype(np.float64)).max(initial=0.0))


def test_the_fetched_interpreter_is_arm64_s(root: Root) -> None:
    """Fetching has a test of its own, so that neither it nor the run takes a test's whole time."""
    assert root.machine_of(root.python) == "aarch64"


def test_the_answers_come_from_an_arm64_processor_and_of_every_shipped_model(
    here: Answers, there: Answers
) -> None:
    shipped = {folder.name for folder in _MODELS.iterdir() if folder.is_dir()}
    assert there.machine == "aarch64"
    assert set(there.models) == set(here.models) == shipped
    assert set(TOLERANCES) <= shipped
    assert set(there.tensors) == set(here.tensors)
    for name, array in here.tensors.items():
        assert (there.tensors[name].dtype, there.tensors[name].shape) == (array.dtype, array.shape), name


def test_the_same_runtime_in_the_same_version_ran_on_the_same_kernels(here: Answers, there: Answers) -> None:
    ran = {name: said["engine"] for name, said in there.models.items()}
    assert ran == {name: said["engine"] for name, said in here.models.items()}
    assert all("xnnpack" in words for words in ran.values() if words.startswith("litert"))


def test_golden_samples_hold_on_arm64(there: Answers) -> None:
    ends = {
        f"{model}/{file}": end for model, said in there.models.items() for file, end in said["ends"].items()
    }
    assert len(ends) >= len(there.models)
    assert {place: end["wrong"] for place, end in ends.items() if end["wrong"]} == {}


def test_payloads_become_the_same_inputs(here: Answers, there: Answers) -> None:
    for name, first, second in _pairs(here, there, "in"):
        picture = first.dtype == np.uint8 or name.startswith(("blazeface", "efficientnet"))
        # A normalised picture's level is 1/128 or 2/255; the sound and the numbers are only cut up.
        level = 1.0 if first.dtype == np.uint8 else 1 / 127
        assert _apart(first, second) <= (_LEVELS * level if picture else 0.0), name


def test_outputs_lie_within_their_model_s_tolerance(here: Answers, there: Answers) -> None:
    for name, first, second in _pairs(here, there, "out"):
        floats = first.dtype.kind == "f"
        assert np.isfinite(second.astype(np.float64)).all(), name
        assert _apart(first, second) <= (TOLERANCES[name.split("/")[0]] if floats else _STEPS), name


def test_the_top_class_is_the_same(here: Answers, there: Answers) -> None:
    seen = set()
    for model, said in here.models.items():
        for file, end in said["ends"].items():
            other = there.models[model]["ends"][file]
            assert other["rows"] == end["rows"]
            if end["prediction"]["kind"] == "classification":
                seen.add(model)
                first, second = end["prediction"]["classes"][0], other["prediction"]["classes"][0]
                assert first["index"] == second["index"], f"{model}/{file}"
    assert len(seen) >= 4


def test_a_stream_carried_over_many_runs_ends_alike(here: Answers, there: Answers) -> None:
    first = here.models["silero-vad"]["ends"]["golden/speech.pcm"]
    second = there.models["silero-vad"]["ends"]["golden/speech.pcm"]
    assert first["rows"] > 100
    # Rounding adds up over the runs, but no segment begins or ends a window earlier or later.
    assert first["prediction"]["segments"] == second["prediction"]["segments"]
    assert first["prediction"]["probability"] == pytest.approx(second["prediction"]["probability"], abs=1e-3)
