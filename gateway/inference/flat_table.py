"""Walks the tables of a flatbuffer, never outside of it and never for ever. Pure.

A table is a position in the bytes; its fields are found by number through the
table's own list of offsets. Nothing here recurses, so tables that lead in rings
do no harm: whoever walks decides how deep.
"""

from __future__ import annotations

import struct
from typing import Final

from gateway.errors import LoadFailed
from gateway.inference.octets import Octets

MOST_READS: Final = 1_000_000
MOST_ITEMS: Final = 65_536
_MOST_TEXT_BYTES: Final = 65_536


class FlatFile:
    """The bytes of one flatbuffer, and how much may still be read of them."""

    def __init__(self, data: Octets, name: str) -> None:
        """Take bytes.

        Args:
            data: All of them; borrowed.
            name: What complaints call them.
        """
        self.data = data
        self.name = name
        self._left = MOST_READS

    def root(self, mark: bytes) -> FlatTable:
        """Return the first table.

        Args:
            mark: The four bytes that tell what is in the file.

        Raises:
            LoadFailed: The mark is another one, or the table does not lie in the bytes.
        """
        if len(self.data) < 8 or self.data[4:8] != mark:
            raise LoadFailed(f"{self.name}: lacks the mark {mark.decode('ascii')}")
        return FlatTable(self, self.number("<I", 0))

    def number(self, kind: str, at: int) -> int:
        """Return one integer.

        Raises:
            LoadFailed: It does not lie in the bytes.
        """
        return int(self.take(kind, at)[0])

    def take(self, kind: str, at: int) -> tuple[float, ...]:
        """Return numbers as ``struct`` unpacks them.

        Raises:
            LoadFailed: They do not lie in the bytes, or too much was read already.
        """
        size = struct.calcsize(kind)
        if not 0 <= at <= len(self.data) - size:
            raise LoadFailed(f"{self.name}: a table leads to byte {at}, outside of the file")
        self._left -= 1
        if self._left < 0:
            raise LoadFailed(f"{self.name}: takes more than {MOST_READS} reads to understand")
        return struct.unpack(kind, self.data[at : at + size])


class FlatTable:
    """One table; absent fields read as their defaults."""

    def __init__(self, file: FlatFile, at: int) -> None:
        """Find the table's list of offsets.

        Raises:
            LoadFailed: It does not lie in the bytes.
        """
        self._file = file
        self._at = at
        self._offsets = at - file.number("<i", at)
        self._size = file.number("<H", self._offsets)
        if self._size < 4:
            raise LoadFailed(f"{file.name}: a table has a list of offsets of {self._size} bytes")

    def number(self, field: int, kind: str, default: int = 0) -> int:
        """Return an integer field; ``kind`` as in ``struct``."""
        at = self._place(field)
        return self._file.number(kind, at) if at else default

    def text(self, field: int) -> bytes:
        """Return a string field's bytes, the first 64 KiB of them; empty if absent."""
        start, count = self.span(field, 1)
        return self._file.data[start : start + min(count, _MOST_TEXT_BYTES)]

    def span(self, field: int, size: int) -> tuple[int, int]:
        """Return where a vector's items begin and how many there are; 0 if absent.

        Args:
            field: The field's number.
            size: Bytes of an item.

        Raises:
            LoadFailed: They do not lie in the bytes.
        """
        at = self._place(field)
        if not at:
            return 0, 0
        start = at + self._file.number("<I", at)
        count = self._file.number("<I", start)
        if count * size > len(self._file.data) - start - 4:
            raise LoadFailed(f"{self._file.name}: a list at byte {start} leads outside of the file")
        return start + 4, count

    def numbers(self, field: int, kind: str) -> tuple[float, ...]:
        """Return a vector of numbers; ``kind`` is one letter of ``struct``.

        Raises:
            LoadFailed: They do not lie in the bytes, or are too many.
        """
        start, count = self.span(field, struct.calcsize(f"<{kind}"))
        self._bound(count)
        return self._file.take(f"<{count}{kind}", start) if count else ()

    def integers(self, field: int, kind: str) -> tuple[int, ...]:
        """Return a vector of integers; as ``numbers``."""
        return tuple(int(each) for each in self.numbers(field, kind))

    def table(self, field: int) -> FlatTable | None:
        """Return a table that a field leads to; None if absent."""
        at = self._place(field)
        return FlatTable(self._file, at + self._file.number("<I", at)) if at else None

    def tables(self, field: int) -> list[FlatTable]:
        """Return a vector of tables.

        Raises:
            LoadFailed: They do not lie in the bytes, or are too many.
        """
        start, count = self.span(field, 4)
        self._bound(count)
        places = (start + 4 * index for index in range(count))
        return [FlatTable(self._file, at + self._file.number("<I", at)) for at in places]

    def one_of(self, field: int, index: int) -> FlatTable | None:
        """Return one item of a vector of tables; None if there are fewer."""
        start, count = self.span(field, 4)
        at = start + 4 * index
        return FlatTable(self._file, at + self._file.number("<I", at)) if 0 <= index < count else None

    def _place(self, field: int) -> int:
        """Return where a field lies; 0 if it is absent."""
        entry = 4 + 2 * field
        if entry + 2 > self._size:
            return 0
        offset = self._file.number("<H", self._offsets + entry)
        return self._at + offset if offset else 0

    def _bound(self, count: int) -> None:
        if count > MOST_ITEMS:
            raise LoadFailed(f"{self._file.name}: a list has {count} items; {MOST_ITEMS} are read at most")
