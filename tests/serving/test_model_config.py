"""A model's configuration says what is true of it, in words that load generators read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.serving.model_config import model_config
from gateway.serving.model_view import ModelView, TensorView

VIEW = ModelView(
    name="m",
    version="7",
    versions=("7", "8"),
    platform="onnxruntime_onnx",
    inputs=(TensorView("x", "FP32", (-1, 3)), TensorView("rows", "INT64", (-1,))),
    outputs=(TensorView("t", "BYTES", (-1, 2)),),
    max_batch_rows=4,
    lanes=2,
    properties={"engine": "ort"},
)


def test_dims_leave_the_batch_out_where_there_is_one() -> None:
    config = model_config(VIEW)
    assert config["max_batch_size"] == 4
    assert config["input"] == [
        {"name": "x", "data_type": "TYPE_FP32", "dims": [3], "format": "FORMAT_NONE", "optional": False},
        {
            "name": "rows",
            "data_type": "TYPE_INT64",
            "dims": [1],
            "reshape": {"shape": []},
            "format": "FORMAT_NONE",
            "optional": False,
        },
    ]
    assert "dynamic_batching" in config
    plain = model_config(replace(VIEW, max_batch_rows=0))
    assert isinstance(plain["input"], list)
    assert [each["dims"] for each in plain["input"]] == [[-1, 3], [-1]]
    assert "dynamic_batching" not in plain


def test_texts_lanes_and_properties_are_said() -> None:
    config = model_config(VIEW)
    assert isinstance(config["output"], list)
    assert config["output"][0]["data_type"] == "TYPE_STRING"
    assert config["instance_group"] == [{"name": "m", "kind": "KIND_AUTO", "count": 2}]
    assert config["parameters"] == {"engine": {"string_value": "ort"}}
    assert config["version_policy"] == {"specific": {"versions": [7, 8]}}


def test_versions_that_are_no_numbers_are_not_forced_into_some() -> None:
    config = model_config(replace(VIEW, versions=("1.0-rc",)))
    assert config["version_policy"] == {"latest": {"num_versions": 1}}


def test_a_carried_state_makes_sequences() -> None:
    states = (*VIEW.inputs, TensorView("h", "FP32", (-1, 2), optional=True))
    config = model_config(replace(VIEW, inputs=states))
    assert "sequence_batching" in config
    assert "dynamic_batching" not in config


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ((224, 224, 3), "FORMAT_NHWC"),
        ((28, 28, 1), "FORMAT_NHWC"),
        ((3, 224, 160), "FORMAT_NCHW"),
        ((1, 28, 28), "FORMAT_NCHW"),
        *(((100, 6), "FORMAT_NONE"), ((1, 100, 6), "FORMAT_NONE"), ((3, 224, 3), "FORMAT_NONE")),
        *(((-1, -1, 3), "FORMAT_NONE"), ((4, 64, 64), "FORMAT_NONE"), ((1, 3, 224, 224), "FORMAT_NONE")),
    ],
)
def test_a_picture_says_where_its_channels_are_if_its_sizes_tell(sizes: tuple[int, ...], said: str) -> None:
    for rows, shape in ((4, (-1, *sizes)), (0, sizes)):
        view = replace(VIEW, inputs=(TensorView("x", "FP32", shape),), max_batch_rows=rows)
        inputs: Any = model_config(view)["input"]
        assert [each["format"] for each in inputs] == [said]
