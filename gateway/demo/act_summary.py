"""Puts the acts of the second half into the JSON summary. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.demo.acts import ACTS, Act, Played, Progress


def act_summaries(played: Sequence[Played]) -> list[dict[str, Any]]:
    """Return one object for every act; those that never began are unfinished."""
    return [
        _summary(act, played[index] if index < len(played) else Played(Progress(act)))
        for index, act in enumerate(ACTS)
    ]


def _summary(act: Act, played: Played) -> dict[str, Any]:
    progress, frames = played.progress, played.frames
    return {
        "release": act.release,
        "title": act.title,
        "expected": act.expected.value,
        "outcome": progress.outcome.value,
        "ok": played.ok,
        "reason": progress.reason,
        "steps": [{"step": seen.step, "at_s": round(seen.at_s, 3)} for seen in progress.steps],
        "serves": played.serves,
        "workers": list(played.workers),
        "frames": {
            "sent": frames.sent,
            "results": frames.results,
            "superseded": frames.superseded,
            "failed": frames.failed,
            "lost": frames.lost,
        },
        "longest_gap_ms": round(played.longest_gap_s * 1e3, 1),
    }
