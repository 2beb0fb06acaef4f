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
    properties={"engine": "onnxruntime 1.23.2 CPUExecutionProvider"},
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
    assert config["instance_group"] == [{"name": "m", "kind": "KIND_CPU", "count": 2}]
    assert config["parameters"] == {"engine": {"string_value": VIEW.properties["engine"]}}
    assert config["version_policy"] == {"specific": {"versions": [7, 8]}}


@pytest.mark.parametrize(
    ("engine", "kind"),
    [
        ("onnxruntime 1.23.2 TensorrtExecutionProvider fp16", "KIND_GPU"),
        ("litert 2.1.0 webgpu", "KIND_GPU"),
        ("litert 2.1.0 xnnpack", "KIND_CPU"),
        ("onnxruntime 1.23.2 SomebodysExecutionProvider", "KIND_MODEL"),
    ],
)
def test_lanes_say_where_they_run_and_never_that_it_is_still_to_be_chosen(engine: str, kind: str) -> None:
    # KIND_AUTO is protobuf's zero: clients that read a configuration as JSON would find no kind at all.
    groups = model_config(replace(VIEW, properties={"engine": engine}))["instance_group"]
    assert groups == [{"name": "m", "kind": kind, "count": 2}]


def test_a_model_that_is_not_loaded_has_no_instances() -> None:
    config = model_config(replace(VIEW, lanes=0, properties={"state": "not loaded"}))
    assert config["instance_group"] == []


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
