"""Names for decoded JSON and CBOR, and the bounds that both parsers share."""

from __future__ import annotations

from typing import Any

from gateway.errors import TooLarge

# Nested dicts and lists of None, bool, int, float, str, bytes and NumPy arrays (CBOR typed arrays).
Tree = Any

# A Python object each: beyond this a payload belongs in a tensor, a typed array or .npy.
MAX_ITEMS = 1_000_000
# A dict or list weighs up to 232 bytes however little it holds.
MAX_CONTAINERS = 100_000

_CONTAINERS = frozenset({list, dict})


def check_counts(media: str, items: int, containers: int) -> None:
    """Refuse what would take too much memory as Python objects.

    Raises:
        TooLarge: More items or containers than a parser here makes.
    """
    if items > MAX_ITEMS or containers > MAX_CONTAINERS:
        raise TooLarge(
            f"{media}: more than {MAX_ITEMS} values or {MAX_CONTAINERS} lists and objects;"
            " send a tensor, .npy or a typed array"
        )


def check_depth(media: str, tree: Tree, max_depth: int) -> None:
    """Refuse lists and objects nested deeper than ``max_depth``.

    Raises:
        TooLarge: The nesting is deeper.
    """
    level = [tree] if type(tree) in _CONTAINERS else []
    for _ in range(max_depth):
        if not level:
            return
        level = [
            child
            for container in level
            for child in (container.values() if type(container) is dict else container)
            if type(child) in _CONTAINERS
        ]
    if level:
        raise TooLarge(f"{media}: nested deeper than {max_depth}")
