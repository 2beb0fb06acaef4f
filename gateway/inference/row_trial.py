"""Finds out whether rows that a model runs together give what each of them gives alone.

A file may leave the first axis of every tensor open and not say that it is the
same axis everywhere: exporters number what they do not know (``unk__7``). Such
a model may be asked: two rows, each alone, then both at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from gateway.errors import EngineFailed
from gateway.tensor import Array

Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]
# Kernels for several rows sum in another order, which is as good; rows that mix are off by far more.
_RELATIVE = 1e-3


def rows_stay_apart(run: Run, shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, np.dtype]) -> bool:
    """Return whether two made-up rows give the same together as one by one.

    Args:
        run: Runs the model once; may raise ``EngineFailed``, which is an answer too.
        shapes: Sizes of one row by input, leading axis 1.
        dtypes: Element types by input.
    """
    draw = np.random.default_rng(7)
    rows = [{name: _made_up(draw, shape, dtypes[name]) for name, shape in shapes.items()} for _ in range(2)]
    try:
        alone = [run(row) for row in rows]
        both = run({name: np.concatenate([row[name] for row in rows]) for name in shapes})
    except (EngineFailed, ValueError):
        return False
    return all(
        values.shape[:1] == (2,) and all(_same(row[name], values[i : i + 1]) for i, row in enumerate(alone))
        for name, values in both.items()
    )


def _made_up(draw: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Return values that most models take: pixels, numbers from 0 to 1, indices that every table has."""
    if dtype.hasobject:
        return np.array([str(each) for each in draw.integers(0, 2, np.prod(shape))], dtype).reshape(shape)
    if dtype.kind == "f":
        return draw.random(shape).astype(dtype)
    if dtype.kind in "iu" and dtype.itemsize == 1:
        limits = np.iinfo(dtype)
        return draw.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)
    return draw.integers(0, 2, shape).astype(dtype)


def _same(alone: Array, together: Array) -> bool:
    if alone.shape != together.shape or alone.dtype.kind != "f":
        return np.array_equal(alone, together)
    most = float(np.max(np.abs(alone), initial=0.0, where=np.isfinite(alone)))
    return np.allclose(alone, together, rtol=_RELATIVE, atol=_RELATIVE * most, equal_nan=True)
