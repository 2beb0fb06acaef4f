"""The protocol's datatypes: their sizes, ranges, NumPy types and names in a model's configuration. Pure.

Every door checks tensors by this one table. Elements lie row by row, little-endian;
an element of ``BYTES`` is its length as uint32 and the bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import islice
from typing import Final

from gateway.errors import Malformed, TooLarge, WrongDtype, WrongShape
from gateway.inference.texts import split_bytes
from gateway.serving.call import Buffer

MOST_AXES: Final = 32
# Walking over elements of BYTES is work for the event loop: this many take some 50 ms.
MOST_TEXTS: Final = 262_144
_MOST_SIZE: Final = 2**31 - 1


class Kind(Enum):
    """What the elements of a datatype are."""

    BOOLEAN = auto()
    INTEGER = auto()
    FLOAT = auto()
    BYTES = auto()


@dataclass(frozen=True, slots=True)
class Datatype:
    """One datatype.

    Attributes:
        name: The protocol's name.
        kind: What its elements are.
        size: Bytes of an element; 0 for ``BYTES``, whose elements differ.
        dtype: The NumPy type, little-endian; empty where NumPy has none.
        config_name: Its name in a model's configuration.
        low: Least element of an integer or finite float.
        high: Greatest one.
    """

    name: str
    kind: Kind
    size: int
    dtype: str
    config_name: str
    low: float = 0
    high: float = 0


def _integers() -> Iterable[Datatype]:
    for bits in (8, 16, 32, 64):
        size = bits // 8
        yield Datatype(f"UINT{bits}", Kind.INTEGER, size, f"<u{size}", f"TYPE_UINT{bits}", 0, 2**bits - 1)
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        yield Datatype(f"INT{bits}", Kind.INTEGER, size, f"<i{size}", f"TYPE_INT{bits}", low, high)


def _floats() -> Iterable[Datatype]:
    greatest = {2: 65504.0, 4: 2.0**128 - 2.0**104, 8: math.ldexp(2.0 - 2.0**-52, 1023)}
    for size, high in greatest.items():
        bits = size * 8
        yield Datatype(f"FP{bits}", Kind.FLOAT, size, f"<f{size}", f"TYPE_FP{bits}", -high, high)
    yield Datatype("BF16", Kind.FLOAT, 2, "", "TYPE_BF16")


DATATYPES: Final[Mapping[str, Datatype]] = {
    each.name: each
    for each in (
        Datatype("BOOL", Kind.BOOLEAN, 1, "|b1", "TYPE_BOOL", 0, 1),
        *_integers(),
        *_floats(),
        Datatype("BYTES", Kind.BYTES, 0, "", "TYPE_STRING"),
    )
}


def datatype_named(name: str, tensor: str) -> Datatype:
    """Return a datatype.

    Args:
        name: The protocol's name of it.
        tensor: Whose it is, for the message.

    Raises:
        WrongDtype: There is none of this name.
    """
    found = DATATYPES.get(name)
    if found is None:
        raise WrongDtype(f"{tensor}: datatype {name[:40]!a} is not one of {', '.join(DATATYPES)}")
    return found


def element_count(shape: Sequence[int], tensor: str) -> int:
    """Return how many elements a shape has.

    Raises:
        WrongShape: A size is negative, there are too many axes, or more elements than any body holds.
    """
    if len(shape) > MOST_AXES:
        raise WrongShape(f"{tensor}: {len(shape)} axes, at most {MOST_AXES} are taken")
    count = 1
    greatest = 0
    for size in shape:
        if size < 0:
            raise WrongShape(f"{tensor}: shape {list(shape)} has a negative size")
        count *= size
        greatest = max(greatest, size)
    if count > _MOST_SIZE or greatest > _MOST_SIZE:
        raise WrongShape(f"{tensor}: shape {list(shape)} has more than {_MOST_SIZE} elements")
    return count


def check_size(name: str, size: int, needed: int) -> None:
    """Refuse an input that is said to be longer or shorter than its shape; the words are those of Triton.

    Raises:
        Malformed: It is.
    """
    if size != needed:
        raise Malformed(f"unexpected total byte size {size} for input '{name[:80]}', expecting {needed}")


def check_bytes(datatype: Datatype, shape: Sequence[int], data: Buffer, tensor: str) -> None:
    """Refuse data that is not what datatype and shape say.

    Raises:
        WrongShape: A size is negative, or there are more elements than any body holds.
        Malformed: It is longer or shorter, or its ``BYTES`` elements do not fill it, or are not as many.
        TooLarge: There are more elements of ``BYTES`` than ``MOST_TEXTS``.
    """
    count = element_count(shape, tensor)
    if datatype.kind is Kind.BYTES:
        if count > MOST_TEXTS:
            raise TooLarge(f"{tensor}: {count} elements of BYTES, at most {MOST_TEXTS} are taken")
        found = sum(1 for _ in islice(split_bytes(data, tensor), count + 1))
        if found != count:
            held = "more" if found > count else found
            raise Malformed(f"{tensor}: holds {held} elements; shape {list(shape)} takes {count}")
        return
    needed = count * datatype.size
    if len(data) != needed:
        raise Malformed(f"{tensor}: {len(data)} bytes; {datatype.name} of shape {list(shape)} takes {needed}")
