"""What NVIDIA's management library says at one moment: values, and why any of them is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NvmlGpu:
    """One graphics processor as the library tells it; None where it does not.

    Attributes:
        index: Its number there.
        name: As the driver calls it; empty if it does not even tell that.
        uuid: Its identity; empty on boards without one.
        total_bytes: Memory that the library claims it has; may be 0, or not its own.
        free_bytes: Memory that nobody holds.
        load: Busy share, 0 to 1.
        clock_hz: Clock of its processors now.
        max_clock_hz: Their highest clock.
        power_w: Electric power.
        temperature_c: Its own.
        throttled: Why it is held back, as the driver says.
        processes_bytes: Memory by process id; a process that is listed twice counts once.
        answers: By call: ``ok``, or what the library said instead.
    """

    index: int
    name: str = ""
    uuid: str = ""
    total_bytes: int | None = None
    free_bytes: int | None = None
    load: float | None = None
    clock_hz: float | None = None
    max_clock_hz: float | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    throttled: tuple[str, ...] = ()
    processes_bytes: Mapping[int, int] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NvmlReading:
    """All graphics processors that the library knows.

    Attributes:
        gpus: By their number.
        absent: Why there is nothing to be expected: no library, switched off; empty if there is one.
        trouble: What went wrong although there is a library; empty if nothing did.
        driver: The driver's version; empty if it does not tell.
    """

    gpus: tuple[NvmlGpu, ...] = ()
    absent: str = ""
    trouble: str = ""
    driver: str = ""

    @property
    def silence(self) -> str:
        """Why the library told nothing at all; empty if it told something."""
        return self.absent or self.trouble
