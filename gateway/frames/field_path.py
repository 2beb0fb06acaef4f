"""Finds a field in decoded JSON or CBOR by a path such as ``imu.x``, ``a[0].b`` or ``readings.t``.

A key applied to a list is applied to each of its elements, so ``readings.t``
is the column t of a list of records.
"""

from __future__ import annotations

import functools
import re

from gateway.errors import Malformed
from gateway.frames.tree import Tree

_PATH = re.compile(r"(?:[^.\[\]]+|\[\d{1,7}\])(?:\.[^.\[\]]+|\[\d{1,7}\])*")
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


@functools.lru_cache(maxsize=1024)
def compile_path(path: str) -> tuple[str | int, ...]:
    """Return the keys and indices of a path.

    Raises:
        Malformed: The path does not follow the grammar.
    """
    if len(path) > 256 or not _PATH.fullmatch(path):
        raise Malformed(f"field path {path[:80]!r} is not of the form a.b[0].c")
    return tuple(int(index) if index else key for index, key in _STEP.findall(path))


def resolve(tree: Tree, path: str) -> Tree:
    """Return what lies at ``path``.

    Raises:
        Malformed: The path is none, or nothing lies there.
    """
    return _follow(tree, compile_path(path), path)


def _follow(tree: Tree, steps: tuple[str | int, ...], path: str) -> Tree:
    for position, step in enumerate(steps):
        if isinstance(tree, list) and tree and isinstance(step, str):
            return [_follow(element, steps[position:], path) for element in tree]
        if isinstance(tree, dict):
            tree = tree.get(step)
        elif isinstance(tree, list) and isinstance(step, int) and step < len(tree):
            tree = tree[step]
        else:
            tree = None
        if tree is None:
            raise Malformed(f"the payload has no field {path!r}, or it is null")
    return tree
