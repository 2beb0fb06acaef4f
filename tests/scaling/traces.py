"""Boards, models, demand and other programs for the soak: made up from a seed, the same for the same seed."""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20
Curve = Callable[[float], float]

# Share of the memory that one leap of another program may take: less than lies above the mark, or no policy
# that looks every few seconds could help.
_MOST_LEAP: Final = 0.10
# Share that other programs and one lane of each model take at most: beyond it the board is too small.
_MOST_NEEDED: Final = 0.90


@dataclass(frozen=True, slots=True)
class SoakModel:
    """One model of a trace.

    Attributes:
        name: Its name.
        priority: Of its streams.
        first_bytes: What its first lane takes, weights and context included.
        lane_bytes: What each further lane really takes.
        measured_bytes: What a lane was measured to take before any was added; None for not measured yet.
        run_s: Time of one row on one lane.
        start_s: Time until another lane is ready.
        on_processors: Whether it runs on the processors.
        max_lanes: Lanes at most.
        rate: Rows a second over time.
    """

    name: str
    priority: int
    first_bytes: int
    lane_bytes: int
    measured_bytes: int | None
    run_s: float
    start_s: float
    on_processors: bool
    max_lanes: int
    rate: Curve


@dataclass(frozen=True, slots=True)
class Trace:
    """What happens on one board.

    Attributes:
        name: Board, models and seed.
        total_bytes: Memory of the board.
        processors: How many.
        seconds: How long.
        models: What serves.
        others_bytes: Memory of everything else over time.
        others_busy: Processors that everything else keeps busy over time.
        cache_share: Share of the memory that files would fill if they could.
        missed: Numbers of the samples that are never taken.
    """

    name: str
    total_bytes: int
    processors: int
    seconds: int
    models: tuple[SoakModel, ...]
    others_bytes: Curve
    others_busy: Curve
    cache_share: float
    missed: frozenset[int]


@dataclass(frozen=True, slots=True)
class Board:
    """What a kind of board has, and what models on it take."""

    name: str
    total_mib: int
    processors: int
    system_mib: int
    first_mib: tuple[int, int]
    lane_mib: tuple[int, int]
    gpu_share: float


BOARDS: Final = (
    Board("nano-4gb", 3956, 4, 1100, (60, 210), (40, 320), 0.25),
    Board("orin-nano-8gb", 7620, 6, 1700, (120, 460), (100, 700), 0.5),
    Board("agx-64gb", 62_800, 12, 8000, (800, 4500), (500, 6000), 0.7),
)


def trace(board: Board, models: int, seed: int, hours: float) -> Trace:
    """Make up what happens on a board with some models."""
    chance = random.Random(f"{board.name}/{models}/{seed}")
    seconds = int(hours * 3600)
    serving = tuple(_model(board, number, chance, seconds) for number in range(models))
    needed = sum(model.first_bytes for model in serving)
    most_others = max(board.system_mib * MIB, int(board.total_mib * MIB * _MOST_NEEDED) - needed)
    samples = seconds // 5
    return Trace(
        name=f"{board.name}-{models}-models-seed-{seed}",
        total_bytes=board.total_mib * MIB,
        processors=board.processors,
        seconds=seconds,
        models=serving,
        others_bytes=_others(board, chance, seconds, most_others),
        others_busy=_waves(chance, seconds, 0.1, 0.25 * board.processors),
        cache_share=chance.uniform(0.2, 0.6),
        missed=frozenset(
            number + more
            for number in chance.sample(range(samples), samples // 200)
            for more in range(chance.randint(1, 6))
        ),
    )


def _model(board: Board, number: int, chance: random.Random, seconds: int) -> SoakModel:
    lane = chance.uniform(*board.lane_mib) * MIB
    run_s = chance.uniform(0.02, 0.12)
    on_processors = chance.random() >= board.gpu_share
    most = board.processors if on_processors else 8
    # Between what one lane can easily do and more than all lanes can.
    rate = _waves(chance, seconds, 0.1 / run_s, chance.uniform(0.5, 0.8 * most) / run_s)
    return SoakModel(
        name=f"model-{number}",
        priority=chance.choice((0, 0, 5, 10)),
        first_bytes=int(chance.uniform(*board.first_mib) * MIB),
        lane_bytes=int(lane),
        measured_bytes=None if chance.random() < 0.25 else int(lane * chance.uniform(0.7, 1.3)),
        run_s=run_s,
        start_s=chance.choice((0.1, 1.0, 3.0, 20.0)),
        on_processors=on_processors,
        max_lanes=most,
        rate=rate,
    )


def _waves(chance: random.Random, seconds: int, low: float, high: float) -> Curve:
    """Return slow waves with rushes on top, between two levels."""
    period_s = chance.uniform(1200, 14_400)
    phase = chance.uniform(0, math.tau)
    rushes = _spells(chance, seconds, (300, 3000), (20, 600))

    def level(at_s: float) -> float:
        wave = 0.5 + 0.5 * math.sin(math.tau * at_s / period_s + phase)
        share = 0.35 * wave + 0.15 * (0.5 + 0.5 * math.sin(at_s / 37.0 + phase))
        return low + (high - low) * min(1.0, share + 0.5 * _within(rushes, at_s))

    return level


def _others(board: Board, chance: random.Random, seconds: int, most_bytes: int) -> Curve:
    """Return the memory of everything else: leaps up and down, slow ramps, a leak that ends in a restart."""
    total = board.total_mib * MIB
    leaps = _spells(chance, seconds, (200, 2400), (30, 900))
    leap = chance.uniform(0.04, _MOST_LEAP) * total
    ramps = _spells(chance, seconds, (900, 5000), (300, 2400))
    ramp = chance.uniform(0.1, 0.3) * total
    rise_s = ramp / (total * chance.uniform(0.001, 0.005))
    leak_s, leaked = chance.uniform(3000, 9000), chance.uniform(0.02, 0.08) * total

    def taken(at_s: float) -> float:
        taken = board.system_mib * MIB + leaked * (at_s % leak_s) / leak_s
        taken += leap * _within(leaps, at_s)
        index = bisect.bisect_right(ramps, (at_s, math.inf)) - 1
        if index >= 0 and at_s < ramps[index][1]:
            taken += ramp * min(1.0, (at_s - ramps[index][0]) / rise_s)
        return min(taken, most_bytes)

    return taken


def _spells(
    chance: random.Random, seconds: int, pause_s: tuple[float, float], lasts_s: tuple[float, float]
) -> list[tuple[float, float]]:
    spells: list[tuple[float, float]] = []
    at_s = chance.uniform(*pause_s)
    while at_s < seconds:
        ends_s = at_s + chance.uniform(*lasts_s)
        spells.append((at_s, ends_s))
        at_s = ends_s + chance.uniform(*pause_s)
    return spells


def _within(spells: Sequence[tuple[float, float]], at_s: float) -> bool:
    index = bisect.bisect_right(spells, (at_s, math.inf)) - 1
    return index >= 0 and at_s < spells[index][1]
