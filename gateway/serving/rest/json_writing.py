"""Writes values as JSON that is always valid: arrays of numbers at once, NaN and infinities as null. Pure."""

from __future__ import annotations

from typing import Final

import orjson

_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def write_json(value: object) -> bytes:
    """Return a value as JSON, without spaces.

    Args:
        value: Of dicts, lists, tuples, strings, numbers, booleans, None, and flat NumPy arrays. Text that
            holds half a character, as quoted from a client, is written with a mark in its place.
    """
    try:
        return orjson.dumps(value, option=_OPTIONS)
    except orjson.JSONEncodeError:
        return orjson.dumps(_whole(value), option=_OPTIONS)


def _whole(value: object) -> object:
    """Return a value whose texts are all of whole characters."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_whole(key): _whole(each) for key, each in value.items()}
    return [_whole(each) for each in value] if isinstance(value, list | tuple) else value
