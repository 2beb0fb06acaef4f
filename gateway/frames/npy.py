"""Decodes NumPy's .npy files by an own reader: no pickle, no code, no allocation before the checks."""

from __future__ import annotations

import math
import re
import struct

import numpy as np

from gateway.errors import Malformed, UnknownMedia, WrongDtype, WrongShape
from gateway.frames.declaration import Declaration
from gateway.frames.limits import PayloadLimits
from gateway.frames.shape import MAX_AXES, check_elements, resolve_shape
from gateway.frames.tensors import plain_array
from gateway.frames.values import Tensors
from gateway.tensor import DTYPES, dtype_named

NPY_MAGIC = b"\x93NUMPY"
# NumPy writes 118 bytes for plain arrays; only structured types, refused anyway, need more.
_MAX_HEADER_BYTES = 4096

# What numpy.save writes is a Python literal; this is all of it that plain arrays need.
_HEADER = re.compile(
    r"\{\s*'descr'\s*:\s*'([<>|=][a-zA-Z]\d{0,6})'\s*,"
    r"\s*'fortran_order'\s*:\s*(True|False)\s*,"
    r"\s*'shape'\s*:\s*\(([0-9,\sL-]{0,400})\)\s*,?\s*\}\s*"
)
_SIZE = re.compile(r"-?\d{1,19}")


def decode_npy(data: memoryview, declared: Declaration, limits: PayloadLimits) -> Tensors:
    """View a .npy file as a tensor.

    Args:
        data: The whole file; the tensor is a read-only view on it where it can be.
        declared: Its ``dtype`` and ``shape``, where given, must hold.
        limits: Its ``max_elements`` is used.

    Raises:
        Malformed: The header is broken, or the file is cut or too long.
        UnknownMedia: A version of the format that does not exist.
        WrongDtype: Objects, strings, records or another unsupported type, or not the declared one.
        WrongShape: Sizes that no array has, or not the declared ones.
        NotFinite: Floats hold NaN or infinity.
        TooLarge: More elements than allowed.
    """
    header, start = _split(data)
    match = _HEADER.fullmatch(header)
    if match is None:
        if "'descr'" in header and ("[(" in header or "'O'" in header):
            raise WrongDtype("npy: records and objects are not taken")
        raise Malformed("npy: the header is not that of a plain array")
    dtype = _dtype(match[1])
    shape = _shape(match[3])
    elements = math.prod(shape)
    check_elements("npy", elements, limits)
    if len(data) - start != elements * dtype.itemsize:
        raise Malformed(
            f"npy: {len(data) - start} bytes of data for {elements} elements of {dtype.itemsize} bytes"
        )
    if declared.dtype and dtype_named(declared.dtype) != dtype.newbyteorder("="):
        raise WrongDtype(f"npy: holds {dtype.name}, declared is {declared.dtype}")
    if declared.shape and resolve_shape(declared.shape, elements) != shape:
        raise WrongShape(f"npy: shape {shape}, declared is {declared.shape}")
    flat = np.frombuffer(data, dtype, elements, start)
    array = flat.reshape(shape, order="F" if match[2] == "True" else "C")
    return Tensors({declared.name: plain_array(array)}, declared.layout)


def _split(data: memoryview) -> tuple[str, int]:
    """Return the header's text and where the elements start."""
    if len(data) < 12 or bytes(data[:6]) != NPY_MAGIC:
        raise Malformed("npy: no header")
    version = data[6]
    if version not in (1, 2, 3):
        raise UnknownMedia(f"npy: version {version} is not supported")
    width, form = (2, "<H") if version == 1 else (4, "<I")
    (length,) = struct.unpack_from(form, data, 8)
    start = 8 + width + length
    if length > _MAX_HEADER_BYTES or start > len(data):
        raise Malformed(f"npy: a header of {length} bytes")
    return bytes(data[8 + width : start]).decode("latin-1"), start


def _dtype(descr: str) -> np.dtype[np.generic]:
    if descr[1] not in "biuf":
        raise WrongDtype(f"npy: type {descr!r} is not taken")
    try:
        dtype = np.dtype(descr)
    except TypeError as error:
        raise WrongDtype(f"npy: type {descr!r} does not exist") from error
    if dtype.name not in DTYPES:
        raise WrongDtype(f"npy: type {dtype.name} is not taken")
    return dtype


def _shape(text: str) -> tuple[int, ...]:
    parts = [part.strip().rstrip("L") for part in text.split(",")]
    if parts[-1] == "":
        parts.pop()
    if any(not _SIZE.fullmatch(part) for part in parts):
        raise Malformed("npy: the shape is not a tuple of sizes")
    shape = tuple(int(part) for part in parts)
    if len(shape) > MAX_AXES or any(size < 1 for size in shape):
        raise WrongShape(f"npy: shape {shape[:16]} is not up to {MAX_AXES} sizes above 0")
    return shape
