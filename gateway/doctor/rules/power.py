"""What the doctor says of the power mode, clocks and heat. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.doctor.finding import Figures, Finding, note, ok, warning

_FASTEST: Final = "MAXN"


@dataclass(frozen=True, slots=True)
class Clock:
    """One clock and its bounds, in Hz."""

    name: str
    min_hz: float
    now_hz: float
    max_hz: float

    @property
    def held(self) -> bool:
        """Whether it stays at its highest, whatever the load."""
        return self.min_hz >= self.max_hz


@dataclass(frozen=True, slots=True)
class Zone:
    """One thermal zone; ``limit_c`` is where it begins to hold the board back, None if it never does."""

    name: str
    now_c: float
    limit_c: float | None


@dataclass(frozen=True, slots=True)
class PowerFacts:
    """What was read of power, clocks and heat.

    Attributes:
        jetson: Whether this is a Jetson.
        mode: Name of the power mode; empty if unknown.
        modes: Every mode that ``nvpmodel`` has, by number.
        clocks: The processors' and the GPU's.
        throttled: Why the board is held back, if it is; None if nothing here tells.
        zones: Thermal zones that are on.
    """

    jetson: bool
    mode: str
    modes: Mapping[int, str] = field(default_factory=dict)
    clocks: tuple[Clock, ...] = ()
    throttled: tuple[str, ...] | None = None
    zones: tuple[Zone, ...] = ()


def judge_power(facts: PowerFacts) -> Iterator[Finding]:
    """Yield what is to be said of power, clocks and heat."""
    if facts.jetson:
        yield _mode(facts)
        yield from _clocks(facts)
    yield _throttling(facts)
    yield from _heat(facts)


def _mode(facts: PowerFacts) -> Finding:
    check = "power.mode"
    if not facts.mode:
        return note(
            check, "the power mode is unknown", "it may cap clocks to less than half", "sudo nvpmodel -q"
        )
    best = fastest(facts.modes)
    if best is None or facts.mode.startswith(facts.modes[best]):
        return ok(check, f"power mode {facts.mode}", mode=facts.mode)
    return note(
        check,
        f"power mode {facts.mode}; {facts.modes[best]} is faster, and takes more power",
        "the mode caps clocks and switches cores off: times of models differ by more than twice",
        f"sudo nvpmodel -m {best}",
        mode=facts.mode,
    )


def fastest(modes: Mapping[int, str]) -> int | None:
    """Return the number of the mode without a cap; None if no name says so."""
    named = [number for number, name in modes.items() if name.upper().startswith(_FASTEST)]
    # MAXN_SUPER, where there is one, is above MAXN.
    return max(named, key=lambda number: (len(modes[number]), -number), default=None)


def _clocks(facts: PowerFacts) -> Iterator[Finding]:
    check = "power.clocks"
    free = [clock for clock in facts.clocks if not clock.held]
    told = ", ".join(
        f"{clock.name} {clock.now_hz / 1e6:.0f} of {clock.max_hz / 1e6:.0f} MHz" for clock in facts.clocks
    )
    figures: Figures = {clock.name: clock.now_hz for clock in facts.clocks}
    if not facts.clocks:
        return
    if free:
        yield note(
            check,
            f"clocks follow the load: {told}",
            "the first inferences after a pause are slower",
            "sudo jetson_clocks",
            **figures,
        )
    else:
        yield ok(check, f"clocks are held at their highest: {told}", **figures)


def _throttling(facts: PowerFacts) -> Finding:
    check, throttled = "power.throttling", facts.throttled
    if throttled is None:
        words = "nothing here tells whether the board is held back"
        return note(check, words, "heat and over-current go unnoticed") if facts.jetson else ok(check, words)
    if not throttled:
        return ok(check, "nothing holds the board back")
    mend = {
        "thermal": "sudo systemctl restart nvfancontrol  # the fan; else less load, or a lower mode",
        "over-current": "sudo nvpmodel -m NUMBER  # a lower mode, or a stronger supply",
    }
    lines = [line for reason, line in mend.items() if any(reason in each for each in throttled)]
    return warning(
        check,
        f"the board is held back: {', '.join(throttled)}",
        "clocks are lower than the power mode allows",
        *(lines or ["sudo tegrastats  # which clock is low"]),
    )


def _heat(facts: PowerFacts) -> Iterator[Finding]:
    check = "power.heat"
    hot = [zone for zone in facts.zones if zone.limit_c is not None and zone.now_c >= zone.limit_c]
    figures: Figures = {zone.name: zone.now_c for zone in facts.zones}
    for zone in hot:
        yield warning(
            check,
            f"{zone.name}: {zone.now_c:.0f} °C, its limit is {zone.limit_c:.0f} °C",
            "the board lowers its clocks there",
            "sudo systemctl status nvfancontrol  # the fan; also clean the heat sink",
            **figures,
        )
    if facts.zones and not hot:
        top = max(facts.zones, key=lambda zone: zone.now_c)
        yield ok(check, f"{top.name} is the hottest: {top.now_c:.0f} °C", **figures)
