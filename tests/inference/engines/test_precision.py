"""The table of precisions: complete, with a reason everywhere, and true to what each GPU can do."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.engines.plugins import CPU, CUDA, TENSORRT
from gateway.inference.engines.precision import (
    BUILTIN,
    COMPILED,
    ONNX_BACKENDS,
    TFLITE_BACKENDS,
    WEBGPU,
    XNNPACK,
    Precision,
    Processor,
    overflows,
    ruling,
    rulings,
)
from tests.inference.engines import boards

RUNTIMES = ("onnxruntime", "litert", "tflite-runtime")
BACKENDS = (*ONNX_BACKENDS, *TFLITE_BACKENDS, "SomebodysExecutionProvider")
SMS = (None, 0, 30, 50, 52, 53, 60, 61, 62, 70, 72, 75, 80, 86, 87, 89, 90, 100, 101, 110, 120, 121, 999)
PROCESSORS = (
    Processor("x86_64", frozenset({"avx2"})),
    Processor("aarch64", frozenset(boards.A57.split())),
    Processor("aarch64", frozenset(boards.CARMEL.split())),
    Processor("aarch64", frozenset(boards.A78.split())),
    Processor(""),
)
ORIN = PROCESSORS[3]
PRODUCT = list(itertools.product(RUNTIMES, BACKENDS, SMS, PROCESSORS))


def best(runtime: str, backend: str, sm: int | None, processor: Processor = ORIN) -> Precision | None:
    first = rulings(runtime, backend, sm, processor)[0]
    return first.precision if first.allowed else None


def test_every_question_has_one_answer_for_each_precision_and_each_says_why() -> None:
    for question in PRODUCT:
        answers = rulings(*question)
        assert sorted(answer.precision.value for answer in answers) == ["fp16", "fp32", "int8"], question
        assert all(len(answer.why) > 12 for answer in answers), question
        allowed = [answer.allowed for answer in answers]
        assert allowed == sorted(allowed, reverse=True), question


@pytest.mark.parametrize(
    ("architecture", "features", "does"),
    [
        ("x86_64", "avx2", True),
        ("x86_64", "avx2 avx_vnni", False),
        ("x86_64", "avx2 avx512f avx512bw avx512dq avx512vl", True),
        ("x86_64", "avx2 avx512f avx512bw avx512dq avx512vl avx512_vnni", False),
        # Its kernels for AVX-512 go first, and these cores have no VNNI for them.
        ("x86_64", "avx2 avx_vnni avx512f avx512bw avx512dq avx512vl", True),
        ("x86_64", "avx2 avx512f avx512_vnni", True),
        ("x86_64", "", True),
        ("aarch64", boards.A57, False),
        ("", "", False),
    ],
)
def test_kernels_overflow_on_x86_without_vnni(architecture: str, features: str, does: bool) -> None:
    assert overflows(Processor(architecture, frozenset(features.split()))) == does


def test_quantised_onnx_never_runs_on_the_cuda_provider() -> None:
    for question in PRODUCT:
        if question[:2] == ("onnxruntime", CUDA):
            told = ruling(Precision.INT8, ("onnxruntime", CUDA), *question[2:])
            assert not told.allowed
            assert "no kernels" in told.why


def test_tensorrt_gets_int8_from_sm_72_on_and_never_without_knowing_the_gpu() -> None:
    for question in PRODUCT:
        if question[:2] == ("onnxruntime", TENSORRT):
            sm = question[2]
            told = ruling(Precision.INT8, ("onnxruntime", TENSORRT), sm, question[3])
            assert told.allowed == (sm is not None and sm >= 72), sm


def test_fp32_is_there_wherever_anything_is() -> None:
    for question in PRODUCT:
        answers = rulings(*question)
        if any(answer.allowed for answer in answers):
            assert next(each for each in answers if each.precision is Precision.FP32).allowed, question


@pytest.mark.parametrize(
    ("backend", "sm", "precision"),
    [
        (TENSORRT, 53, Precision.FP16),
        (TENSORRT, 62, Precision.FP16),
        (TENSORRT, 72, Precision.INT8),
        (TENSORRT, 87, Precision.INT8),
        (TENSORRT, 110, Precision.INT8),
        (TENSORRT, 50, Precision.FP32),
        (TENSORRT, None, Precision.FP16),
        (CUDA, 53, Precision.FP16),
        (CUDA, 87, Precision.FP16),
        (CUDA, 50, Precision.FP32),
        (CPU, 53, Precision.INT8),
        (CPU, None, Precision.INT8),
    ],
)
def test_the_best_precision_of_onnx_models(backend: str, sm: int | None, precision: Precision) -> None:
    assert best("onnxruntime", backend, sm) is precision


def test_boards_without_int8_are_told_what_to_do_instead() -> None:
    for sm in (53, 62):
        told = ruling(Precision.INT8, ("onnxruntime", TENSORRT), sm, PROCESSORS[1])
        assert told.why == f"sm_{sm} has no int8: an fp16 twin, or int8 on the processor"


def test_tflite_runs_quantised_on_the_processor_whatever_the_gpu() -> None:
    for sm, processor in itertools.product(SMS, PROCESSORS):
        assert best("litert", XNNPACK, sm, processor) is Precision.INT8
        assert best("litert", BUILTIN, sm, processor) is Precision.INT8


@pytest.mark.parametrize("backend", [COMPILED, WEBGPU])
def test_compiled_model_is_kept_from_arm_cores_that_it_would_end(backend: str) -> None:
    verdicts = [best("litert", backend, 87, processor) is not None for processor in PROCESSORS]
    assert verdicts == [True, False, False, True, True]
    assert "SIGILL" in rulings("litert", backend, 53, PROCESSORS[1])[0].why
    assert best("tflite-runtime", backend, 87) is None


@given(
    runtime=st.text(max_size=20),
    backend=st.text(max_size=20),
    sm=st.none() | st.integers(-(10**9), 10**9),
    architecture=st.text(max_size=10),
    features=st.frozensets(st.text(max_size=10)),
)
def test_questions_that_nobody_foresaw_are_answered_too(
    runtime: str, backend: str, sm: int | None, architecture: str, features: frozenset[str]
) -> None:
    answers = rulings(runtime, backend, sm, Processor(architecture, features))
    assert {answer.precision for answer in answers} == set(Precision)
