"""Names, types and shapes of tensors, and quantisation between numbers and codes.

A value is real = scale * (code - zero_point), per tensor (the TFLite and ONNX
definition). Arrays here belong to the caller; nothing is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.errors import WrongDtype

Array = NDArray[Any]

DTYPES = (
    "bool",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float16",
    "float32",
    "float64",
)

# Elements of any length, which only some models take: ONNX files call them strings, the protocol BYTES.
TEXT = "string"
TENSOR_TYPES = (*DTYPES, TEXT)

# KServe and Triton spell the same types this way; payloads may use either.
_PROTOCOL_NAMES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "INT8": "int8",
    "UINT16": "uint16",
    "INT16": "int16",
    "UINT32": "uint32",
    "INT32": "int32",
    "UINT64": "uint64",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}


_WORDS = {**{plain: word for word, plain in _PROTOCOL_NAMES.items()}, TEXT: "BYTES"}


@dataclass(frozen=True, slots=True)
class Quantization:
    """Per-tensor affine quantisation.

    Attributes:
        scale: Step between two codes; finite and above 0.
        zero_point: Code of the real value 0.
    """

    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a model takes or gives under one name.

    Attributes:
        name: The runtime's own name.
        dtype: A NumPy type name out of ``DTYPES``, or ``TEXT``.
        shape: Sizes; None marks an axis of any size.
        quantization: Scale and zero point of an integer tensor; None if plain.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    quantization: Quantization | None = None

    def __str__(self) -> str:
        sizes = ",".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} {self.dtype}[{sizes}]"


def dtype_named(name: str) -> np.dtype[Any]:
    """Return the NumPy type of a NumPy or KServe spelling.

    Raises:
        WrongDtype: No supported type has this name.
    """
    plain = _PROTOCOL_NAMES.get(name, name)
    if plain not in DTYPES:
        raise WrongDtype(f"dtype {name[:40]!r} is not one of {', '.join(DTYPES)}")
    return np.dtype(plain)


def protocol_name(dtype: str) -> str:
    """Return KServe's spelling of a type out of ``DTYPES``, such as ``FP32``, or of ``TEXT``."""
    return _WORDS[dtype]


def array_type(dtype: str) -> np.dtype[Any]:
    """Return the type of arrays that hold a tensor of a type out of ``DTYPES``, or ``TEXT``: objects."""
    return np.dtype(np.object_ if dtype == TEXT else dtype)


def zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array of zeros; in texts they are written out, which a model that reads numbers takes too."""
    return np.full(shape, "0", dtype) if dtype.hasobject else np.zeros(shape, dtype)


def dequantize(codes: Array, quantization: Quantization | None) -> NDArray[np.float32]:
    """Return real values (..., same shape) float32; floats pass through."""
    if quantization is None:
        return codes.astype(np.float32, copy=False)
    centred = codes.astype(np.float32) - np.float32(quantization.zero_point)
    return centred * np.float32(quantization.scale)


def quantize(values: Array, quantization: Quantization, dtype: np.dtype[Any]) -> Array:
    """Return codes of ``dtype`` nearest to ``values``, saturating at its ends."""
    limits = np.iinfo(dtype)
    codes = np.rint(values / quantization.scale) + quantization.zero_point
    clipped: Array = np.clip(codes, limits.min, limits.max).astype(dtype)
    return clipped
