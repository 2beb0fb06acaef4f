"""JSON objects with a checksum, read back only if not one byte of them has changed. Pure."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

from gateway.errors import StoreFailed

_CHECK = "crc"


def seal(body: Mapping[str, Any]) -> bytes:
    """Return an object as one line of JSON with its checksum."""
    check = f"{zlib.crc32(_dump(body)):08x}"
    return _dump({**body, _CHECK: check}) + b"\n"


def unseal(data: bytes, what: str) -> dict[str, Any]:
    """Return the object that ``seal`` was given.

    Raises:
        StoreFailed: The bytes are not what ``seal`` makes of any object.
    """
    try:
        body = json.loads(data)
        if isinstance(body, dict):
            body.pop(_CHECK, None)
            if _is_finite(body) and seal(body) == data:
                return body
    except (ValueError, RecursionError):
        pass
    raise StoreFailed(f"{what}: it is damaged")


def _dump(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def _is_finite(body: Mapping[str, Any]) -> bool:
    return all(math.isfinite(value) for value in body.values() if isinstance(value, float))
