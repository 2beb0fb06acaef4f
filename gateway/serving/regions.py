"""Shared memory as the doors see it: regions by name, read and written wherever they lie. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.serving.call import Buffer


@dataclass(frozen=True, slots=True)
class RegionView:
    """One registered region.

    Attributes:
        name: What clients call it.
        key: Name of the system's object, such as ``/frames``; empty for memory that came as a descriptor.
        offset: Where in the object it begins, in bytes.
        byte_size: How long it is.
    """

    name: str
    key: str
    offset: int
    byte_size: int


class Place(Protocol):
    """A part of a region that waits for an output; dropped when the output is written or will not come."""

    def write(self, data: Buffer) -> None:
        """Copy ``data`` in.

        Raises:
            UnknownRegion: The client took the memory away meanwhile.
            TooLarge: The data is longer than the part.
        """
        ...


class Regions(Protocol):
    """Regions that programs of this machine share with the gateway; called in the event loop."""

    def register(self, region: RegionView) -> None:
        """Take a region of ``/dev/shm``.

        Raises:
            AlreadyThere: The name is taken.
            UnknownRegion: There is no such object.
            Malformed: A name is none, or reserved; or the object is shorter.
            TooLarge: It is larger than allowed, or there are too many.
            NotSupported: Shared memory is off.
        """
        ...

    def unregister(self, name: str = "") -> None:
        """Forget a region, or all of them; calls under way still end well; unknown names are no error."""
        ...

    def status(self, name: str = "") -> Sequence[RegionView]:
        """Return one region, or all in order of name.

        Raises:
            UnknownRegion: There is none of this name.
        """
        ...

    def read(self, name: str, offset: int, byte_size: int) -> memoryview:
        """Return what a part of a region holds now; nothing that the client does later changes it.

        Raises:
            UnknownRegion: There is none of this name.
            Malformed: The part does not lie in it.
            NotSupported: Shared memory is off, or the caller is not on this machine.
        """
        ...

    def place(self, name: str, offset: int, byte_size: int) -> Place:
        """Return where an output goes; asked for before the call runs, it outlives ``unregister``.

        Raises:
            UnknownRegion: There is none of this name, or it cannot be written.
            Malformed: The part does not lie in it.
            NotSupported: Shared memory is off, or the caller is not on this machine.
        """
        ...

    def write(self, name: str, offset: int, byte_size: int, data: Buffer) -> None:
        """Copy ``data`` into a part of a region that the client set aside for it.

        Raises:
            UnknownRegion: There is none of this name.
            Malformed: The part does not lie in it.
            TooLarge: The data is longer than the part.
        """
        ...
