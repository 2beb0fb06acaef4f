"""A decoded payload as the kind of value that a pipeline's first step takes, or a refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from gateway.errors import UnknownMedia, WrongDtype, WrongShape
from gateway.frames.specs import KIND_NAMES, AudioSpec, ImageSpec, NumbersSpec, TensorsSpec, ValueSpec
from gateway.frames.values import Audio, Image, Numbers, Tensors, Value
from gateway.tensor import Array


def taken_as(kind: type[ValueSpec], value: Value) -> Value:
    """Return ``value`` as the kind wanted; raw tensors stand in for pictures and readings.

    Raises:
        UnknownMedia: The payload is of another kind.
        WrongShape: A tensor has no shape of that kind.
        WrongDtype: A tensor has no element type of that kind.
    """
    return _INTAKES[kind](value)


def _image(value: Value) -> Value:
    if isinstance(value, Image):
        return value
    if not isinstance(value, Tensors):
        raise _other(ImageSpec, value)
    array = _single(value)
    if array.dtype != np.uint8:
        raise WrongDtype(f"a tensor is taken for a picture if it is uint8, not {array.dtype}")
    layout = value.layout.lstrip("N")
    if len(value.layout) - len(layout) == 1 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    elif layout == "CHW" and array.ndim == 3:
        array = np.moveaxis(array, 0, 2)
    if array.ndim != 3 or array.shape[2] not in {1, 3} or not array.size:
        raise WrongShape(f"a tensor of shape {list(array.shape)} is no picture of 1 or 3 channels")
    return Image(array, array.shape[1], array.shape[0])


def _audio(value: Value) -> Value:
    if isinstance(value, Audio):
        return value
    raise _other(AudioSpec, value)


def _numbers(value: Value) -> Value:
    if isinstance(value, Numbers):
        return value
    if not isinstance(value, Tensors):
        raise _other(NumbersSpec, value)
    array = _single(value)
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or not array.size:
        raise WrongShape(f"a tensor of shape {list(array.shape)} is no list of readings")
    with np.errstate(over="ignore"):  # what overflows is refused as not finite
        return Numbers(array.astype(np.float32))


def _tensors(value: Value) -> Value:
    if isinstance(value, Tensors):
        return value
    if isinstance(value, Numbers):
        return Tensors({"": value.values})
    raise _other(TensorsSpec, value)


def _single(value: Tensors) -> Array:
    if len(value.arrays) != 1:
        raise WrongShape(f"the payload holds {len(value.arrays)} tensors, one is taken")
    return next(iter(value.arrays.values()))


def _other(kind: type[ValueSpec], value: Value) -> UnknownMedia:
    words = {Image: "a picture", Audio: "sound", Numbers: "numbers", Tensors: "tensors"}[type(value)]
    return UnknownMedia(f"the pipeline takes {KIND_NAMES[kind]}, the payload is {words}")


_INTAKES: Mapping[type[ValueSpec], Callable[[Value], Value]] = {
    ImageSpec: _image,
    AudioSpec: _audio,
    NumbersSpec: _numbers,
    TensorsSpec: _tensors,
}
