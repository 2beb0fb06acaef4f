"""Damages a model's weights in ways in which models go wrong, so that golden samples can be tried on it.

What is damaged are weights, not the structure around them: a file that does not
load is noticed without any sample.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.updates.packing.weights import Weights

Bytes = NDArray[np.uint8]

FLIPPED_SHARE: Final = 1e-2
NOISE_SHARE: Final = 0.3
PAGE_BYTES: Final = 4096
ZEROED_SHARE: Final = 0.02
_FACTORS: Final = (-1.0, 0.5, 2.0)


class Damage(enum.Enum):
    """Kinds of damage; the value is what people read."""

    FLIPPED = "one byte in a hundred has a flipped bit"
    ZEROED = "a fiftieth of the weights is zero"
    SHUFFLED = "one tensor is in the wrong order"
    SCALED = "one tensor is scaled or negated"
    NOISY = "all weights are off by a third of their spread"


def damage(files: MutableMapping[str, Bytes], weights: Sequence[Weights], kind: Damage, seed: int) -> bool:
    """Damage the bytes of a model in place; the same seed does the same.

    Args:
        files: Bytes by file, the model's own under an empty name; writable.
        weights: Where the weights lie, at least one.
        kind: What to do.
        seed: Which of the many ways.

    Returns:
        False if nothing changed: what is all zero cannot be shuffled.
    """
    random = np.random.default_rng(seed)
    before = {name: data.copy() for name, data in files.items()}
    _WAYS[kind](files, weights, random)
    return any(not np.array_equal(before[name], data) for name, data in files.items())


def _view(files: Mapping[str, Bytes], each: Weights) -> NDArray[Any]:
    """Return a tensor's numbers as a view on the file's bytes where they are aligned, else a copy."""
    dtype = np.dtype(each.dtype)
    return files[each.file][
        each.offset : each.offset + each.size_bytes // dtype.itemsize * dtype.itemsize
    ].view(dtype)


def _put(files: Mapping[str, Bytes], each: Weights, values: NDArray[Any]) -> None:
    """Write numbers back, cut to what the type holds."""
    old = _view(files, each)
    if old.dtype.kind in "iu":
        limits = np.iinfo(old.dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    old[:] = values.astype(old.dtype)


def _one(weights: Sequence[Weights], random: np.random.Generator) -> Weights:
    return weights[int(random.integers(len(weights)))]


def _flipped(files: Mapping[str, Bytes], weights: Sequence[Weights], random: np.random.Generator) -> None:
    for each in weights:
        _flip(files, each, max(1, round(each.size_bytes * FLIPPED_SHARE)), random)


def _flip(files: Mapping[str, Bytes], each: Weights, count: int, random: np.random.Generator) -> None:
    places = each.offset + random.integers(each.size_bytes, size=count)
    np.bitwise_xor.at(files[each.file], places, (1 << random.integers(8, size=count)).astype(np.uint8))


def _zeroed(files: Mapping[str, Bytes], weights: Sequence[Weights], random: np.random.Generator) -> None:
    total = sum(each.size_bytes for each in weights)
    size = max(PAGE_BYTES, int(total * ZEROED_SHARE))
    while size > 0:
        # Larger tensors are hit more often, as by a bad block.
        each = weights[int(random.choice(len(weights), p=[one.size_bytes / total for one in weights]))]
        start = each.offset + int(random.integers(each.size_bytes))
        end = min(start + PAGE_BYTES, each.offset + each.size_bytes)
        files[each.file][start:end] = 0
        size -= PAGE_BYTES


def _shuffled(files: Mapping[str, Bytes], weights: Sequence[Weights], random: np.random.Generator) -> None:
    each = _one(weights, random)
    _put(files, each, random.permutation(_view(files, each)))


def _scaled(files: Mapping[str, Bytes], weights: Sequence[Weights], random: np.random.Generator) -> None:
    each = _one(weights, random)
    factor = _FACTORS[int(random.integers(len(_FACTORS)))]
    with np.errstate(all="ignore"):
        _put(files, each, _view(files, each).astype(np.float32) * factor)


def _noisy(files: Mapping[str, Bytes], weights: Sequence[Weights], random: np.random.Generator) -> None:
    with np.errstate(all="ignore"):
        for each in weights:
            values = _view(files, each).astype(np.float32)
            spread = float(np.nan_to_num(values.std()))
            noise = random.standard_normal(values.shape, dtype=np.float32) * np.float32(spread * NOISE_SHARE)
            _put(files, each, values + noise)


_WAYS: Final[
    Mapping[Damage, Callable[[Mapping[str, Bytes], Sequence[Weights], np.random.Generator], None]]
] = {
    Damage.FLIPPED: _flipped,
    Damage.ZEROED: _zeroed,
    Damage.SHUFFLED: _shuffled,
    Damage.SCALED: _scaled,
    Damage.NOISY: _noisy,
}
