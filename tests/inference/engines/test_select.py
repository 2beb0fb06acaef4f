"""Which runtime takes a file, with and without packages installed."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata, util
from importlib.machinery import ModuleSpec

import pytest

from gateway.errors import LoadFailed
from gateway.inference.engines import tflite_runtime
from gateway.inference.engines.engine import EngineOptions
from gateway.inference.engines.select import choose, distribution, open_engine
from tests.inference.model_folders import MODELS


def only(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    found = {name: ModuleSpec(name, None) for name in packages}
    monkeypatch.setattr(util, "find_spec", found.get)


@pytest.mark.parametrize(
    ("installed", "model_format", "chosen"),
    [
        (("ai_edge_litert", "tflite_runtime"), "tflite", "litert"),
        (("tflite_runtime",), "tflite", "tflite-runtime"),
        (("onnxruntime",), "onnx", "onnxruntime"),
    ],
)
def test_auto_takes_the_best_runtime_that_is_installed(
    monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...], model_format: str, chosen: str
) -> None:
    only(monkeypatch, *installed)
    assert choose(model_format, "auto") == chosen


def test_without_a_runtime_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch)
    with pytest.raises(LoadFailed, match="pip install ai-edge-litert or tflite-runtime"):
        choose("tflite", "auto")


@pytest.mark.parametrize(
    ("model_format", "engine"), [("onnx", "litert"), ("tflite", "onnxruntime"), ("onnx", "tflite-runtime")]
)
def test_an_engine_that_cannot_run_the_format_is_refused(model_format: str, engine: str) -> None:
    with pytest.raises(LoadFailed, match=f"engine {engine} does not run .{model_format} files"):
        choose(model_format, engine)


def test_a_runtime_that_was_asked_for_but_is_absent_is_named() -> None:
    path = MODELS / "motion-int8" / "motion_int8.tflite"
    if util.find_spec("tflite_runtime") is not None:
        assert (
            open_engine(path, "tflite", "tflite-runtime", EngineOptions()).facts.runtime == "tflite-runtime"
        )
        return
    with pytest.raises(LoadFailed, match="tflite-runtime"):
        open_engine(path, "tflite", "tflite-runtime", EngineOptions())


def test_tflite_runtime_names_a_numpy_that_it_cannot_work_with() -> None:
    with pytest.raises(LoadFailed, match=r"needs numpy below 2 and finds 2\.4\.6"):
        tflite_runtime.refuse_numpy("2.4.6")
    tflite_runtime.refuse_numpy("1.26.4")


def test_every_runtime_knows_its_distribution() -> None:
    assert [distribution(name) for name in ("litert", "tflite-runtime", "onnxruntime")] == [
        "ai-edge-litert",
        "tflite-runtime",
        "onnxruntime",
    ]


def test_loading_a_model_imports_its_own_runtime_alone() -> None:
    program = f"""
import sys
from pathlib import Path
from gateway.inference.engines.engine import EngineOptions
from gateway.inference.engines.select import open_engine
open_engine(Path({str(MODELS / "motion-int8" / "motion_int8.tflite")!r}), "tflite", "auto", EngineOptions())
print([name for name in ("onnxruntime", "asyncio", "paho", "PIL", "yaml") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60)
    assert done.stdout.strip() == b"[]"


def test_the_version_is_the_one_that_is_installed() -> None:
    path = MODELS / "motion-int8" / "motion_int8.tflite"
    facts = open_engine(path, "tflite", "litert", EngineOptions()).facts
    assert facts.version == metadata.version("ai-edge-litert")
