"""Decodes a CBOR payload to readings or, where it holds an array of a picture's kind, to a tensor."""

from __future__ import annotations

import numpy as np

from gateway.errors import WrongDtype, WrongShape
from gateway.frames.cbor import loads
from gateway.frames.declaration import Declaration
from gateway.frames.limits import PayloadLimits
from gateway.frames.numbers import read_numbers
from gateway.frames.shape import check_elements, resolve_shape
from gateway.frames.tensors import plain_array
from gateway.frames.values import Numbers, Tensors
from gateway.tensor import DTYPES, Array, dtype_named


def decode_cbor(data: memoryview, declared: Declaration, limits: PayloadLimits) -> Numbers | Tensors:
    """Decode CBOR: a typed array of three or more axes, or of declared type, is a tensor.

    Everything else is readings, by the rules of ``numbers``.

    Raises:
        Malformed: Not CBOR, or a declared field is missing or not a number.
        UnknownMedia: References or 128-bit floats.
        WrongDtype: A typed array of another type than declared.
        WrongShape: Not the declared shape, or channels of different lengths.
        NotFinite: NaN, infinity, or readings beyond float32.
        TooLarge: More bytes, items, nesting or elements than allowed.
    """
    tree = loads(data, limits)
    if isinstance(tree, np.ndarray) and not declared.fields and (declared.dtype or tree.ndim > 2):
        return Tensors({declared.name: _tensor(tree, declared, limits)}, declared.layout)
    return read_numbers(tree, declared, limits)


def _tensor(array: Array, declared: Declaration, limits: PayloadLimits) -> Array:
    if array.dtype.name not in DTYPES:
        raise WrongDtype(f"application/cbor: type {array.dtype.name} is not taken")
    if declared.dtype and dtype_named(declared.dtype) != array.dtype:
        raise WrongDtype(f"application/cbor: holds {array.dtype.name}, declared is {declared.dtype}")
    check_elements("application/cbor", array.size, limits)
    if declared.shape:
        shape = resolve_shape(declared.shape, array.size)
        if array.ndim > 1 and array.shape != shape:
            raise WrongShape(f"application/cbor: shape {array.shape}, declared is {declared.shape}")
        array = array.reshape(shape)
    return plain_array(array)
