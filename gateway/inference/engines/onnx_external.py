"""Which other files an ONNX model makes the runtime open: its external data, read without the runtime.

It names more rather than less: a location counts wherever one stands, whether the
runtime would follow it or not.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import Final

from gateway.errors import LoadFailed
from gateway.inference.engines.onnx_fields import OnnxFields

MOST_FILES: Final = 64
_MOST_NAME_BYTES: Final = 255
_LOCATION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_EXTERNAL_DATA, _KEY, _VALUE = 13, 1, 2
_LOCATION_KEY: Final = b"location"


def external_files(path: Path) -> tuple[str, ...]:
    """Return the files beside the model that hold its external data, each once.

    Args:
        path: An .onnx file; it is mapped while it is read.

    Raises:
        LoadFailed: It cannot be read, is no protobuf of a model, is beyond the bounds, or names a file
            other than ``NAME`` or ``FOLDER/NAME`` (absolute, ``..``, odd letters).
    """
    found: dict[str, None] = {}
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise LoadFailed(f"{path}: is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                walk = OnnxFields(data, path)
                for start, end in walk.tensors():
                    found.update(
                        (_checked(location, path), None) for location in _locations(walk, start, end)
                    )
                    if len(found) > MOST_FILES:
                        raise LoadFailed(f"{path}: names more than {MOST_FILES} files of external data")
    except (OSError, ValueError) as error:
        raise LoadFailed(f"{path}: cannot be read: {error}") from error
    return tuple(found)


def _locations(walk: OnnxFields, start: int, end: int) -> list[bytes]:
    """Return the locations that stand in one tensor."""
    found: list[bytes] = []
    for field in walk.fields(start, end):
        if field.number != _EXTERNAL_DATA or not field.end:
            continue
        keys, values = [], []
        for each in walk.fields(field.start, field.end):
            part = walk.part(each.start, min(each.end, each.start + _MOST_NAME_BYTES + 1))
            if each.number == _KEY:
                keys.append(part)
            elif each.number == _VALUE:
                values.append(part)
        if _LOCATION_KEY in keys:
            found += values or [b""]
    return found


def _checked(location: bytes, path: Path) -> str:
    try:
        text = location.decode("ascii")
    except UnicodeDecodeError:
        text = ""
    if len(location) > _MOST_NAME_BYTES or not _LOCATION.fullmatch(text):
        shown = ascii(location[:80])[1:]
        raise LoadFailed(
            f"{path}: external data at {shown}: only NAME or FOLDER/NAME beside the model is read"
        )
    return text
