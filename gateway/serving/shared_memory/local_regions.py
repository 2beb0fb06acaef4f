"""The regions of ``/dev/shm`` that programs of this machine registered: the system shared memory extension.

Reads are copies (``object_file`` says why), so a region may be unregistered,
shrunk or overwritten in the middle of a call and harms nobody but its owner. A
place for an output holds its object open until the output is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.configuration.serving_settings import SharedMemorySettings
from gateway.errors import AlreadyThere, Malformed, NotSupported, TooLarge, UnknownRegion
from gateway.serving.call import Buffer
from gateway.serving.regions import Place, RegionView
from gateway.serving.shared_memory.names import (
    check_extent,
    check_part,
    check_region_name,
    no_region,
    object_file,
)
from gateway.serving.shared_memory.object_file import ObjectFile

FOLDER: Final = "/dev/shm"  # noqa: S108 - the system's place for such objects, not a file of ours


class LocalRegions:
    """``Regions`` over the objects of this machine; for callers that are on it."""

    def __init__(self, settings: SharedMemorySettings, folder: str = FOLDER) -> None:
        self._settings = settings
        self._folder = folder
        self._regions: dict[str, tuple[RegionView, ObjectFile]] = {}

    def register(self, region: RegionView) -> None:
        """Open the object of a region and keep it; as ``Regions.register``."""
        settings = self._settings
        if not settings.system:
            raise NotSupported("system shared memory is off: serving.shared_memory.system is false")
        check_region_name(region.name)
        file = object_file(region.name, region.key)
        check_extent(region, settings.max_region_bytes)
        if region.name in self._regions:
            raise AlreadyThere(
                f"shared memory region '{region.name}' already in manager: unregister it first",
                region=region.name,
            )
        if len(self._regions) >= settings.max_regions:
            raise TooLarge(
                f"{len(self._regions)} shared memory regions are registered, which is what "
                "serving.shared_memory.max_regions allows: unregister some",
                region=region.name,
            )
        self._regions[region.name] = (region, self._open(region, file))

    def unregister(self, name: str = "") -> None:
        """Forget a region, or all; its object is closed when the last output that waits for it is written."""
        if name:
            self._regions.pop(name, None)
        else:
            self._regions.clear()

    def status(self, name: str = "") -> Sequence[RegionView]:
        """Return one region, or all in order of name; as ``Regions.status``."""
        if name:
            return (self._known(name)[0],)
        return tuple(view for _, (view, _) in sorted(self._regions.items()))

    def read(self, name: str, offset: int, byte_size: int) -> memoryview:
        """Return a copy of a part that nobody changes any more; as ``Regions.read``."""
        region, held = self._known(name)
        check_part(name, region.byte_size, offset, byte_size)
        return memoryview(held.read(region.offset + offset, byte_size))

    def place(self, name: str, offset: int, byte_size: int) -> Place:
        """Return the place of an output; as ``Regions.place``."""
        region, held = self._known(name)
        check_part(name, region.byte_size, offset, byte_size)
        if not held.writable:
            raise UnknownRegion(
                f"shared memory region '{name}' takes no output: the gateway may read '{region.key}' only",
                region=name,
            )
        return _ObjectPlace(held, region.offset + offset, byte_size, name)

    def write(self, name: str, offset: int, byte_size: int, data: Buffer) -> None:
        """Copy data into a part; as ``Regions.write``."""
        self.place(name, offset, byte_size).write(data)

    def _known(self, name: str) -> tuple[RegionView, ObjectFile]:
        found = self._regions.get(name)
        if found is None:
            raise no_region(name)
        return found

    def _open(self, region: RegionView, file: str) -> ObjectFile:
        try:
            held = ObjectFile(self._folder, file)
            size = held.size_bytes()
        except OSError as error:
            raise UnknownRegion(
                f"Unable to open shared memory region: '{region.key}': {error.strerror or error}",
                region=region.name,
            ) from None
        if region.offset + region.byte_size > size:
            held.close()
            raise Malformed(
                f"failed to register shared memory region '{region.name}': invalid args: '{region.key}' has "
                f"{size} bytes, {region.offset} + {region.byte_size} reaches out of it",
                region=region.name,
            )
        return held


class NoRegions:
    """``Regions`` for callers that share no memory with this machine, or where it is off: there are none."""

    def __init__(self, why: str = "shared memory is for programs of this machine") -> None:
        self._why = why

    def register(self, region: RegionView) -> None:
        """Refuse."""
        raise NotSupported(f"cannot register shared memory region '{region.name[:80]}': {self._why}")

    def unregister(self, name: str = "") -> None:
        """Do nothing: clients begin by unregistering what may be left of their last life."""

    def status(self, name: str = "") -> Sequence[RegionView]:
        """Return nothing, or say that there is none of this name."""
        if name:
            raise no_region(name)
        return ()

    def read(self, name: str, offset: int, byte_size: int) -> memoryview:  # noqa: ARG002 - the Protocol's
        """Refuse."""
        raise NotSupported(f"cannot read shared memory region '{name[:80]}': {self._why}")

    def place(self, name: str, offset: int, byte_size: int) -> Place:  # noqa: ARG002 - the Protocol's
        """Refuse."""
        raise NotSupported(f"cannot write shared memory region '{name[:80]}': {self._why}")

    def write(self, name: str, offset: int, byte_size: int, data: Buffer) -> None:  # noqa: ARG002
        """Refuse."""
        raise NotSupported(f"cannot write shared memory region '{name[:80]}': {self._why}")


class _ObjectPlace:
    """A part of an object that waits for its output."""

    def __init__(self, held: ObjectFile, offset: int, byte_size: int, region: str) -> None:
        self._held = held
        self._offset = offset
        self._byte_size = byte_size
        self._region = region

    def write(self, data: Buffer) -> None:
        length = memoryview(data).nbytes
        if length > self._byte_size:
            raise TooLarge(
                f"the output has {length} bytes; its place in shared memory region '{self._region}' has "
                f"{self._byte_size}",
                region=self._region,
            )
        self._held.write(self._offset, data)
