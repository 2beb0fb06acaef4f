"""How an act is followed: by the board's events and its report, to the end that it should have."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.demo.acts import ACTS, BETTER, DEADLY, MIXED_UP, SLOW, Act, Outcome, Played, Progress
from gateway.demo.frame_count import FrameCount
from gateway.updates.reported import Active, Reported, ReportedModel

MODEL = "classifier"
WELL = FrameCount(sent=50, frames=50, results=48, superseded=2)
STEPS = ("accepted", "fetched", "validating")


def act(release: int) -> Act:
    """Return the act of a release."""
    return next(found for found in ACTS if found.release == release)


def told(release: int, *steps: str, reason: str = "") -> Progress:
    """Return how far an act is after these steps."""
    progress = Progress(act(release))
    for at_s, step in enumerate(steps):
        event = {"model": MODEL, "release": release, "step": step, "reason": reason}
        progress.take(event, MODEL, float(at_s))
    return progress


def report(
    active: int, *, phase: str = "idle", quarantined: tuple[int, ...] = (), answering: bool = True
) -> Any:
    """Return what a board reports."""
    held = ReportedModel(phase, Active(active, answering=answering), quarantined=quarantined)
    return Reported("demo", models={MODEL: held})


def test_a_release_that_is_committed_ends_its_act_as_it_should() -> None:
    progress = told(BETTER, *STEPS, "proven", "switching", "serving", "committed")
    assert progress.outcome is Outcome.COMMITTED
    assert progress.as_expected
    assert [seen.at_s for seen in progress.steps] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


@pytest.mark.parametrize(
    ("release", "end", "reason"),
    [
        (MIXED_UP, "rejected", "golden: expected tabby"),
        (DEADLY, "rejected", "load: ended by SIGSEGV"),
        (SLOW, "rolled_back", "a run takes 90.00 ms at p50"),
    ],
)
def test_a_bad_release_ends_as_it_should_once_it_is_put_away_for_the_right_reason(
    release: int, end: str, reason: str
) -> None:
    assert told(release, *STEPS, end, "quarantined", reason=reason).as_expected
    assert not told(release, *STEPS, end, reason=reason).as_expected
    assert not told(release, *STEPS, end, "quarantined", reason="something else").as_expected
    assert not told(release, *STEPS, "serving", "committed").as_expected


def test_a_release_that_is_hindered_goes_on_and_says_why() -> None:
    progress = told(BETTER, "accepted", "hindered", reason="no network")
    assert (progress.outcome, progress.reason) == (Outcome.UNFINISHED, "no network")


def test_what_is_told_of_others_or_after_the_end_is_passed_over() -> None:
    progress = told(MIXED_UP, "rejected", "quarantined", reason="golden")
    for event in (
        {"model": MODEL, "release": MIXED_UP, "step": "refused", "reason": "in quarantine"},
        {"model": "other", "release": MIXED_UP, "step": "committed"},
        {"model": MODEL, "release": BETTER, "step": "committed"},
        {"model": MODEL, "release": MIXED_UP, "step": 7},
        {},
    ):
        progress.take(event, MODEL, 9.0)
    assert (progress.outcome, progress.reason, len(progress.steps)) == (Outcome.REFUSED, "golden", 2)


def test_an_act_is_settled_when_the_report_agrees_with_the_events() -> None:
    good = told(BETTER, "committed")
    assert good.is_settled(report(BETTER), MODEL)
    assert not good.is_settled(report(0), MODEL)
    assert not good.is_settled(report(BETTER, answering=False), MODEL)
    assert not good.is_settled(report(BETTER, phase="baking"), MODEL)
    assert not good.is_settled(report(BETTER), "other")
    bad = told(SLOW, "rolled_back")
    assert bad.is_settled(report(BETTER, quarantined=(SLOW,)), MODEL)
    assert not bad.is_settled(report(BETTER), MODEL)
    assert not bad.is_settled(report(SLOW, quarantined=(SLOW,)), MODEL)
    assert not told(SLOW, "serving").is_settled(report(SLOW), MODEL)


def test_an_act_is_well_only_if_no_frame_was_lost_or_failed_and_the_right_release_answers() -> None:
    progress = told(BETTER, "committed")
    assert Played(progress, WELL, serves="1.1.0", settled=True).ok
    assert not Played(progress, WELL, serves="1.1.0").ok
    assert not Played(progress, WELL, serves="1.0.0", settled=True).ok
    assert not Played(told(BETTER, "serving"), WELL, serves="1.1.0", settled=True).ok
    for harmed in (
        FrameCount(sent=50, frames=50, results=49),
        FrameCount(sent=50, frames=50, results=49, failed=1),
        FrameCount(),
    ):
        assert not Played(progress, harmed, serves="1.1.0", settled=True).ok
