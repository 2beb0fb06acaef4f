"""Real values to a model's own element type: normalise and quantise as one map.

real = scale * code + offset (what the steps asked for), and the model wants
code' = real / q.scale + q.zero_point (what its file says), so code' is affine in
code. For uint8 sources the fused map is put into the fastest exact form:

1. identity: uint8 to uint8 and nothing changes: the very bytes are passed on;
2. shift by 128: one XOR gives int8;
3. any other 8-bit target: a 256-byte translation table;
4. float targets: multiply-add in float32;
5. wider integers, and maps that differ by channel: a table a channel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.frames.specs import Affine
from gateway.tensor import Array, TensorSpec

CodeMap = Callable[[NDArray[np.uint8]], Array]
RealMap = Callable[[NDArray[np.float32]], Array]

_FLOATS = ("float16", "float32", "float64")


@dataclass(frozen=True, slots=True)
class Fused:
    """A map into a model's element type, for all channels or for each.

    Attributes:
        scale: (channels,) or (1,) float64.
        offset: (channels,) or (1,) float64.
        dtype: The target's element type.
    """

    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    dtype: np.dtype[np.generic]

    def tables(self) -> list[Array]:
        """Return what each of the 256 codes becomes: (256,) of ``dtype``, one table a channel."""
        codes = np.arange(256, dtype=np.float64)
        return [
            saturate(codes * scale + offset, self.dtype)
            for scale, offset in zip(self.scale, self.offset, strict=True)
        ]


def fuse(affine: Affine, target: TensorSpec) -> Fused:
    """Return the map from stored codes straight to the codes (or floats) that ``target`` takes."""
    scale, offset = affine.vectors()
    quantization = target.quantization
    if quantization is not None and target.dtype not in _FLOATS:
        scale = scale / quantization.scale
        offset = offset / quantization.scale + quantization.zero_point
    return Fused(scale, offset, np.dtype(target.dtype))


def saturate(values: NDArray[np.float64], dtype: np.dtype[np.generic]) -> Array:
    """Return ``values`` as ``dtype``: integers by rounding half to even, clipped at the type's ends."""
    if np.issubdtype(dtype, np.floating):
        return values.astype(dtype)
    limits = np.iinfo(dtype)  # type: ignore[type-var]
    return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)


def code_map(fused: Fused, channel_axis: int = 2) -> CodeMap | None:
    """Return the fastest exact form for C-contiguous uint8 pictures; None for the identity.

    Args:
        fused: The map.
        channel_axis: 2 for (H, W, C), 0 for (C, H, W).

    Returns:
        A function whose result is C-contiguous, of the target's type and the
        same shape, and owns its memory.
    """
    if np.issubdtype(fused.dtype, np.floating):
        return _float_map(fused, channel_axis)
    tables = fused.tables()
    if any(not np.array_equal(table, tables[0]) for table in tables[1:]):
        return _channel_tables(tables, channel_axis)
    return _table_map(tables[0])


def _table_map(table: Array) -> CodeMap | None:
    codes = np.arange(256)
    dtype = table.dtype
    if dtype == np.uint8 and np.array_equal(table, codes):
        return None
    if dtype == np.int8 and np.array_equal(table, codes - 128):
        return lambda pixels: np.bitwise_xor(pixels, np.uint8(0x80)).view(np.int8)
    if dtype.itemsize == 1:
        translation = table.tobytes()

        def translate(pixels: NDArray[np.uint8]) -> Array:
            # Twice as fast as np.take, which casts every index to 64 bits first.
            return np.frombuffer(bytearray(pixels.data).translate(translation), dtype).reshape(pixels.shape)

        return translate
    return lambda pixels: table.take(pixels, mode="clip")


def _channel_tables(tables: list[Array], channel_axis: int) -> CodeMap:
    def by_channel(pixels: NDArray[np.uint8]) -> Array:
        out = np.empty(pixels.shape, tables[0].dtype)
        into, source = np.moveaxis(out, channel_axis, 0), np.moveaxis(pixels, channel_axis, 0)
        for channel, table in enumerate(tables):
            into[channel] = table.take(source[channel], mode="clip")
        return out

    return by_channel


def _float_map(fused: Fused, channel_axis: int) -> CodeMap:
    scale, offset = fused.scale.astype(np.float32), fused.offset.astype(np.float32)
    dtype = fused.dtype
    scales, shifts = bool((scale != 1).any()), bool((offset != 0).any())
    by_line = len(scale) > 1 and channel_axis == 2
    if len(scale) > 1 and channel_axis == 0:
        scale, offset = scale[:, np.newaxis, np.newaxis], offset[:, np.newaxis, np.newaxis]

    def multiply_add(pixels: NDArray[np.uint8]) -> Array:
        real = pixels.astype(np.float32)
        flat, factor, summand = real, scale, offset
        if by_line:  # broadcasting over a last axis of 3 is slow, over whole lines of pixels it is not
            columns = pixels.shape[1]
            flat = real.reshape(pixels.shape[0], -1)
            factor, summand = np.tile(scale, columns), np.tile(offset, columns)
        if scales:
            flat *= factor
        if shifts:
            flat += summand
        return real.astype(dtype, copy=False)

    return multiply_add


def real_map(affine: Affine, target: TensorSpec) -> RealMap:
    """Return the map for float32 readings (..., channels) to what ``target`` takes, C-contiguous."""
    fused = fuse(affine, target)
    if np.issubdtype(fused.dtype, np.floating):
        plain = bool((fused.scale == 1).all() and (fused.offset == 0).all())
        if plain:
            return lambda values: np.ascontiguousarray(values, dtype=fused.dtype)
        scale, offset = fused.scale.astype(np.float32), fused.offset.astype(np.float32)
        return lambda values: (values * scale + offset).astype(fused.dtype, copy=False)
    # float64: codes near a rounding edge must not depend on the order of operations.
    return lambda values: saturate(values.astype(np.float64) * fused.scale + fused.offset, fused.dtype)
