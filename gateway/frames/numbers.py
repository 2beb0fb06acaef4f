"""Turns decoded JSON, CBOR or plain text into readings: (n, channels) float32, all finite.

1. Declared fields become the channels, in their order; without any, every
   number in the payload is taken, in the payload's order.
2. A number is one reading; a list of numbers is one channel over time; a list
   of lists has a row for each reading; a list of records a column for each key.
3. All channels must be equally long.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gateway.errors import Malformed, NotFinite, TooLarge, WrongShape
from gateway.frames.declaration import Declaration
from gateway.frames.field_path import resolve
from gateway.frames.json_text import parse_json
from gateway.frames.limits import PayloadLimits
from gateway.frames.shape import resolve_shape
from gateway.frames.tree import MAX_ITEMS, Tree
from gateway.frames.values import Numbers

# A pipeline takes a handful; a hostile object has a million keys.
MAX_CHANNELS = 4096

_WORDS = {"on": 1.0, "true": 1.0, "off": 0.0, "false": 0.0}
_SEPARATORS = str.maketrans(",;", "  ")


def decode_json(data: memoryview, declared: Declaration, limits: PayloadLimits) -> Numbers:
    """Decode a JSON payload to readings.

    Raises:
        Malformed: Not JSON, or a declared field is missing or not a number.
        WrongShape: Channels of different lengths, or not the declared shape.
        NotFinite: NaN, infinity, or beyond float32.
        TooLarge: More bytes, values, nesting or elements than allowed.
    """
    return read_numbers(parse_json(data, limits), declared, limits)


def decode_text(data: memoryview, declared: Declaration, limits: PayloadLimits) -> Numbers:
    """Decode plain text: JSON, or one reading a line, numbers apart by blanks, commas or semicolons.

    The words ON, OFF, true and false count as 1 and 0.

    Raises:
        Malformed: Not UTF-8, or something else than numbers.
        WrongShape: Lines of different lengths, or not the declared shape.
        NotFinite: NaN, infinity, or beyond float32.
        TooLarge: More values than allowed.
    """
    if bytes(data[:1]) in (b"{", b"["):
        return decode_json(data, declared, limits)
    try:
        text = bytes(data).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"text/plain: not UTF-8 at byte {error.start}") from error
    if len(text) > 32 * MAX_ITEMS or len(text.split(maxsplit=MAX_ITEMS)) > MAX_ITEMS:
        raise TooLarge(f"text/plain: more than {MAX_ITEMS} numbers")
    lines = (line.translate(_SEPARATORS).split() for line in text.splitlines())
    rows = [[_WORDS.get(word.lower(), word) for word in line] for line in lines if line]
    return read_numbers(rows, declared, limits)


def read_numbers(tree: Tree, declared: Declaration, limits: PayloadLimits) -> Numbers:
    """Collect the readings of a decoded tree.

    Args:
        tree: Decoded JSON or CBOR.
        declared: Its ``fields`` and ``shape`` are used.
        limits: Its ``max_elements`` is used.

    Raises:
        Malformed: A declared field is missing or not a number, or there are no numbers at all.
        WrongShape: Channels of different lengths, or not the declared shape.
        NotFinite: NaN, infinity, null, or beyond float32.
        TooLarge: More elements than allowed.
    """
    if declared.fields:
        named = [(path, resolve(tree, path)) for path in declared.fields]
    else:
        named = list(itertools.islice(_leaves("", tree), MAX_CHANNELS + 1))
    if not named:
        raise Malformed("the payload holds no numbers")
    if len(named) > MAX_CHANNELS:
        raise TooLarge(f"more than {MAX_CHANNELS} fields with numbers")
    columns = [(name, _column(name, leaf)) for name, leaf in named]
    total = sum(column.size for _, column in columns)
    if total == 0:
        raise WrongShape("the payload holds no readings")
    if total > limits.max_elements:
        raise TooLarge(f"{total} numbers are more than max_elements {limits.max_elements}")
    values = _side_by_side(columns)
    if not np.isfinite(values).all():
        raise NotFinite("the payload holds null, NaN, infinity, or a number beyond float32")
    names = tuple(_names(columns))
    names = names if len(names) == values.shape[1] else ()
    if declared.shape:
        return _shaped(values, names, declared.shape)
    return Numbers(values, names)


def _leaves(name: str, node: Tree) -> Iterator[tuple[str, Tree]]:
    """Yield every number and every list of numbers under ``node``, named by its path."""
    if isinstance(node, dict):
        for key, child in node.items():
            yield from _leaves(f"{name}.{key}" if name else str(key), child)
    elif isinstance(node, list) and node and isinstance(node[0], dict):
        for key in node[0]:
            try:
                column = [record[key] for record in node]
            except (KeyError, TypeError, IndexError) as error:
                raise Malformed(f"not every record has {str(key)[:80]!r}") from error
            yield from _leaves(f"{name}.{key}" if name else str(key), column)
    elif isinstance(node, (list, np.ndarray)):
        first: Tree = node
        while isinstance(first, list) and first:
            first = first[0]
        if _is_number(first) or isinstance(first, np.ndarray) or (isinstance(first, str) and not name):
            yield name, node
    elif _is_number(node):
        yield name, node


def _is_number(node: Tree) -> bool:
    return isinstance(node, (int, float)) and not isinstance(node, bool)


def _column(name: str, leaf: Tree) -> NDArray[np.float32]:
    """Return a leaf as (n, k) float32."""
    label = name or "the payload"
    if isinstance(leaf, str):
        leaf = _WORDS.get(leaf.strip().lower(), leaf)
    try:
        with np.errstate(over="ignore"):
            column = np.array(leaf, dtype=np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        if "inhomogeneous" in str(error):
            raise WrongShape(f"{label}: lists of different lengths") from error
        raise Malformed(f"{label}: not a number: {str(error)[:80]}") from error
    if column.ndim > 2:
        raise WrongShape(f"{label}: {column.ndim} levels of lists; readings have at most two")
    return column.reshape(-1, 1) if column.ndim < 2 else column


def _side_by_side(columns: list[tuple[str, NDArray[np.float32]]]) -> NDArray[np.float32]:
    if len(columns) == 1:
        return columns[0][1]
    first_name, first = columns[0]
    for name, column in columns:
        if len(column) != len(first):
            raise WrongShape(
                f"{name or 'a field'} has {len(column)} readings and {first_name} has {len(first)}:"
                " declare the fields that belong together"
            )
    return np.hstack([column for _, column in columns])


def _names(columns: list[tuple[str, NDArray[np.float32]]]) -> Iterator[str]:
    for name, column in columns:
        if not name or column.shape[1] > MAX_CHANNELS:
            return  # a bare list: its channels have no names
        wide = column.shape[1]
        yield from [name] if wide == 1 else (f"{name}[{index}]" for index in range(wide))


def _shaped(values: NDArray[np.float32], names: tuple[str, ...], shape: tuple[int, ...]) -> Numbers:
    """Fit readings to a declared (n, channels); one flat list may be folded into it."""
    sizes = resolve_shape(shape, values.size)
    rows_and_channels = sizes if len(sizes) == 2 else (*sizes, 1)
    if rows_and_channels != values.shape:
        if len(sizes) != 2 or values.shape[1] != 1:
            raise WrongShape(f"readings {values.shape} do not fit the declared shape {shape}")
        values, names = values.reshape(sizes), ()
    return Numbers(values, names)
