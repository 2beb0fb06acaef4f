"""Weights are found where they are, in both formats and in files beside the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import LoadFailed
from gateway.updates.packing.weights import LEAST_BYTES, Weights, find_weights
from tests import onnx_writer
from tests.inference.model_folders import MODELS


def test_the_weights_of_an_onnx_model_are_the_bytes_that_were_written(tmp_path: Path) -> None:
    path = onnx_writer.product(tmp_path / "m.onnx", seed=3)
    wanted = np.random.default_rng(3).normal(size=(16, 4)).astype(np.float32).tobytes()
    (found,) = find_weights(path, "onnx")
    assert (found.file, found.size_bytes, found.dtype) == ("", 256, "float32")
    assert path.read_bytes()[found.offset : found.offset + 256] == wanted


def test_weights_beside_the_model_are_named_by_their_file(tmp_path: Path) -> None:
    path = onnx_writer.beside(tmp_path / "m.onnx", onnx_writer.External("w.bin", "64", "256"))
    assert find_weights(path, "onnx") == (Weights("w.bin", 64, 256, "float32"),)


@pytest.mark.parametrize(
    ("name", "dtypes", "share"),
    [
        ("efficientnet-lite0-int8", {"int8"}, 0.85),
        ("efficientnet-lite0-int8-onnx", {"int8", "float32"}, 0.9),
        ("blazeface-short-range", {"float16"}, 0.85),
        ("silero-vad", {"float32"}, 0.9),
        ("motion-int8", {"int8"}, 0.4),
    ],
)
def test_most_of_a_shipped_model_is_weights(name: str, dtypes: set[str], share: float) -> None:
    (path,) = [*(MODELS / name).glob("*.onnx"), *(MODELS / name).glob("*.tflite")]
    found = find_weights(path, path.suffix[1:])
    assert {each.dtype for each in found} == dtypes
    assert all(each.size_bytes >= LEAST_BYTES for each in found)
    assert share < sum(each.size_bytes for each in found) / path.stat().st_size < 1
    ends = [each.offset + each.size_bytes for each in found]
    assert all(end <= after.offset for end, after in zip(ends, found[1:], strict=False))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_tflite_file_gives_places_inside_it_or_one_error(
    tmp_path: Path, data: st.DataObject
) -> None:
    held = bytearray((MODELS / "motion-int8" / "motion_int8.tflite").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        held[data.draw(st.integers(0, len(held) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "m.tflite"
    path.write_bytes(held[: data.draw(st.integers(8, len(held)))])
    try:
        found = find_weights(path, "tflite")
    except LoadFailed:
        return
    assert all(each.offset > 0 and each.offset + each.size_bytes <= path.stat().st_size for each in found)


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\x18\0\0\0TFL3", b"\0" * 100])
def test_what_is_no_tflite_model_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(data)
    with pytest.raises(LoadFailed):
        find_weights(path, "tflite")
