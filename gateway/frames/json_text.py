"""Parses JSON payloads within bounds: size, count, nesting, no NaN, no endless integers."""

from __future__ import annotations

import json
from typing import NoReturn

from gateway.errors import Malformed, NotFinite, TooLarge
from gateway.frames.limits import PayloadLimits
from gateway.frames.tree import Tree, check_counts, check_depth

_MEDIA = "application/json"


def parse_json(data: memoryview, limits: PayloadLimits) -> Tree:
    """Return the value of a JSON text; of a repeated key the last one counts.

    Args:
        data: UTF-8; the whole payload.
        limits: Bounds on bytes and nesting.

    Raises:
        Malformed: Not UTF-8, or not JSON.
        NotFinite: The non-standard words NaN and Infinity.
        TooLarge: Too many bytes, values, containers, or too deep.
    """
    if len(data) > limits.max_bytes:
        raise TooLarge(f"{_MEDIA}: {len(data)} bytes are more than {limits.max_bytes}")
    raw = bytes(data)
    opened = raw.count(b"[") + raw.count(b"{")
    check_counts(_MEDIA, raw.count(b",") + opened, opened)
    try:
        tree: Tree = _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Malformed(f"{_MEDIA}: not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise TooLarge(f"{_MEDIA}: nested deeper than {limits.max_depth}") from error
    except ValueError as error:
        raise Malformed(f"{_MEDIA}: {str(error)[:120]}") from error
    if opened > limits.max_depth:
        check_depth(_MEDIA, tree, limits.max_depth)
    return tree


def _refuse_constant(word: str) -> NoReturn:
    raise NotFinite(f"{_MEDIA}: {word} is not a finite number")


# Whole numbers become floats: the readings end as float32, and Python's own
# integers take quadratic time to parse.
_DECODER = json.JSONDecoder(parse_int=float, parse_constant=_refuse_constant)
