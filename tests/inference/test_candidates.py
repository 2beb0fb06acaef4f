"""Which file is tried on which backend, by board and configuration."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.candidates import Candidate, Ladder, ModelFile, Wish, ladder
from gateway.inference.engines.board import Board
from gateway.inference.engines.plugins import CPU, CUDA, TENSORRT
from gateway.inference.engines.precision import Precision, Processor, ruling

RUNTIMES = {"onnx": "onnxruntime", "tflite": "litert"}
INT8, FP16, FP32 = Precision
FULL = (TENSORRT, CUDA, CPU)
ORIN = Board(soc="tegra234", sm=87, gpu=True, providers=FULL, processor=Processor("aarch64"))
NANO = Board(soc="tegra210", sm=53, gpu=True, providers=FULL, processor=Processor("aarch64"))
PLAIN = Board(providers=(CPU,), processor=Processor("x86_64"))
# A release with twins, as docs/model-cards.md shows it: the card's own file is the quantised TFLite one.
TWINS = (
    ModelFile("", "tflite", INT8),
    ModelFile("m_qdq.onnx", "onnx", INT8),
    ModelFile("m_fp16.onnx", "onnx", FP16),
)
QDQ = (ModelFile("", "onnx", INT8),)
FLOAT = (ModelFile("", "onnx", FP32),)


def steps(found: Ladder) -> list[tuple[str, str, str]]:
    return [(each.backend, each.precision.value, each.file) for each in found.candidates]


def test_an_orin_tries_int8_on_tensorrt_and_ends_at_the_processor() -> None:
    assert steps(ladder(Wish(), TWINS, ORIN, RUNTIMES)) == [
        (TENSORRT, "int8", "m_qdq.onnx"),
        (TENSORRT, "fp16", "m_fp16.onnx"),
        (CUDA, "fp16", "m_fp16.onnx"),
        ("xnnpack", "int8", ""),
        (CPU, "int8", "m_qdq.onnx"),
        (CPU, "fp16", "m_fp16.onnx"),
    ]


def test_a_nano_takes_the_fp16_twin_and_says_why_not_int8() -> None:
    found = ladder(Wish(), TWINS, NANO, RUNTIMES)
    assert steps(found)[:2] == [(TENSORRT, "fp16", "m_fp16.onnx"), (CUDA, "fp16", "m_fp16.onnx")]
    assert steps(found)[2] == ("xnnpack", "int8", "")
    reasons = [str(each) for each in found.passed_over]
    assert any("sm_53 has no int8" in reason for reason in reasons)
    assert any("no kernels for quantised layers" in reason for reason in reasons)


def test_a_nano_without_a_twin_runs_int8_on_the_processor() -> None:
    assert steps(ladder(Wish(), QDQ, NANO, RUNTIMES)) == [(CPU, "int8", "")]


def test_a_board_without_a_gpu_has_one_candidate_for_a_model_of_one_file() -> None:
    for files in (QDQ, FLOAT, TWINS[:1]):
        (only,) = ladder(Wish(), files, PLAIN, RUNTIMES).candidates
        assert (only.file, only.providers, only.exact) == ("", (CPU,), False)


def test_a_runtime_for_gpus_on_a_machine_without_one_is_not_tried() -> None:
    found = ladder(Wish(), FLOAT, Board(providers=FULL), RUNTIMES)
    assert steps(found) == [(CPU, "fp32", "")]
    assert [str(each) for each in found.passed_over] == [
        f"{TENSORRT}: there is no GPU here",
        f"{CUDA}: there is no GPU here",
    ]


def test_providers_that_are_named_are_obeyed_in_their_order_each_as_a_step() -> None:
    found = ladder(Wish((CUDA, "OddExecutionProvider", CPU)), FLOAT, ORIN, RUNTIMES)
    assert [each.providers for each in found.candidates] == [
        (CUDA, "OddExecutionProvider", CPU),
        ("OddExecutionProvider", CPU),
        (CPU,),
    ]
    assert [each.exact for each in found.candidates] == [True, True, False]
    assert steps(ladder(Wish((CPU,)), TWINS[1:], ORIN, RUNTIMES)) == [
        (CPU, "int8", "m_qdq.onnx"),
        (CPU, "fp16", "m_fp16.onnx"),
    ]


def test_a_named_provider_that_this_build_lacks_is_passed_over_with_a_reason() -> None:
    found = ladder(Wish((CUDA, CPU)), FLOAT, PLAIN, RUNTIMES)
    assert steps(found) == [(CPU, "fp32", "")]
    assert str(found.passed_over[0]) == f"{CUDA}: the installed onnxruntime was built without it"
    assert ladder(Wish((CUDA,)), FLOAT, PLAIN, RUNTIMES).candidates == ()


def test_quantised_onnx_is_kept_from_cuda_even_where_cuda_is_named() -> None:
    assert steps(ladder(Wish((CUDA, CPU)), QDQ, ORIN, RUNTIMES)) == [(CPU, "int8", "")]
    assert ladder(Wish((CUDA,)), QDQ, ORIN, RUNTIMES).candidates == ()


def test_a_precision_that_is_asked_for_leaves_no_other() -> None:
    assert {step[1] for step in steps(ladder(Wish(precision="fp16"), TWINS, ORIN, RUNTIMES))} == {"fp16"}
    found = ladder(Wish(precision="int8"), FLOAT, ORIN, RUNTIMES)
    assert found.candidates == ()
    assert all(each.why == "the configuration wants int8" for each in found.passed_over)


def test_tensorrt_makes_fp16_of_a_float_model_only_if_it_is_asked_to() -> None:
    assert steps(ladder(Wish(), FLOAT, ORIN, RUNTIMES))[0] == (TENSORRT, "fp32", "")
    assert steps(ladder(Wish(precision="fp16"), FLOAT, ORIN, RUNTIMES)) == [(TENSORRT, "fp16", "")]


def test_a_file_whose_runtime_is_absent_is_passed_over() -> None:
    found = ladder(Wish(), TWINS, PLAIN, {"onnx": "onnxruntime"})
    assert [each.file for each in found.candidates] == ["m_qdq.onnx", "m_fp16.onnx"]
    assert found.passed_over[0].why == "no runtime for .tflite files may be used"


def test_a_gpu_candidate_never_has_the_processor_as_a_silent_way_out_unless_it_was_named() -> None:
    for each in ladder(Wish(), TWINS, ORIN, RUNTIMES).candidates:
        assert each.exact == (each.backend in (TENSORRT, CUDA))
        assert not (each.exact and CPU in each.providers)


FILES = st.lists(
    st.builds(
        ModelFile,
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["onnx", "tflite"]),
        st.sampled_from(Precision),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda each: each.file,
)


@given(
    files=FILES,
    sm=st.none() | st.integers(30, 130),
    gpu=st.booleans(),
    built=st.lists(st.sampled_from([TENSORRT, CUDA]), unique=True),
    named=st.lists(st.sampled_from([TENSORRT, CUDA, CPU, "OddExecutionProvider"]), unique=True, max_size=4),
    precision=st.sampled_from(["auto", "int8", "fp16", "fp32"]),
)
def test_no_candidate_breaks_a_rule_and_every_file_is_accounted_for(
    files: list[ModelFile],
    sm: int | None,
    gpu: bool,
    built: list[str],
    named: list[str],
    precision: str,
) -> None:
    board = Board(sm=sm, gpu=gpu, providers=(*built, CPU), processor=Processor("aarch64"))
    found = ladder(Wish(tuple(named), precision=precision), files, board, RUNTIMES)
    for each in found.candidates:
        assert ruling(each.precision, (each.runtime, each.backend), sm, board.processor).allowed
        assert precision in ("auto", each.precision.value)
        assert each.why
        assert not _is_hidden(each)
    assert len(set(steps(found))) == len(found.candidates)
    assert found.candidates or found.passed_over
    assert all(each.why for each in found.passed_over)


def _is_hidden(each: Candidate) -> bool:
    """Say whether a candidate that is to be on a GPU could be on the processor and nobody would know."""
    return each.backend not in (CPU, "xnnpack") and not each.exact


@pytest.mark.parametrize("precision", list(Precision))
def test_a_candidate_is_named_by_backend_precision_and_file(precision: Precision) -> None:
    found = Candidate("m.onnx", "onnxruntime", CPU, (CPU,), precision, exact=False, why="so")
    assert str(found) == f"{CPU} {precision.value} (m.onnx)"
