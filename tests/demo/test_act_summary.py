"""The acts in the JSON summary."""

from __future__ import annotations

import json

from gateway.demo.act_summary import act_summaries
from gateway.demo.acts import ACTS, BETTER, Played
from tests.demo.test_acts import WELL, told


def test_an_act_is_told_with_its_steps_and_frames() -> None:
    played = Played(told(BETTER, "accepted", "committed"), WELL, 0.25, "1.1.0", (7, 8), settled=True)
    first = act_summaries([played])[0]
    assert first == {
        "release": BETTER,
        "title": "friendlier names",
        "expected": "committed",
        "outcome": "committed",
        "ok": True,
        "reason": "",
        "steps": [{"step": "accepted", "at_s": 0.0}, {"step": "committed", "at_s": 1.0}],
        "serves": "1.1.0",
        "workers": [7, 8],
        "frames": {"sent": 50, "results": 48, "superseded": 2, "failed": 0, "lost": 0},
        "longest_gap_ms": 250.0,
    }
    assert json.loads(json.dumps(first)) == first


def test_an_act_that_never_began_is_unfinished_and_not_well() -> None:
    told_acts = act_summaries([])
    assert [(found["outcome"], found["ok"]) for found in told_acts] == [("unfinished", False)] * len(ACTS)
