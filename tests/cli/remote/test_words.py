"""What people read of an answer's tensors."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.cli.remote.words import best_classes, lines
from gateway.inference.texts import split_bytes
from gateway.serving.call import InferReply, OutputTensor


def tensor(datatype: str, values: list[float], dtype: str) -> OutputTensor:
    return OutputTensor("y", datatype, (len(values),), np.array(values, dtype).tobytes())


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (tensor("INT64", [1, 2**63 - 1], "i8"), "  1, 9223372036854775807"),
        (tensor("BOOL", [1, 0], "u1"), "  1, 0"),
        (tensor("FP32", [1, 1 / 3], "f4"), "  1, 0.333333"),
    ],
)
def test_whole_numbers_are_told_to_the_last_digit_and_others_in_six(output: OutputTensor, words: str) -> None:
    assert list(lines(InferReply("m", "1", "", (output,)), 1.0))[2] == words


def test_so_are_the_least_the_greatest_and_classes() -> None:
    output = tensor("UINT32", [*range(8), 4_294_967_295], "u4")
    *_, last, _ = lines(InferReply("m", "1", "", (output,)), 1.0)
    assert last == "  least 0, greatest 4294967295 at 8 of 9"
    (best,) = split_bytes(best_classes(output, 1).data, "y")
    assert bytes(best) == b"4294967295:8"
