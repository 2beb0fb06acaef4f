"""Room in memory for a model that is about to be loaded: measured, made by unloading idle ones, held."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping

from gateway.configuration.settings import Settings
from gateway.daemon.lane_costs import LaneCost
from gateway.daemon.model_version import Version
from gateway.errors import NotReady
from gateway.inference.choosing import Choice
from gateway.inference.confine import needs_devices
from gateway.scaling.decisions import mebibytes
from gateway.scaling.sample import DeviceMemory
from gateway.scaling.unloading import OnDemand, Stay, make_room, may_go, spare_bytes

# Returns the memory of the board, or of a GPU that has its own if one is asked for; None if nothing tells.
ReadMemory = Callable[[bool], DeviceMemory | None]


class Room:
    """Knows what models take, and which of those that are loaded on demand may go."""

    def __init__(
        self,
        versions: Mapping[str, Version],
        settings: Callable[[], Settings],
        read_memory: ReadMemory,
        cost_of: Callable[[str], LaneCost],
        busy: Callable[[str], str],
    ) -> None:
        """Stand over what serves.

        Args:
            versions: What serves, by model; a live view.
            settings: Returns what is configured now.
            read_memory: Reads memory.
            cost_of: What lanes of a model were measured to take.
            busy: What an update does to a model that nothing else should meet; empty for nothing.
        """
        self._versions = versions
        self._settings = settings
        self._read_memory = read_memory
        self._cost_of = cost_of
        self._busy = busy
        self._remembered: dict[str, LaneCost] = {}
        self._promised: dict[object, int] = {}  # to loads that are under way

    def may_go(self, model: str) -> OnDemand | None:
        """Return what is known of a model that may be unloaded now; None if it may not."""
        known = self._known(model)
        return known if known is not None and may_go(known, time.monotonic(), self._stay()) else None

    def remember(self, model: str) -> None:
        """Keep what a model was measured to take, for when it is loaded again."""
        cost = self._cost_of(model)
        if cost.bound_bytes:
            self._remembered[model] = cost

    @contextlib.contextmanager
    def held(
        self, model: str, choice: Choice, lanes: int, unload: Callable[[str, str], bool]
    ) -> Iterator[None]:
        """Hold room for a model while it starts, after unloading what must go for it.

        Args:
            model: The model.
            choice: What was proven.
            lanes: How many lanes start.
            unload: Unloads a model, with the reason; returns whether it did.

        Raises:
            NotReady: There cannot be made enough room; nothing was unloaded.
        """
        options = choice.spec.options
        on_device = needs_devices(options.providers, options.delegates)
        needed = self._needed_bytes(model, choice, lanes)
        self._make(model, needed, self._read_memory(on_device), unload)
        load = object()
        self._promised[load] = needed
        try:
            yield
        finally:
            del self._promised[load]

    def _make(
        self, model: str, needed: int, memory: DeviceMemory | None, unload: Callable[[str, str], bool]
    ) -> None:
        if memory is None or needed <= 0:
            return
        scaling = self._settings().scaling
        free = spare_bytes(memory, scaling.high_mark, scaling.reserve_bytes) - sum(self._promised.values())
        others = [known for name in self._versions if name != model and (known := self._known(name))]
        same = [each for each in others if self._takes_of(each.model, memory.device)]
        going = make_room(needed, free, same, (time.monotonic(), self._stay()))
        why = f"model {model} takes {mebibytes(needed)} and {mebibytes(max(0, free))} of memory may be taken"
        if going is None:
            raise NotReady(f"{why}, though all that may be unloaded were", model=model)
        for name in going:
            if not unload(name, why):
                raise NotReady(f"{why}; {name} is in use after all", model=model)

    def _known(self, model: str) -> OnDemand | None:
        """Return what is known of a model that serves and is loaded on demand; None of others."""
        version, configured = self._versions.get(model), self._settings().models.get(model)
        if version is None or configured is None or configured.load != "on_demand":
            return None
        cost = self._cost_of(model).of_lanes(version.scheduler.pool.wanted)
        in_use = not version.is_idle or bool(self._busy(model))
        return OnDemand(model, version.since_s, version.used_s, cost or None, in_use)

    def _needed_bytes(self, model: str, choice: Choice, lanes: int) -> int:
        """Return what a load takes: as measured when it served, else as its proof did."""
        cost = self._cost_of(model)
        cost = cost if cost.bound_bytes else self._remembered.get(model, cost)
        return cost.of_lanes(lanes) or max(0, choice.proof.memory_bytes) * lanes

    def _takes_of(self, model: str, device: str) -> bool:
        """Return whether a model's lanes take the memory of a device."""
        options = self._versions[model].scheduler.pool.spec.options
        memory = self._read_memory(needs_devices(options.providers, options.delegates))
        return memory is not None and memory.device == device

    def _stay(self) -> Stay:
        return Stay(self._settings().scaling.cooldown_s)
