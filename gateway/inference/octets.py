"""Bytes that are read in place, whether they are held or mapped. Pure."""

from __future__ import annotations

from typing import Protocol, overload


class Octets(Protocol):
    """What ``bytes`` and mapped files have in common."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    @overload
    def __getitem__(self, key: int, /) -> int: ...
    @overload
    def __getitem__(self, key: slice, /) -> bytes: ...
