"""Finds out whether rows that a model runs together give what each of them gives alone.

A file may leave the first axis of every tensor open and not say that it is the
same axis everywhere: exporters number what they do not know (``unk__7``). Such
a model may be asked: two rows, each alone, then both at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gateway.errors import EngineFailed
from gateway.tensor import Array

Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]
Row = Mapping[str, Array]
# Kernels for several rows sum in another order, which is as good; rows that mix are off by far more.
_RELATIVE = 1e-3


def rows_stay_apart(run: Run, shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, np.dtype]) -> bool:
    """Return whether two made-up rows were seen to give the same together as one by one.

    Args:
        run: Runs the model once; may raise ``EngineFailed``, which is an answer too.
        shapes: Sizes of one row by input, leading axis 1.
        dtypes: Element types by input.
    """
    try:
        draw = np.random.default_rng(7)
        pairs = {name: _made_up(draw, shape, dtypes[name]) for name, shape in shapes.items()}
        rows: list[Row] = [{name: pair[at] for name, pair in pairs.items()} for at in range(2)]
        both = {name: np.concatenate(pair) for name, pair in pairs.items()}
        alone = [run(row) for row in rows]
        return _are_told_apart(alone) and _are_apart(alone, run(both)) and _is_one_axis(run, rows[0], both)
    except (EngineFailed, ValueError, MemoryError):
        return False


def _made_up(draw: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> tuple[Array, Array]:
    """Return two rows of values that most models take: numbers to 1, pixels, indices that every table has.

    Of numbers the second row has negative ones alone: a model that gives as many rows as it found things
    would else find one in each.
    """
    if dtype.kind == "f":
        first, second = draw.random((2, *shape), np.float32)
        return first.astype(dtype), (-second).astype(dtype)
    if dtype.kind in "iu" and dtype.itemsize == 1:
        limits = np.iinfo(dtype)
        first, second = draw.integers(limits.min, limits.max, (2, *shape), dtype, endpoint=True)
        return first, second
    bits = draw.integers(0, 2, shape, np.uint8)
    if dtype.hasobject:
        return bits.astype(str).astype(dtype), (1 - bits).astype(str).astype(dtype)
    return bits.astype(dtype), (1 - bits).astype(dtype)


def _are_told_apart(alone: Sequence[Row]) -> bool:
    """Return whether the rows gave different things: else nobody would see that they were mixed."""
    first, second = alone
    return any(not _same(values, second[name]) for name, values in first.items())


def _are_apart(alone: Sequence[Row], both: Row) -> bool:
    return all(
        values.shape[:1] == (2,) and all(_same(row[name], values[i : i + 1]) for i, row in enumerate(alone))
        for name, values in both.items()
    )


def _is_one_axis(run: Run, row: Row, both: Row) -> bool:
    """Return whether inputs need as many rows as each other: what has two parts takes any number for each."""
    for name in both if len(both) > 1 else ():
        try:
            outputs = run({**both, name: row[name]})
        except EngineFailed:
            continue
        if any(values.shape[:1] != (2,) for values in outputs.values()):
            return False
    return True


def _same(one: Array, other: Array) -> bool:
    if one.shape != other.shape or one.dtype.kind != "f":
        return np.array_equal(one, other)
    most = float(np.max(np.abs(one), initial=0.0, where=np.isfinite(one)))
    return np.allclose(one, other, rtol=_RELATIVE, atol=_RELATIVE * most, equal_nan=True)
