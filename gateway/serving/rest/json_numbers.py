"""Tensors as JSON arrays, both ways: range-checked numbers in, flat numbers out. Pure.

``null`` in an answer stands for NaN or an infinity, which JSON cannot say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np

from gateway.errors import Malformed, NotFinite, NotSupported, TooLarge, WrongDtype, WrongShape
from gateway.inference.texts import join_bytes, split_bytes
from gateway.serving.call import Buffer
from gateway.serving.datatypes import MOST_TEXTS, Datatype, Kind, element_count
from gateway.tensor import Array

_TAKEN: Final[Mapping[Kind, frozenset[type]]] = {
    Kind.BOOLEAN: frozenset({bool}),
    Kind.INTEGER: frozenset({int}),
    Kind.FLOAT: frozenset({int, float}),
    Kind.BYTES: frozenset({str}),
}
_WORDS: Final[Mapping[Kind, str]] = {
    Kind.BOOLEAN: "true or false",
    Kind.INTEGER: "whole numbers",
    Kind.FLOAT: "numbers",
    Kind.BYTES: "strings",
}


def elements_in(data: object, datatype: Datatype, shape: Sequence[int], tensor: str) -> Buffer:
    """Return the bytes of a tensor that came as a JSON array.

    Args:
        data: Flat, or nested as the shape says.
        datatype: What it should hold.
        shape: Its sizes.
        tensor: Whose it is, for the message.

    Raises:
        Malformed: It is no array, or of another number of elements.
        WrongShape: It is nested otherwise than the shape says.
        WrongDtype: An element is of another kind, or out of the datatype's range.
        NotFinite: A number is too large to be finite as this datatype.
        NotSupported: The datatype has no form in JSON.
        TooLarge: There are too many elements.
    """
    if not isinstance(data, list):
        raise Malformed(f"{tensor}: data needs an array")
    flat = _flat(data, shape, tensor)
    count = element_count(shape, tensor)
    if len(flat) != count:
        raise Malformed(f"{tensor}: data holds {len(flat)} elements; shape {list(shape)} takes {count}")
    kinds = set(map(type, flat))
    if not kinds <= _TAKEN[datatype.kind]:
        wrong = next(each for each in flat if type(each) not in _TAKEN[datatype.kind])
        raise WrongDtype(f"{tensor}: {datatype.name} takes {_WORDS[datatype.kind]}, not {_shown(wrong)}")
    if datatype.kind is Kind.BYTES:
        if count > MOST_TEXTS:
            raise TooLarge(f"{tensor}: {count} elements of BYTES, at most {MOST_TEXTS} are taken")
        return join_bytes(text.encode() for text in flat)
    if not datatype.dtype:
        raise NotSupported(f"{tensor}: {datatype.name} has no form in JSON; send it in binary")
    array = _floats(flat, datatype, tensor) if datatype.kind is Kind.FLOAT else _whole(flat, datatype, tensor)
    return array.data.cast("B").toreadonly() if count else b""


def elements_out(data: Buffer, datatype: Datatype, tensor: str) -> tuple[Array | list[Any], bool]:
    """Return what the JSON writer takes for a tensor's elements, and whether some are NaN or infinite.

    Raises:
        NotSupported: They cannot be said in JSON: bytes that are no text, or a datatype without numbers.
    """
    if datatype.kind is Kind.BYTES:
        try:
            return [str(element, "utf-8") for element in split_bytes(data, tensor)], False
        except UnicodeDecodeError:
            raise NotSupported(f"{tensor}: its bytes are no text, ask for it in binary") from None
    if not datatype.dtype:
        raise NotSupported(f"{tensor}: {datatype.name} has no form in JSON, ask for it in binary")
    values = np.frombuffer(data, datatype.dtype)
    return values, datatype.kind is Kind.FLOAT and not bool(np.isfinite(values).all())


def _flat(data: list[Any], shape: Sequence[int], tensor: str) -> list[Any]:
    """Return the elements; nested arrays must have the sizes of the shape."""
    if not data or not isinstance(data[0], list):
        return data
    level = data
    for axis in range(len(shape)):
        if axis == len(shape) - 1:
            return level
        if not set(map(type, level)) <= {list} or len(level) != math.prod(shape[: axis + 1]):
            break
        if not set(map(len, level)) <= {shape[axis + 1]}:
            break
        level = list(chain.from_iterable(level))
    raise WrongShape(f"{tensor}: data is nested otherwise than shape {list(shape)} says")


def _floats(flat: list[Any], datatype: Datatype, tensor: str) -> Array:
    try:
        wide = np.array(flat, dtype=np.float64)
    except OverflowError:
        raise NotFinite(f"{tensor}: a number is out of range for {datatype.name}") from None
    with np.errstate(over="ignore"):
        array: Array = wide.astype(datatype.dtype)
    if not bool(np.isfinite(array).all()):
        raise NotFinite(f"{tensor}: a number is out of range for {datatype.name}")
    return array


def _whole(flat: list[Any], datatype: Datatype, tensor: str) -> Array:
    if datatype.kind is Kind.BOOLEAN:
        return np.array(flat, dtype=datatype.dtype)
    if flat:
        low, high = min(flat), max(flat)
        if low < datatype.low or high > datatype.high:
            wrong = low if low < datatype.low else high
            limits = f"{int(datatype.low)} to {int(datatype.high)}"
            raise WrongDtype(f"{tensor}: {_shown(wrong)} is out of range: {datatype.name} takes {limits}")
    return np.array(flat, dtype=datatype.dtype)


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return ascii(value)[:60]
