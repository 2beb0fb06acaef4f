"""Errors that end a CUDA context are told from those that a process gets over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import OutOfMemory, RunFailed
from gateway.inference.engines.ort import _typed
from gateway.inference.engines.sticky import is_sticky, sticky_cause

STICKY = [
    "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=a ; expr=cudaEvent(e);",
    "CUDA failure 77: an illegal memory access was encountered ; GPU=0",
    "CUDA failure 719: unspecified launch failure ; GPU=0 ; hostname=nano",
    "[TRT] [E] 1: [resources.cpp::24] Error Code 1: Cuda Runtime (an illegal memory access was encountered)",
    "1: [runner.cpp::execute::416] Error Code 1: Cuda Runtime (unspecified launch failure)",
    "Error Code 1: Cuda Runtime (unknown error)",
    "OSError: (External) CUDA error(700), an illegal",
    "CUDA error: device-side assert triggered",
    "CUDA failure 214: uncorrectable ECC error encountered",
    "CUDA failure 718: invalid program counter",
    "CUDA failure 716: misaligned address",
    "CUDA failure 999: unknown error",
    "cuda runtime error (702) : something new",
    "CUDA driver error 4: driver shutting down",
    "cudaErrorIllegalInstruction",
    "cuStreamSynchronize: CUDA_ERROR_LAUNCH_FAILED",
]
GOT_OVER = [
    "",
    "CUDA failure 2: out of memory ; GPU=0",
    "CUDA failure 209: no kernel image is available for execution on the device ; GPU=0",
    "CUDA failure 100: no CUDA-capable device is detected",
    "CUDA failure 801: operation not supported",
    "CUDNN failure 4: CUDNN_STATUS_INTERNAL_ERROR",
    "Failed to allocate memory for requested buffer of size 700",
    "line 719: the shape (700, 999) does not fit",
    "unknown error",
    "Got invalid dimensions for input: x index: 1 Got: 700 Expected: 715",
    "error 700 of sensor cuda-camera",
]


@pytest.mark.parametrize("text", STICKY)
def test_errors_after_which_nothing_works_are_sticky(text: str) -> None:
    assert is_sticky(text)
    assert sticky_cause(text).lower() in text.lower()


@pytest.mark.parametrize("text", GOT_OVER)
def test_errors_that_a_process_gets_over_are_not(text: str) -> None:
    assert not is_sticky(text)


@given(before=st.text(max_size=200), after=st.text(max_size=200), known=st.sampled_from(STICKY))
def test_what_stands_around_a_sticky_error_hides_nothing(before: str, after: str, known: str) -> None:
    assert is_sticky(f"{before}\n{known}\n{after}")


@given(st.text(max_size=2000))
def test_any_text_is_answered(text: str) -> None:
    assert is_sticky(text) == bool(sticky_cause(text))


def test_a_sticky_error_is_still_to_be_seen_where_its_text_is_cut() -> None:
    told = _typed(RuntimeError("x" * 5000 + " " + STICKY[0]), RunFailed, "onnxruntime failed")
    assert isinstance(told, RunFailed)
    assert is_sticky(told.message)
    assert len(told.message) < 1000
    assert told.attributes["sticky"] == "an illegal memory access was encountered"


def test_no_memory_is_another_kind() -> None:
    told = _typed(RuntimeError("CUDA failure 2: out of memory ; GPU=0"), RunFailed, "onnxruntime failed")
    assert isinstance(told, OutOfMemory)
    assert not is_sticky(told.message)
