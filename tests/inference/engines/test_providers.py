"""What providers are told: bounded, off the defaults, and without what an older build does not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import LoadFailed
from gateway.inference.engines.engine import EngineOptions, ModelSource
from gateway.inference.engines.ort import OrtEngine
from gateway.inference.engines.plugins import CPU, CUDA, TENSORRT
from gateway.inference.engines.providers import (
    ENVIRONMENT,
    provider_pairs,
    session_entries,
    without_refused,
)
from tests.inference.model_folders import MODELS

MOTION = MODELS / "motion-int8-onnx" / "motion_int8_qdq.onnx"


def told(provider: str, **options: Any) -> Mapping[str, str]:
    ((_, found),) = provider_pairs([provider], EngineOptions(**options))
    return found


def test_cuda_is_bounded_and_does_not_search_for_long() -> None:
    assert told(CUDA, gpu_memory_bytes=1 << 30) == {
        "device_id": "0",
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "cudnn_conv_use_max_workspace": "0",
        "do_copy_in_default_stream": "1",
        "gpu_mem_limit": "1073741824",
    }
    assert "gpu_mem_limit" not in told(CUDA)


@pytest.mark.parametrize(
    ("precision", "fp16", "int8"),
    [("", "False", "False"), ("fp32", "False", "False"), ("fp16", "True", "False"), ("int8", "True", "True")],
)
def test_tensorrt_computes_with_what_was_chosen(precision: str, fp16: str, int8: str) -> None:
    found = told(TENSORRT, precision=precision)
    assert (found["trt_fp16_enable"], found["trt_int8_enable"]) == (fp16, int8)


def test_tensorrt_keeps_engines_only_where_it_is_told_to() -> None:
    without = told(TENSORRT)
    assert (without["trt_engine_cache_enable"], without["trt_timing_cache_enable"]) == ("False", "False")
    assert not [key for key in without if key.endswith("_path")]
    found = told(TENSORRT, engine_cache="/c/abc-1", gpu_workspace_bytes=1 << 28)
    assert (found["trt_engine_cache_path"], found["trt_timing_cache_path"]) == ("/c/abc-1", "/c/abc-1")
    assert found["trt_max_workspace_size"] == "268435456"
    assert found["trt_force_sequential_engine_build"] == "True"
    assert found["trt_context_memory_sharing_enable"] == "True"
    assert found["trt_auxiliary_streams"] == "0"


def test_the_processor_is_told_nothing_and_only_without_it_is_falling_back_to_it_an_error() -> None:
    assert told(CPU) == {}
    assert session_entries([TENSORRT, CUDA]) == {"session.disable_cpu_ep_fallback": "1"}
    assert session_entries([CUDA, CPU]) == {}
    assert ENVIRONMENT["CUDA_MODULE_LOADING"] == "LAZY"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Invalid TensorRT EP option: trt_auxiliary_streams", "trt_auxiliary_streams"),
        (
            '[ONNXRuntimeError] : 1 : FAIL : options.h:152 Unknown provider option: "device_id".',
            "",
        ),
        ('Unknown provider option: "trt_timing_cache_enable".', "trt_timing_cache_enable"),
    ],
)
def test_an_option_that_a_build_refuses_is_left_out(text: str, key: str) -> None:
    pairs = provider_pairs([TENSORRT, CPU], EngineOptions())
    fewer = without_refused(pairs, text)
    assert fewer is not None
    assert dict(pairs)[TENSORRT].keys() - dict(fewer)[TENSORRT].keys() == {key or "device_id"}
    assert without_refused(fewer, text) is None


@given(st.text(max_size=300))
def test_no_text_takes_away_more_than_one_option(text: str) -> None:
    pairs = provider_pairs([TENSORRT, CUDA], EngineOptions())
    fewer = without_refused(pairs, text)
    assert fewer is None or [name for name, _ in fewer] == [TENSORRT, CUDA]


class OldBuild:
    """The real runtime as an older one that has CUDA but does not know all of its options."""

    def __init__(self, known: set[str]) -> None:
        self._known = known
        self.given: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(onnxruntime, name)

    def get_available_providers(self) -> list[str]:
        return [CUDA, CPU]

    def InferenceSession(self, path: str, options: Any, *, providers: Any, **_: Any) -> Any:  # noqa: N802
        self.given.append(providers)
        for key in dict(providers)[CUDA]:
            if key not in self._known:
                raise RuntimeError(f'Unknown provider option: "{key}".')
        real = onnxruntime.InferenceSession(path, onnxruntime.SessionOptions(), providers=[CPU])
        names = [name for name, _ in providers] + ([CPU] if CPU not in dict(providers) else [])
        return _Played(real, names)


class _Played:
    def __init__(self, real: Any, names: list[str]) -> None:
        self._real, self._names = real, names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get_providers(self) -> list[str]:
        return self._names


def test_a_model_loads_on_a_build_that_knows_fewer_options() -> None:
    old = OldBuild({"device_id", "gpu_mem_limit"})
    options = EngineOptions(providers=(CUDA,), exact=True, gpu_memory_bytes=1 << 20)
    engine = OrtEngine(old, ModelSource(MOTION, "m.onnx"), options)
    assert engine.facts.backend == CUDA
    assert dict(old.given[-1])[CUDA] == {"device_id": "0", "gpu_mem_limit": "1048576"}
    zeros = {"window": np.zeros((1, 100, 6), np.float32)}
    assert engine.run(zeros)["probabilities"].shape == (1, 4)


def test_another_error_is_told_and_not_tried_again() -> None:
    old = OldBuild(set())
    old.InferenceSession = _broken  # type: ignore[method-assign]
    with pytest.raises(LoadFailed, match=r"m\.onnx: onnxruntime cannot load it: no such engine"):
        OrtEngine(old, ModelSource(MOTION, "m.onnx"), EngineOptions(providers=(CUDA,)))


def _broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("no such engine")
