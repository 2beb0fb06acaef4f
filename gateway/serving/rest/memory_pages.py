"""The pages of shared memory: system regions of programs of this machine; CUDA's are not taken."""

from __future__ import annotations

from typing import NoReturn

from gateway.errors import Forbidden, Malformed, NotSupported, UnknownRegion
from gateway.serving.regions import Regions, RegionView
from gateway.serving.rest.exchange import JSON, Ask, Reply, json_reply
from gateway.serving.rest.json_fields import member_whole, needed_text
from gateway.serving.rest.json_reading import read_object


class MemoryPages:
    """Handles both kinds; example programs ask for CUDA regions even where they use none."""

    def __init__(self, regions: Regions | None, max_depth: int, most_region_bytes: int) -> None:
        """Prepare.

        Args:
            regions: System regions; None where they are off.
            max_depth: Deepest nesting of JSON.
            most_region_bytes: Largest region.
        """
        self._regions = regions
        self._max_depth = max_depth
        self._most_region_bytes = most_region_bytes

    async def status(self, ask: Ask) -> Reply:
        """List regions, or show one.

        Raises:
            UnknownRegion: There is none of this name.
            Forbidden: Another machine asks.
        """
        name = _local_name(ask)
        if self._regions is None:
            return _none(name)
        return json_reply([_said(region) for region in self._regions.status(name)])

    async def register(self, ask: Ask) -> Reply:
        """Take a region.

        Raises:
            RequestRefused: As ``Regions.register``, or the body is not as it should be.
            Forbidden: Another machine asks.
        """
        name = _local_name(ask)
        if self._regions is None:
            raise NotSupported("shared memory is off")
        members = read_object(ask.body, self._max_depth)
        size = member_whole(members, "byte_size", "", self._most_region_bytes)
        if size is None:
            raise Malformed("byte_size is missing")
        key = needed_text(members, "key", "")
        self._regions.register(RegionView(name, key, member_whole(members, "offset", "") or 0, size))
        return Reply(200, b"{}", JSON)

    async def unregister(self, ask: Ask) -> Reply:
        """Let a region go, or all.

        Raises:
            Malformed: The name can be none.
            Forbidden: Another machine asks.
        """
        name = _local_name(ask)
        if self._regions is not None:
            self._regions.unregister(name)
        return Reply(200, b"{}", JSON)

    async def cuda_status(self, ask: Ask) -> Reply:
        """List no regions.

        Raises:
            UnknownRegion: One is asked for.
            Forbidden: Another machine asks.
        """
        return _none(_local_name(ask))

    async def register_cuda(self, ask: Ask) -> NoReturn:
        """Refuse.

        Raises:
            NotSupported: Always.
            Forbidden: Another machine asks.
        """
        _local_name(ask)
        raise NotSupported("CUDA shared memory is not taken; register system shared memory")

    async def unregister_cuda(self, ask: Ask) -> Reply:
        """Let go of what is not there, which is no error.

        Raises:
            Forbidden: Another machine asks.
        """
        _local_name(ask)
        return Reply(200, b"{}", JSON)


def _local_name(ask: Ask) -> str:
    if not ask.caller.is_local:
        raise Forbidden("shared memory is for programs of this machine")
    name = ask.names.get("region", "")
    if not (name.isascii() and name.isprintable()):
        raise Malformed(f"{name[:80]!a} is no name of a region: use printable ASCII characters")
    return name


def _none(name: str) -> Reply:
    if name:
        raise UnknownRegion(f"no region is called {name[:80]!a}")
    return json_reply([])


def _said(region: RegionView) -> dict[str, object]:
    return {
        "name": region.name,
        "key": region.key,
        "offset": region.offset,
        "byte_size": region.byte_size,
    }
