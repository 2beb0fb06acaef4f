"""From files to the tensors that a server's model takes: arrays, pictures, JSON, text, raw bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.cli.remote.pictures import is_picture, picture_for
from gateway.errors import Malformed, RequestRefused, TooLarge, WrongDtype, WrongShape
from gateway.frames.declaration import Declaration
from gateway.frames.limits import PayloadLimits
from gateway.frames.npy import NPY_MAGIC, decode_npy
from gateway.inference.texts import join_bytes
from gateway.serving.call import InputTensor
from gateway.serving.datatypes import Datatype, Kind, check_bytes, datatype_named
from gateway.serving.model_view import TensorView

MOST_FILE_BYTES: Final = 1 << 30
LIMITS: Final = PayloadLimits(max_bytes=MOST_FILE_BYTES, max_elements=1 << 28)
_Array = NDArray[Any]


class Form(Enum):
    """What a file is, by its first bytes and its name."""

    NPY = "array"
    PICTURE = "picture"
    JSON = "JSON"
    RAW = "raw bytes"


def chosen(files: Sequence[str], views: Sequence[TensorView]) -> dict[str, str]:
    """Return the file of each input, by its name: those that name one, then the others in the model's order.

    Args:
        files: ``FILE`` or ``NAME=FILE``.
        views: The model's inputs.

    Raises:
        RequestRefused: An input is given twice or not at all, or there are more files than inputs.
    """
    names = [view.name for view in views]
    found: dict[str, str] = {}
    unnamed = []
    for file in files:
        name, sign, path = file.partition("=")
        if not sign or name not in names:
            unnamed.append(file)
        elif name in found:
            raise RequestRefused(f"input {name} is given twice")
        else:
            found[name] = path
    free = [name for name in names if name not in found]
    if len(unnamed) > len(free):
        what = f"{unnamed[len(free)]!r} is for no input of the model, which has {', '.join(names) or 'none'}"
        raise RequestRefused(what)
    found |= dict(zip(free, unnamed, strict=False))
    missing = [view.name for view in views if view.name not in found and not view.optional]
    if missing:
        raise RequestRefused(f"no file for {', '.join(missing)}; say NAME=FILE")
    return found


def tensor_for(view: TensorView, data: bytes, scaling: str) -> InputTensor:
    """Return the tensor that a file's bytes are for one input.

    Raises:
        Malformed: The bytes are not what they look like.
        WrongShape: They do not fit the input.
        WrongDtype: They are of another type than the input's.
        TooLarge: A picture or array is larger than anybody needs.
    """
    datatype = datatype_named(view.datatype, view.name)
    form = _form(data)
    if datatype.kind is Kind.BYTES:
        return _texts(view, data, form)
    if not datatype.dtype:
        raise WrongDtype(f"{view.name}: {datatype.name} cannot be made of a file here")
    match form:
        case Form.NPY:
            tensors = decode_npy(memoryview(data), Declaration(), LIMITS)
            array = _converted(next(iter(tensors.arrays.values())), datatype, view.name)
        case Form.PICTURE:
            array = picture_for(view, data, np.dtype(datatype.dtype), scaling)
        case Form.JSON:
            array = _numbers(data, datatype, view.name)
        case _:
            array = _raw(view, data, datatype)
    array = _fitted(array, view)
    data = np.ascontiguousarray(array).tobytes()
    check_bytes(datatype, array.shape, data, view.name)
    return InputTensor(view.name, view.datatype, array.shape, data)


def read_file(path: str) -> bytes:
    """Return a file's bytes.

    Raises:
        RequestRefused: It cannot be read.
        TooLarge: It is larger than ``MOST_FILE_BYTES``.
    """
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise RequestRefused(f"{path}: {error.strerror or error}") from None
    if len(data) > MOST_FILE_BYTES:
        raise TooLarge(f"{path}: more than {MOST_FILE_BYTES} bytes")
    return data


def _form(data: bytes) -> Form:
    if data.startswith(NPY_MAGIC):
        return Form.NPY
    if is_picture(data):
        return Form.PICTURE
    text = data[:64].lstrip()
    return Form.JSON if text[:1] in (b"[", b"{") and _is_json(data) else Form.RAW


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _numbers(data: bytes, datatype: Datatype, name: str) -> _Array:
    """Return what a JSON list says; integers that the type has no room for are refused, not wrapped."""
    said = json.loads(data)
    if not isinstance(said, list):
        raise Malformed(f"{name}: needs a JSON list of numbers")
    try:
        array = np.asarray(said)
    except ValueError:
        raise WrongShape(f"{name}: the lists in the JSON are not equally long") from None
    if array.dtype.kind not in "biuf":
        raise WrongDtype(f"{name}: holds something else than numbers")
    return _converted(array, datatype, name)


def _converted(array: _Array, datatype: Datatype, name: str) -> _Array:
    """Return an array as the input's type where every value fits.

    Raises:
        WrongDtype: One does not.
    """
    wanted = np.dtype(datatype.dtype)
    if array.dtype == wanted:
        return array
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise WrongDtype(f"{name}: holds NaN or an infinity")
    if datatype.kind is not Kind.FLOAT or array.dtype.kind == "f":
        whole = datatype.kind is not Kind.FLOAT
        fraction = whole and array.dtype.kind == "f" and bool((array != np.floor(array)).any())
        # As Python's numbers: they compare exactly, whatever their types.
        least, greatest = (array.min().item(), array.max().item()) if array.size else (0, 0)
        outside = least < datatype.low or greatest > datatype.high
        if fraction or outside:
            what = "fractions" if fraction else f"values beyond {datatype.low:g} to {datatype.high:g}"
            raise WrongDtype(f"{name}: holds {what}, and the input is {datatype.name}")
    return array.astype(wanted)


def _raw(view: TensorView, data: bytes, datatype: Datatype) -> _Array:
    """Return bytes as the elements that they are; the sizes are the input's, one of them free at most."""
    if not data or len(data) % datatype.size:
        raise WrongShape(f"{view.name}: {len(data)} bytes are no whole number of {datatype.name} elements")
    values = np.frombuffer(data, datatype.dtype)
    shape = [1 if axis == 0 and size < 0 else size for axis, size in enumerate(view.shape)]
    known = math.prod(size for size in shape if size >= 0)
    if shape.count(-1) == 1 and known and values.size % known == 0:
        shape[shape.index(-1)] = values.size // known
    if math.prod(shape) != values.size:
        raise WrongShape(
            f"{view.name}: {values.size} elements of {datatype.name}, the input is {_sizes(view)}; "
            "for other sizes give a .npy file"
        )
    return values.reshape(shape)


def _texts(view: TensorView, data: bytes, form: Form) -> InputTensor:
    """Return texts of a JSON list, or any other file as one element."""
    if form is Form.JSON:
        said = json.loads(data)
        if isinstance(said, list):
            try:
                array = np.asarray(said, dtype=object)
                texts = [each.encode() for each in array.ravel()]
            except (ValueError, AttributeError):
                raise WrongDtype(f"{view.name}: needs a JSON list of texts, all lists equally long") from None
            return InputTensor(view.name, view.datatype, _fitted(array, view).shape, join_bytes(texts))
    array = _fitted(np.empty((1,), dtype=object), view)
    return InputTensor(view.name, view.datatype, array.shape, join_bytes([data]))


def _fitted(array: _Array, view: TensorView) -> _Array:
    """Return an array with the input's axes: those of size 1 in front are added or left out.

    A plain list is taken for rows of one element each, too.

    Raises:
        WrongShape: Its sizes are others.
    """
    given = array.shape
    if view.shape == (-1, 1) and array.ndim == 1:
        array = array[:, None]
    while array.ndim < len(view.shape) and view.shape[len(view.shape) - array.ndim - 1] in (1, -1):
        array = array[None]
    while array.ndim > len(view.shape) and array.shape[0] == 1:
        array = array.reshape(array.shape[1:])
    fits = array.ndim == len(view.shape) and all(
        wanted in (-1, size) for wanted, size in zip(view.shape, array.shape, strict=True)
    )
    if not fits:
        raise WrongShape(f"{view.name}: the file holds {list(given)}, the input is {_sizes(view)}")
    return array


def _sizes(view: TensorView) -> str:
    return (
        f"{view.datatype} {list(view.shape)}, -1 for any size"
        if -1 in view.shape
        else f"{view.datatype} {list(view.shape)}"
    )
