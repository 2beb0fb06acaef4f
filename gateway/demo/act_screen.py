"""Draws the acts of the second half as plain lines of text. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

from gateway.demo.acts import ACTS, Act, Outcome, Played, Progress
from gateway.demo.words import printable

_DONE, _NOW, _FAILED, _LATER = "✓", "…", "✗", "·"
# Each phase with the step that ends it.
_PHASES: Final = (
    ("offered", "accepted"),
    ("fetched", "fetched"),
    ("validated", "proven"),
    ("committed", "committed"),
)
# What is under way after so many of them.
_UNDER_WAY: Final = ("rung", "fetching", "validating")
_REASON_LINES: Final = 2
_INDENT: Final = "    "
_TITLE: Final = max(len(act.title) for act in ACTS)


def act_lines(played: Sequence[Played], address: str, width: int) -> list[str]:
    """Return lines of at most ``width`` letters: a head, and up to four lines for every act.

    Args:
        played: The acts that began.
        address: Where releases come from.
        width: Columns of the terminal.
    """
    lines = ["", f"UPDATES from {address}"]
    for index, act in enumerate(ACTS):
        lines += _act(act, played[index] if index < len(played) else None, width)
    return [line[:width].rstrip() for line in lines]


def _act(act: Act, played: Played | None, width: int) -> Iterable[str]:
    title = f"  {act.release} {act.title.ljust(_TITLE)}  "
    if played is None:
        yield title + _LATER
        return
    progress = played.progress
    yield title + phases(progress)
    reason = textwrap.wrap(printable(progress.reason), max(1, width - len(_INDENT)))
    yield from (_INDENT + line for line in reason[:_REASON_LINES])
    frames = played.frames
    if frames.sent:
        yield (
            f"{_INDENT}{frames.sent} sent: {frames.results} answered, {frames.superseded} superseded, "
            f"{frames.failed} failed, {frames.lost} lost; longest gap {played.longest_gap_s * 1e3:.0f} ms"
        )


def phases(progress: Progress) -> str:
    """Return the phases that were passed, and what is under way or how it ended."""
    words = []
    for name, step in _PHASES:
        if not progress.passed(step):
            break
        words.append(f"{name} {_DONE}")
    if progress.outcome is Outcome.UNFINISHED:
        words.append(f"{_under_way(progress, len(words))} {_NOW}")
    elif progress.outcome is not Outcome.COMMITTED:
        words.append(f"{progress.outcome.value} {_FAILED}")
        words += ["quarantined"] if progress.passed("quarantined") else []
    return " ".join(words)


def _under_way(progress: Progress, passed: int) -> str:
    if passed < len(_UNDER_WAY):
        return _UNDER_WAY[passed]
    return "baking" if progress.passed("serving") else "switching"
