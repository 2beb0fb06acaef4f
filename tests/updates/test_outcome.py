"""What a report says of one release, and how boards are counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.updates.assignment import Assignment, Wish
from gateway.updates.outcome import Counts, Standing, count, meant, seen
from gateway.updates.reported import Active, Candidate, LastError, Reported, ReportedModel
from tests.updates.strategies import REPORTS

SERVES = Active(3, answering=True)


def board(model: ReportedModel, device: str = "cam-1", group: str = "yard") -> Reported:
    return Reported(device, group, models={"door": model})


@pytest.mark.parametrize(
    ("model", "standing"),
    [
        (ReportedModel("idle", SERVES), Standing.NOT_BEGUN),
        (ReportedModel("fetching", SERVES, candidate=Candidate(4, "fetching", 30.0)), Standing.COMING),
        (ReportedModel("ready", SERVES, candidate=Candidate(4, "ready")), Standing.COMING),
        (ReportedModel("baking", Active(4, answering=True), candidate=Candidate(4)), Standing.BAKING),
        (ReportedModel("idle", Active(4, answering=True)), Standing.COMMITTED),
        # A newer one is on its way already: this one was committed.
        (ReportedModel("fetching", Active(4, answering=True), candidate=Candidate(5)), Standing.COMMITTED),
        # Success is what answers, not what was switched to.
        (ReportedModel("idle", Active(4, answering=False)), Standing.BAKING),
        (ReportedModel("idle", SERVES, quarantined=(4,)), Standing.FAILED),
        (ReportedModel("idle", SERVES, last_error=LastError("update.downgrade", release=4)), Standing.FAILED),
        (ReportedModel("idle", SERVES, last_error=LastError("update.fetch", release=4)), Standing.COMING),
        # What befell another release says nothing of this one.
        (ReportedModel("idle", SERVES, last_error=LastError("update.bake", release=2)), Standing.NOT_BEGUN),
        (ReportedModel("idle", SERVES, quarantined=(2,)), Standing.NOT_BEGUN),
        # Tried again: the last failure is not the last word.
        (
            ReportedModel(
                "fetching",
                SERVES,
                candidate=Candidate(4, attempt=2),
                last_error=LastError("update.x", release=4),
            ),
            Standing.COMING,
        ),
    ],
)
def test_a_report_says_how_far_a_release_is(model: ReportedModel, standing: Standing) -> None:
    assert seen(board(model), "door", 4).standing is standing


@given(REPORTS, st.integers(0, 10))
def test_every_report_has_an_answer_for_every_release(report: Reported, release: int) -> None:
    for model in (*report.models, "none"):
        assert isinstance(seen(report, model, release).standing, Standing)


def test_the_reason_of_a_failure_is_told() -> None:
    error = LastError("update.validation", "golden", "top: expected espresso", 4)
    told = seen(board(ReportedModel("idle", SERVES, last_error=error, quarantined=(4,))), "door", 4)
    assert told.words == "update.validation golden: top: expected espresso"


def test_boards_of_other_groups_and_without_the_model_are_not_meant() -> None:
    boards = [
        board(ReportedModel(), "b"),
        board(ReportedModel(), "a"),
        board(ReportedModel(), "c", "house"),
        Reported("d", "yard"),
    ]
    assignment = Assignment("yard", 1, {"door": Wish(4)})
    assert [each.device for each in meant(assignment, "door", boards, 0)] == ["a", "b"]
    paused = replace(assignment, models={"door": Wish(4, paused=True)})
    assert meant(paused, "door", boards, 0) == ()
    assert meant(assignment, "other", boards, 0) == ()


def test_a_board_counts_as_committed_only_with_every_release_of_a_set() -> None:
    done, failed = ReportedModel("idle", Active(4, answering=True)), ReportedModel("idle", quarantined=(9,))
    boards = [
        Reported("a", models={"door": done, "face": replace(done, active=Active(9, answering=True))}),
        Reported("b", models={"door": done, "face": failed}),
        Reported("c", models={"door": done, "face": ReportedModel()}),
    ]
    assert count(boards, {"door": 4, "face": 9}) == Counts(selected=3, committed=1, failed=1)
