"""The numbers that the scaling policy goes by, most of them out of the configuration. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.configuration.settings import ScalingSettings

_EMERGENCY_COOLDOWNS = 10
_GAP_INTERVALS = 2.5


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as short, as wanted, as long enough.

    Attributes:
        high_mark: Share of memory in use above which lanes are retired.
        samples: Samples in a row that a condition must last.
        reserve_bytes: Memory that stays free beside every lane.
        cooldown_s: Least time between two changes of one model's lanes, emergencies apart.
        idle_s: A lane above the configured number goes after so long without need.
        full_pressure: PSI full, 0 to 1, that is an emergency.
        interval_s: Time between two samples.
        emergency_cooldown_s: No lane is added for so long after an emergency.
        margin: A lane is reckoned to cost this many times what was measured.
        headroom: Share of memory by which a new lane must stay below the mark.
        calm_gap: Share of memory below the mark at which paused admission resumes.
        busy_mark: Busy share of a model's lanes from which another one is wanted.
        late_busy_mark: The same where requests are late: lanes that mostly idle are not why they are.
        spare_mark: Busy share that one lane fewer must stay below, or the lane is needed.
        old_queue_s: A request that has waited for longer is late.
        full_processors: Busy share of the processors from which another lane on them brings nothing.
    """

    high_mark: float = 0.85
    samples: int = 3
    reserve_bytes: int = 134_217_728
    cooldown_s: float = 30.0
    idle_s: float = 120.0
    full_pressure: float = 0.1
    interval_s: float = 5.0
    emergency_cooldown_s: float = 300.0
    margin: float = 1.2
    headroom: float = 0.02
    calm_gap: float = 0.05
    busy_mark: float = 0.8
    late_busy_mark: float = 0.5
    spare_mark: float = 0.6
    old_queue_s: float = 0.25
    full_processors: float = 0.95

    @property
    def gap_s(self) -> float:
        """Samples further apart than this are not in a row."""
        return _GAP_INTERVALS * self.interval_s

    @property
    def early_s(self) -> float:
        """A sample that comes sooner after the last one was hurried, and counts in no row."""
        return self.interval_s / 2

    @property
    def grow_below(self) -> float:
        """Share of memory in use that no added lane may go above."""
        return self.high_mark - self.headroom

    @property
    def resume_below(self) -> float:
        """Share of memory in use below which paused admission resumes."""
        return self.high_mark - self.calm_gap


def rules_from(settings: ScalingSettings) -> Rules:
    """Return the rules that a configuration asks for."""
    return Rules(
        high_mark=settings.high_mark,
        samples=settings.samples,
        reserve_bytes=settings.reserve_bytes,
        cooldown_s=settings.cooldown_s,
        idle_s=settings.idle_s,
        full_pressure=settings.full_pressure,
        interval_s=settings.sample_interval_s,
        emergency_cooldown_s=_EMERGENCY_COOLDOWNS * settings.cooldown_s,
    )
