"""A model's configuration in the words of Triton's ModelConfig, which load generators read. Pure.

Only what is true of a model here is said: no field stands for something that the gateway does not do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.serving.datatypes import DATATYPES
from gateway.serving.model_view import ModelView, TensorView

Document = dict[str, object]

# Triton's name of what runs a platform; what is not listed runs under its platform's own name.
_BACKENDS: Final[Mapping[str, str]] = {
    "onnxruntime_onnx": "onnxruntime",
    "tensorflow_lite": "tflite",
}

# Where lanes run, by a word of their engine; one that is not listed came with another package.
_KINDS: Final[Mapping[str, str]] = {
    "CPUExecutionProvider": "KIND_CPU",
    "xnnpack": "KIND_CPU",
    "builtin": "KIND_CPU",
    "compiled": "KIND_CPU",
    "CUDAExecutionProvider": "KIND_GPU",
    "TensorrtExecutionProvider": "KIND_GPU",
    "webgpu": "KIND_GPU",
}

# Fewer are rather a window of readings.
_LEAST_PIXELS: Final = 8
_PICTURE_AXES: Final = 3
_CHANNELS: Final = frozenset({1, 3})


def model_config(view: ModelView) -> Document:
    """Return the configuration of a model: snake_case names, ``TYPE_*`` words, numbers as numbers.

    Sizes under ``dims`` leave the batch's axis out where ``max_batch_size`` is not 0.
    """
    batched = view.max_batch_rows > 0
    config: Document = {
        "name": view.name,
        "platform": view.platform,
        "backend": _BACKENDS.get(view.platform, view.platform),
        "version_policy": {"specific": {"versions": _numbers(view.versions)}}
        if _numbers(view.versions)
        else {"latest": {"num_versions": 1}},
        "max_batch_size": view.max_batch_rows,
        "input": [_input(tensor, batched=batched) for tensor in view.inputs],
        "output": [_output(tensor, batched=batched) for tensor in view.outputs],
        "instance_group": _instances(view),
        "parameters": {key: {"string_value": value} for key, value in view.properties.items()},
    }
    if any(tensor.optional for tensor in view.inputs):
        # A state that the gateway carries: requests of one sequence keep their order.
        config["sequence_batching"] = {"direct": {}}
    elif batched:
        config["dynamic_batching"] = {}
    return config


def _instances(view: ModelView) -> list[Document]:
    """Return the lanes and where they run; none of a model that is not loaded."""
    if not view.lanes:
        return []
    words = view.properties.get("engine", "").split()
    kind = next((_KINDS[word] for word in words if word in _KINDS), "KIND_MODEL")
    return [{"name": view.name, "kind": kind, "count": view.lanes}]


def _numbers(versions: tuple[str, ...]) -> list[int]:
    """Return versions as numbers, which is all that this field can say; none where one is no number."""
    plain = all(version.isascii() and version.isdigit() and len(version) < 19 for version in versions)
    return [int(version) for version in versions] if plain else []


def _input(tensor: TensorView, *, batched: bool) -> Document:
    picture = _format(_sizes(tensor, batched=batched))
    return {**_tensor(tensor, batched=batched), "format": picture, "optional": tensor.optional}


def _sizes(tensor: TensorView, *, batched: bool) -> tuple[int, ...]:
    """Return the sizes of one row where the batch has an axis, and all of them where it has none."""
    return tensor.shape[1:] if batched else tensor.shape


def _format(sizes: tuple[int, ...]) -> str:
    """Return where the channels of a picture are, if its sizes tell: who sends pictures asks for it."""
    if len(sizes) == _PICTURE_AXES:
        if sizes[2] in _CHANNELS and min(sizes[:2]) >= _LEAST_PIXELS:
            return "FORMAT_NHWC"
        if sizes[0] in _CHANNELS and min(sizes[1:]) >= _LEAST_PIXELS:
            return "FORMAT_NCHW"
    return "FORMAT_NONE"


def _output(tensor: TensorView, *, batched: bool) -> Document:
    return {**_tensor(tensor, batched=batched), "label_filename": "", "is_shape_tensor": False}


def _tensor(tensor: TensorView, *, batched: bool) -> Document:
    dims = list(_sizes(tensor, batched=batched))
    said: Document = {
        "name": tensor.name,
        "data_type": DATATYPES[tensor.datatype].config_name,
        "dims": dims or [1],
    }
    if not dims:
        # Nothing is left beside the batch, which ``dims`` cannot say alone.
        said["reshape"] = {"shape": []}
    return said
