"""Makes one sample out of what all probes say: one call at a time, in a thread."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol, TypeVar

from gateway.scaling.graphics import device_names, gpu_readings
from gateway.scaling.host import HostProbe, HostReading
from gateway.scaling.nvml_reading import NvmlReading
from gateway.scaling.nvml_thread import NvmlThread
from gateway.scaling.sample import BoardReading, Sample
from gateway.scaling.sources import choose
from gateway.scaling.tegra import TegraProbe
from gateway.scaling.tegra_reading import TegraReading, total_w
from gateway.scaling.throttling import CAUSES, Before, Signs, infer

_ROOT: Final = Path("/")
NO_MEMORY: Final = "nothing tells how much memory there is"

Reading_co = TypeVar("Reading_co", covariant=True)


class Probe(Protocol[Reading_co]):
    """Whoever reads one kind of thing when asked."""

    def read(self) -> Reading_co:
        """Return what there is now. Raises nothing: what is not told is absent, with a reason."""
        ...

    def close(self) -> None:
        """Let go of whatever is held. Never waits."""
        ...


class Sampler:
    """Three probes, and what must be remembered between two samples to see that a board is held back."""

    def __init__(
        self, host: Probe[HostReading], tegra: Probe[TegraReading], nvml: Probe[NvmlReading]
    ) -> None:
        self._host = host
        self._tegra = tegra
        self._nvml = nvml
        self._before = Before()

    def read(self, at_s: float) -> Sample:
        """Return a sample. Raises nothing.

        Args:
            at_s: The time now, monotonic seconds.
        """
        nvml, host, tegra = self._nvml.read(), self._host.read(), self._tegra.read()
        memory = choose(host.memory, nvml, device_names(nvml, tegra), tegra=tegra.is_tegra)
        troubles = [nvml.trouble] if nvml.trouble else []
        if not memory:
            troubles.append(NO_MEMORY)
        return Sample(at_s, memory, host.pressure, self._board(host, tegra, nvml), tuple(troubles))

    def close(self) -> None:
        """Close the probes. Never waits."""
        for probe in (self._host, self._tegra, self._nvml):
            probe.close()

    def _board(self, host: HostReading, tegra: TegraReading, nvml: NvmlReading) -> BoardReading:
        held_bytes = host.memory.gpu_used_bytes if host.memory is not None else None
        gpus = gpu_readings(nvml, tegra, held_bytes)
        first = gpus[0] if gpus else None
        signs = Signs(
            first.load if first is not None else None,
            first.clock_hz if first is not None else None,
            first.max_clock_hz if first is not None else None,
            tegra.gpu.governor if tegra.gpu is not None else "",
            tegra.brakes,
            tegra.rails.alarms,
            tegra.rails.alarm_counts,
        )
        if tegra.gpu is None:
            # The driver of a GPU of its own says itself why its clock is low; an idle one saves power.
            signs = Signs(cooling=signs.cooling, alarms=signs.alarms, alarm_counts=signs.alarm_counts)
        self._before, inferred = infer(self._before, signs)
        causes = {*inferred, *(cause for gpu in nvml.gpus for cause in gpu.throttled)}
        return BoardReading(
            model=tegra.model,
            power_mode=tegra.power_mode,
            processors_busy=host.processors_busy,
            temperatures_c=tegra.temperatures_c,
            rails_w=tegra.rails.watts,
            power_w=total_w(tegra.rails.watts),
            throttled=tuple(cause for cause in CAUSES if cause in causes),
            gpus=gpus,
        )


def machine_sampler(*, nvml: bool, root: Path = _ROOT) -> Sampler:
    """Return a sampler of this machine.

    Args:
        nvml: Whether NVIDIA's library is asked.
        root: Where ``/`` is.
    """
    return Sampler(HostProbe(root), TegraProbe(root), NvmlThread(enabled=nvml))
