"""Reads JSON from clients without leniency: bounded in bytes and depth, no key twice, no NaN. Pure.

The fast parser takes the last of two equal keys and knows one depth only; both are
caught by counting, which costs next to nothing where a body is mostly numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

from gateway.errors import Malformed, TooLarge
from gateway.serving.call import Buffer

# Parsing holds up everybody else, and tensors can come in binary: this much takes some 100 ms.
MOST_JSON_BYTES: Final = 16_777_216

# What takes many times its bytes in memory, or much longer than numbers to walk over.
_MOST_CONTAINERS: Final = 500_000
_MOST_QUOTES: Final = 1_000_000
# Up to here writing a value costs less than walking over it.
_WRITTEN_AGAIN: Final = 8192
# A string is taken whole, so that brackets in it do not count.
_NESTING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)


def read_json(data: Buffer, max_depth: int) -> object:
    """Return the value of a JSON text.

    Args:
        data: UTF-8.
        max_depth: Deepest nesting of arrays and objects.

    Raises:
        Malformed: It is no JSON, or an object has one key twice.
        TooLarge: It is nested deeper, or longer than ``MOST_JSON_BYTES``.
    """
    if len(data) > MOST_JSON_BYTES:
        raise TooLarge(
            f"JSON of {len(data)} bytes: at most {MOST_JSON_BYTES} are read; send tensors in binary"
        )
    raw = bytes(data)
    objects = raw.count(b"{")
    containers = objects + raw.count(b"[")
    if containers > max_depth:
        if containers > _MOST_CONTAINERS or raw.count(b'"') > _MOST_QUOTES:
            raise TooLarge("JSON of too many arrays, objects or strings: send tensors flat, or in binary")
        _check_depth(raw, max_depth)
    try:
        value = orjson.loads(raw)
    except ValueError as error:
        raise Malformed(f"not JSON: {str(error)[:160]}") from None
    if objects:
        _check_keys(value, raw, objects)
    return value


def read_object(data: Buffer, max_depth: int) -> dict[str, object]:
    """Return the members of a JSON text whose outermost value is an object; none for an empty text.

    Raises:
        Malformed: It is no such JSON.
        TooLarge: It is nested deeper, or too long.
    """
    if not len(data):
        return {}
    value = read_json(data, max_depth)
    if not isinstance(value, dict):
        raise Malformed("needs a JSON object")
    return value


def _check_depth(raw: bytes, max_depth: int) -> None:
    depth = 0
    for found in _NESTING.finditer(raw):
        letter = found[0]
        if letter in b"[{":
            depth += 1
            if depth > max_depth:
                raise TooLarge(f"JSON nested deeper than {max_depth}")
        elif letter in b"]}":
            depth -= 1


def _check_keys(value: object, raw: bytes, objects: int) -> None:
    """Refuse an object with one key twice.

    Every key has a colon and every object a brace of its own, besides those within strings. If what was
    parsed explains all of them, none was lost. An escape could forge that; then the slow way decides.
    """
    if b"\\" not in raw and _explains(value, raw, objects):
        return
    try:
        json.loads(raw, object_pairs_hook=_once)
    except RecursionError:
        raise TooLarge("JSON nested too deeply") from None
    except ValueError as error:
        raise Malformed(f"not JSON: {str(error)[:160]}") from None


def _explains(value: object, raw: bytes, objects: int) -> bool:
    if len(raw) <= _WRITTEN_AGAIN:
        return orjson.dumps(value).count(b":") == raw.count(b":")
    braces = colons = 0
    for each in _objects(value):
        braces += 1
        colons += len(each)
        for word in (*each, *each.values()):
            if isinstance(word, str):
                braces += word.count("{")
                colons += word.count(":")
    return braces == objects and colons == raw.count(b":")


def _objects(value: object) -> Iterator[dict[str, object]]:
    """Yield objects; not those in a list that begins with something else."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            if isinstance(each, dict | list):
                yield from _objects(each)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for each in value:
            yield from _objects(each)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Malformed(f"key {name[:80]!a} stands twice in one object")
        found[name] = value
    return found
