"""Elements of text tensors: length and bytes in a payload, ``str`` objects for a runtime. Pure.

The form in payloads is the protocol's ``BYTES``: a length as uint32, little-endian, then so
many bytes, with nothing between the elements.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import numpy as np

from gateway.errors import Malformed
from gateway.tensor import Array

_LENGTH: Final = struct.Struct("<I")


def split_bytes(data: bytes | memoryview, tensor: str) -> Iterator[memoryview]:
    """Yield the elements of ``BYTES`` data: views on it.

    Raises:
        Malformed: An element reaches over the end.
    """
    view, at = memoryview(data), 0
    while at < len(view):
        if at + _LENGTH.size > len(view):
            raise Malformed(f"{tensor}: ends within the length of an element, at byte {at}")
        (length,) = _LENGTH.unpack_from(view, at)
        at += _LENGTH.size
        if at + length > len(view):
            raise Malformed(f"{tensor}: an element of {length} bytes at byte {at} reaches over the end")
        yield view[at : at + length]
        at += length


def join_bytes(elements: Iterable[bytes | memoryview]) -> bytes:
    """Return ``BYTES`` data of elements, each shorter than 4 GiB."""
    return b"".join(part for element in elements for part in (_LENGTH.pack(len(element)), element))


def texts_in(data: bytes | memoryview, shape: Sequence[int], tensor: str) -> Array:
    """Return the texts of a tensor, an array of ``str`` objects; what follows them is passed over.

    Args:
        data: Begins with the tensor's elements.
        shape: Its sizes.
        tensor: Whose it is, for the message.

    Raises:
        Malformed: An element is no UTF-8, or reaches over the end, or there are fewer than the shape says.
    """
    count = math.prod(shape)
    texts = np.empty(count, np.object_)
    found = -1
    for found, element in enumerate(islice(split_bytes(data, tensor), count)):
        try:
            texts[found] = str(element, "utf-8")
        except UnicodeDecodeError:
            raise Malformed(f"{tensor}: element {found} is no UTF-8; the model takes text") from None
    if found + 1 < count:
        raise Malformed(f"{tensor}: holds {found + 1} elements; shape {list(shape)} takes {count}")
    return texts.reshape(tuple(shape))


def texts_out(texts: Array) -> bytes:
    """Return the ``BYTES`` data of an array of ``str`` objects."""
    return join_bytes([each.encode() for each in texts.reshape(-1).tolist()])
