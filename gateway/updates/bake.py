"""Watches a release that serves: counts what it does, and judges it against the release before. Pure.

A window keeps the last ``RECENT`` requests exactly, and crashes and answers by class since it began.

Rules (each a property in ``tests/updates/test_bake.py``):

1. A release that does as the one before is not sent back, however few or many requests came and however
   often it is judged: a share counts as exceeded only far beyond what chance does.
2. One failed request, one slow run or one dead worker proves nothing. Numbers that are not finite need no
   second proof, unless the release before gave them as well.
3. A release that is clearly worse fails as soon as ``LEAST_REQUESTS`` failures or ``LEAST_SAMPLES`` times
   show it.
4. No release passes before its time and its requests are reached, or the longest time is.
5. What a release says, class by class, only raises an alarm: the world may have changed.
6. That requests run together is no slowness: a run is held against runs of as many rows. Where there were
   none, more rows take no less time than fewer, and twice as many at most twice as long.
"""

from __future__ import annotations

import enum
import math
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.configuration.settings import BakeSettings
from gateway.frames.prepared import JsonValue

RECENT: Final = 4096
LEAST_REQUESTS: Final = 20
LEAST_SAMPLES: Final = 50
SLOW_FACTOR: Final = 2.0
NOISE_MS: Final = 0.5
DRIFT: Final = 0.25
_MOST_CLASSES: Final = 64
_OTHERS: Final = "(others)"
_TAIL: Final = 0.01
# Standard deviations that a count must lie above what is expected.
_DOUBT: Final = 4.0
# The same for what is taken for the quantile of before: a lucky window must not bind the next release.
_DOUBT_BEFORE: Final = 2.0
_FAILED_MS: Final = -1.0


@dataclass(frozen=True, slots=True)
class Summary:
    """What a version did.

    Attributes:
        times_ms: Time of each recent run of the model by the rows that ran together, rising.
        failed: Recent requests that the version failed.
        not_finite: Requests since the window began that failed with NaN or infinity.
        crashes: Workers since the window began that ended unasked.
        requests: Requests since the window began, answered or failed.
        classes: What was said how often since the window began.
    """

    times_ms: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    failed: int = 0
    not_finite: int = 0
    crashes: int = 0
    requests: int = 0
    classes: Mapping[str, int] = field(default_factory=dict)

    @property
    def answered(self) -> int:
        """Recent requests that were answered."""
        return sum(map(len, self.times_ms.values()))

    @property
    def recent(self) -> int:
        """Recent requests, answered or failed."""
        return self.answered + self.failed

    @property
    def error_rate(self) -> float:
        """Share of recent requests that failed."""
        return self.failed / self.recent if self.recent else 0.0

    def at_ms(self, fraction: float, rows: int = 1) -> float:
        """Return the quantile at ``fraction`` of the times of so many rows; 0 if there are none."""
        times_ms = self.times_ms.get(rows)
        return times_ms[max(0, math.ceil(fraction * len(times_ms)) - 1)] if times_ms else 0.0


class BakeWindow:
    """Counts what one version does while it serves. Memory is fixed; counting takes microseconds."""

    __slots__ = ("_at", "_classes", "_crashes", "_not_finite", "_recent", "_requests", "_rows")

    def __init__(self) -> None:
        self._recent = array("f")
        self._rows = array("I")
        self._at = 0
        self._requests = 0
        self._not_finite = 0
        self._crashes = 0
        self._classes: Counter[str] = Counter()

    def answered(self, infer_ms: float, prediction: Mapping[str, JsonValue] | None, rows: int = 1) -> None:
        """Count an answer.

        Args:
            infer_ms: Time of the model's run; not of waiting, which is the load's doing.
            prediction: What was said; None for nothing yet.
            rows: Rows that ran together.
        """
        self._keep(max(0.0, infer_ms), max(1, rows))
        for name in classes_of(prediction):
            known = name in self._classes or len(self._classes) < _MOST_CLASSES
            self._classes[name if known else _OTHERS] += 1

    def failed(self, *, not_finite: bool = False) -> None:
        """Count a request that the model or its worker failed; not one that was refused, late or given up."""
        self._keep(_FAILED_MS)
        self._not_finite += not_finite

    def crashed(self) -> None:
        """Count a worker that ended unasked."""
        self._crashes += 1

    @property
    def requests(self) -> int:
        """Requests so far, answered or failed."""
        return self._requests

    def summary(self) -> Summary:
        """Return what was counted."""
        times_ms: dict[int, list[float]] = {}
        for time_ms, rows in zip(self._recent, self._rows, strict=True):
            if time_ms >= 0:
                times_ms.setdefault(rows, []).append(time_ms)
        return Summary(
            times_ms={rows: tuple(sorted(times)) for rows, times in sorted(times_ms.items())},
            failed=sum(time_ms < 0 for time_ms in self._recent),
            not_finite=self._not_finite,
            crashes=self._crashes,
            requests=self._requests,
            classes=dict(self._classes),
        )

    def _keep(self, time_ms: float, rows: int = 1) -> None:
        self._requests += 1
        if len(self._recent) < RECENT:
            self._recent.append(time_ms)
            self._rows.append(rows)
            return
        self._recent[self._at], self._rows[self._at] = time_ms, rows
        self._at = (self._at + 1) % RECENT


@dataclass(frozen=True, slots=True)
class Gates:
    """What a release must keep to.

    Attributes:
        seconds: Watched service that is needed.
        requests: Answered requests that are needed as well.
        max_seconds: Watched service that is enough, however few requests came.
        error_rate: Share of failed requests that is always allowed.
        error_factor: How many times as frequent as before failures may be.
        p99_factor: How many times as long as before a run may take at p99.
        p99_budget_ms: Longest run at p99 that the release itself declares; 0 for no bound.
    """

    seconds: float
    requests: int
    max_seconds: float
    error_rate: float = 0.01
    error_factor: float = 2.0
    p99_factor: float = 1.25
    p99_budget_ms: float = 0.0


def gates(settings: BakeSettings, bake_s: float | None, p99_budget_ms: float) -> Gates:
    """Return the gates for one release.

    Args:
        settings: The board's own.
        bake_s: Length of the bake as assigned; None for the board's own.
        p99_budget_ms: What the release declares; 0 for no bound.
    """
    seconds = settings.seconds if bake_s is None else bake_s
    return Gates(
        seconds=seconds,
        requests=settings.requests,
        max_seconds=max(settings.max_seconds, seconds),
        error_rate=settings.error_rate,
        error_factor=settings.error_factor,
        p99_factor=settings.p99_factor,
        p99_budget_ms=p99_budget_ms,
    )


class Verdict(enum.Enum):
    """What is to be done with a release in its bake."""

    WATCH = "watch"
    PASSED = "passed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reasons.

    Attributes:
        verdict: What to do.
        reason: Why it failed, with numbers; empty otherwise.
        alarm: What is odd but sends nobody back; empty if nothing is.
    """

    verdict: Verdict
    reason: str = ""
    alarm: str = ""


def judge(
    before: Summary | None, now: Summary, limits: Gates, baked_s: float, baked_requests: int
) -> Judgement:
    """Judge a release.

    Args:
        before: What the release before did in its own window; None if that is not known (a restart).
        now: What this one did since the process serves it.
        limits: What it must keep to.
        baked_s: Seconds of watched service, those before a restart included.
        baked_requests: Requests in that time.
    """
    base = before if before is not None else Summary()
    for complaint in (_crashes, _not_finite, _errors, _slow, _budget):
        reason = complaint(base, now, limits)
        if reason:
            return Judgement(Verdict.FAILED, reason)
    alarm = _drift(base.classes, now.classes)
    enough = baked_s >= limits.seconds and baked_requests >= limits.requests
    if enough or baked_s >= limits.max_seconds:
        return Judgement(Verdict.PASSED, alarm=alarm)
    return Judgement(Verdict.WATCH, alarm=alarm)


def significantly_more(count: int, of: int, share: float) -> bool:
    """Tell whether ``count`` among ``of`` shows that more than ``share`` are so; one alone never does."""
    share = min(1.0, max(0.0, share))
    expected = of * share
    return count > expected + _DOUBT * math.sqrt(expected * (1 - share)) + 1


def classes_of(prediction: Mapping[str, JsonValue] | None) -> tuple[str, ...]:
    """Return the classes that a prediction names; none where it says numbers only."""
    match prediction:
        case {"kind": "classification", "classes": [first, *_]}:
            return (_label(first),)
        case {"kind": "detection", "objects": list(objects)}:
            return tuple(_label(found) for found in objects) or ("nothing",)
        case {"kind": "voice", "speech": bool(flag)} | {"kind": "anomaly", "anomaly": bool(flag)}:
            return (str(flag),)
    return ()


def _label(found: JsonValue) -> str:
    return str(found.get("label", ""))[:64] if isinstance(found, dict) else ""


def _crashes(base: Summary, now: Summary, limits: Gates) -> str:
    # One may have been ended by hand or by the kernel; two say that it is the release.
    expected = base.crashes / base.requests * now.requests * limits.error_factor if base.requests else 0.0
    if now.crashes <= max(1.0, expected):
        return ""
    was = f"before, {base.crashes} within {base.requests}"
    return f"{now.crashes} workers died within {now.requests} requests; {was}"


def _not_finite(base: Summary, now: Summary, limits: Gates) -> str:
    expected = base.not_finite / base.requests * now.requests * limits.error_factor if base.requests else 0.0
    if now.not_finite == 0 or (base.not_finite and now.not_finite <= 1 + expected + _DOUBT * expected**0.5):
        return ""
    was = f"before, {base.not_finite} of {base.requests}"
    return f"{now.not_finite} of {now.requests} answers held NaN or infinity; {was}"


def _errors(base: Summary, now: Summary, limits: Gates) -> str:
    allowed = max(limits.error_rate, limits.error_factor * base.error_rate)
    if now.recent < LEAST_REQUESTS or not significantly_more(now.failed, now.recent, allowed):
        return ""
    return (
        f"{now.failed} of {now.recent} requests failed ({now.error_rate:.1%}); before, {base.error_rate:.1%} "
        f"did, and {allowed:.1%} are allowed"
    )


def _slow(base: Summary, now: Summary, limits: Gates) -> str:
    for rows, times_ms in now.times_ms.items():
        if len(times_ms) < LEAST_SAMPLES:
            continue
        for fraction, factor in ((0.5, max(SLOW_FACTOR, limits.p99_factor)), (0.99, limits.p99_factor)):
            was_ms = _was_ms(base, rows, fraction)
            if was_ms is None:
                break
            limit_ms = max(was_ms * factor, was_ms + NOISE_MS)
            over = sum(time_ms > limit_ms for time_ms in times_ms)
            if significantly_more(over, len(times_ms), 1 - fraction):
                return (
                    f"a run{_of(rows)} takes {now.at_ms(fraction, rows):.2f} ms at p{fraction * 100:.0f}; "
                    f"before, {was_ms:.2f} ms, and {limit_ms:.2f} ms are allowed"
                )
    return ""


def _was_ms(base: Summary, rows: int, fraction: float) -> float | None:
    """Return what a run of so many rows took at a quantile, or at most, for all that is known of others."""
    known = {
        count: base.at_ms(_cautious(fraction, len(times_ms)), count)
        for count, times_ms in base.times_ms.items()
        if len(times_ms) >= LEAST_SAMPLES
    }
    if rows in known:
        return known[rows]
    return min((was_ms * max(1.0, rows / count) for count, was_ms in known.items()), default=None)


def _of(rows: int) -> str:
    return f" of {rows} rows" if rows > 1 else ""


def _cautious(fraction: float, samples: int) -> float:
    """Return where the quantile of a window hardly ever lies below the true one at ``fraction``."""
    return min(1.0, fraction + _DOUBT_BEFORE * math.sqrt(fraction * (1 - fraction) / samples))


def _budget(_base: Summary, now: Summary, limits: Gates) -> str:
    budget_ms = limits.p99_budget_ms
    if not budget_ms or now.answered < LEAST_SAMPLES:
        return ""
    # It was declared of one row at a time: rows that run together may take as long as one after another.
    by_row_ms = sorted(time_ms / rows for rows, times_ms in now.times_ms.items() for time_ms in times_ms)
    if not significantly_more(sum(time_ms > budget_ms for time_ms in by_row_ms), now.answered, _TAIL):
        return ""
    p99_ms = by_row_ms[math.ceil(0.99 * now.answered) - 1]
    return f"a run takes {p99_ms:.2f} ms a row at p99; its budget is {budget_ms:.2f} ms"


def _drift(before: Mapping[str, int], now: Mapping[str, int]) -> str:
    """Return how far two histograms lie apart (population stability index), if it is remarkable."""
    first, second = sum(before.values()), sum(now.values())
    if min(first, second) < LEAST_SAMPLES:
        return ""
    names = sorted({*before, *now})
    index = 0.0
    for name in names:
        # Half an answer each, so that a class that was never named does not divide by nothing.
        old = (before.get(name, 0) + 0.5) / (first + 0.5 * len(names))
        new = (now.get(name, 0) + 0.5) / (second + 0.5 * len(names))
        index += (new - old) * math.log(new / old)
    # Chance alone makes an index of about this mean.
    by_chance = (len(names) - 1) * (1 / first + 1 / second)
    if index <= DRIFT + 2 * by_chance:
        return ""
    name = max(names, key=lambda one: abs(now.get(one, 0) / second - before.get(one, 0) / first))
    return (
        f"answers differ from before (index {index:.2f}): {name} is {now.get(name, 0) / second:.0%} of them, "
        f"was {before.get(name, 0) / first:.0%}"
    )
