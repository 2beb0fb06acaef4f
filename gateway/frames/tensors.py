"""Decodes raw tensors: little-endian C-order bytes whose type and shape are declared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.errors import Malformed, NotFinite, WrongDtype
from gateway.frames.declaration import Declaration
from gateway.frames.limits import PayloadLimits
from gateway.frames.shape import check_elements, resolve_shape
from gateway.frames.values import Tensors
from gateway.tensor import Array, dtype_named


def decode_tensor(data: memoryview, declared: Declaration, limits: PayloadLimits) -> Tensors:
    """View a payload as one tensor.

    Args:
        data: The elements; the tensor is a read-only view on it.
        declared: ``dtype`` is needed; ``shape`` is (-1,) when absent.
        limits: Its ``max_elements`` is used.

    Raises:
        WrongDtype: No type is declared, or none of this name exists.
        WrongShape: The bytes do not fill the declared shape.
        Malformed: The bytes are no whole number of elements.
        NotFinite: Floats hold NaN or infinity.
        TooLarge: More elements than allowed.
    """
    if not declared.dtype:
        raise WrongDtype("a raw tensor needs a declared dtype")
    dtype = dtype_named(declared.dtype).newbyteorder("<")
    if len(data) % dtype.itemsize:
        raise Malformed(f"{len(data)} bytes are no whole number of {declared.dtype} elements")
    elements = len(data) // dtype.itemsize
    check_elements("tensor", elements, limits)
    shape = resolve_shape(declared.shape or (-1,), elements)
    array = plain_array(np.frombuffer(data, dtype).reshape(shape))
    return Tensors({declared.name: array}, declared.layout)


def plain_array(array: Array) -> Array:
    """Return an array in native byte order, C order, read-only, finite, and with true booleans.

    Args:
        array: Copied only where it is none of these.

    Raises:
        NotFinite: Floats hold NaN or infinity.
    """
    if array.dtype == np.bool_:
        array = array.view(np.uint8) != 0  # any byte may have come; only 0 and 1 are booleans
    native = native_order(array)
    if native.dtype.kind == "f":
        check_finite(native)
    native.flags.writeable = False
    return native


def native_order(array: Array) -> Array:
    """Return an array in this machine's byte order and C order; copied only if it is not."""
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(native).reshape(array.shape)


def check_finite(values: NDArray[np.floating]) -> None:
    """Refuse NaN and infinity.

    Raises:
        NotFinite: There is one.
    """
    if not np.isfinite(values).all():
        raise NotFinite("the tensor holds NaN or infinity")
