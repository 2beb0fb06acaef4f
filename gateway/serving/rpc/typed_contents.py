"""From the typed lists of a protobuf tensor to the tensor's bytes, every element's range checked. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from gateway.errors import Malformed, TooLarge, WrongDtype
from gateway.inference.texts import join_bytes
from gateway.serving.datatypes import MOST_TEXTS, Datatype, Kind

# Which list holds the elements of a datatype, and the type that holds every number of that list.
_LISTS: Final[Mapping[str, tuple[str, str]]] = {
    "BOOL": ("bool_contents", "|b1"),
    "INT8": ("int_contents", "<i4"),
    "INT16": ("int_contents", "<i4"),
    "INT32": ("int_contents", "<i4"),
    "INT64": ("int64_contents", "<i8"),
    "UINT8": ("uint_contents", "<u4"),
    "UINT16": ("uint_contents", "<u4"),
    "UINT32": ("uint_contents", "<u4"),
    "UINT64": ("uint64_contents", "<u8"),
    "FP32": ("fp32_contents", "<f4"),
    "FP64": ("fp64_contents", "<f8"),
    "BYTES": ("bytes_contents", ""),
}


def bytes_of(contents: Any, datatype: Datatype, count: int, tensor: str) -> bytes:
    """Return the bytes of a tensor whose elements are in lists.

    Args:
        contents: An ``InferTensorContents``.
        datatype: What the elements are.
        count: How many the tensor's shape says.
        tensor: Its name, for messages.

    Raises:
        WrongDtype: Another list than the datatype's is filled, or the datatype has none.
        Malformed: There are more or fewer elements, or one lies outside the datatype's range.
        TooLarge: There are too many elements of ``BYTES``.
    """
    if datatype.name not in _LISTS:
        raise WrongDtype(f"{tensor}: {datatype.name} has no list in contents; send it in raw_input_contents")
    name, wide = _LISTS[datatype.name]
    others = [found.name for found, _ in contents.ListFields() if found.name != name]
    if others:
        raise WrongDtype(f"{tensor}: {datatype.name} goes into contents.{name}, not into {others[0]}")
    elements = getattr(contents, name)
    if len(elements) != count:
        raise Malformed(f"{tensor}: contents.{name} has {len(elements)} elements, the shape takes {count}")
    if datatype.kind is Kind.BYTES:
        if count > MOST_TEXTS:
            raise TooLarge(f"{tensor}: {count} elements of BYTES, at most {MOST_TEXTS} are taken")
        return join_bytes(elements)
    array = np.fromiter(elements, wide, count)
    if wide != datatype.dtype:
        _check_range(array, elements, datatype, tensor)
    return array.astype(datatype.dtype).tobytes()


def _check_range(array: Any, elements: Sequence[int], datatype: Datatype, tensor: str) -> None:
    outside = (array < datatype.low) | (array > datatype.high)
    if outside.any():
        at = int(outside.argmax())
        raise Malformed(
            f"{tensor}: element {at} is {elements[at]}; {datatype.name} holds "
            f"{int(datatype.low)} to {int(datatype.high)}"
        )
