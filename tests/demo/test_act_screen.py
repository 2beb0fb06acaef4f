"""The acts as lines of text."""

from __future__ import annotations

from gateway.demo.act_screen import act_lines, phases
from gateway.demo.acts import ACTS, BETTER, MIXED_UP, SLOW, Played
from tests.demo.test_acts import STEPS, WELL, told


def test_the_phases_tick_through() -> None:
    assert phases(told(BETTER)) == "rung …"
    assert phases(told(BETTER, "accepted")) == "offered ✓ fetching …"
    assert phases(told(BETTER, *STEPS)) == "offered ✓ fetched ✓ validating …"
    switching = (*STEPS, "proven", "switching")
    assert phases(told(BETTER, *switching)).endswith("validated ✓ switching …")
    assert phases(told(BETTER, *switching, "serving")).endswith("validated ✓ baking …")
    assert phases(told(BETTER, *switching, "serving", "committed")).endswith("validated ✓ committed ✓")


def test_a_bad_release_is_told_with_where_it_ended() -> None:
    refused = told(MIXED_UP, *STEPS, "rejected", "quarantined")
    assert phases(refused) == "offered ✓ fetched ✓ refused ✗ quarantined"
    back = told(SLOW, *STEPS, "proven", "switching", "serving", "rolled_back")
    assert phases(back).endswith("validated ✓ rolled back ✗")


def test_all_of_the_phases_fit_a_plain_terminal() -> None:
    steps = (*STEPS, "proven", "switching", "serving", "rolled_back", "quarantined")
    (line,) = [line for line in act_lines([Played(told(SLOW, *steps))] * 4, "", 80) if line.startswith("  4")]
    assert line.endswith("✗ quarantined")


def test_every_act_has_a_line_and_those_that_began_say_more() -> None:
    refused = told(MIXED_UP, *STEPS, "rejected", "quarantined", reason="golden: \x1b[31mtabby")
    played = [Played(told(BETTER, "committed"), WELL, 0.1234), Played(refused)]
    lines = act_lines(played, "http://here", 100)
    text = "\n".join(lines)
    assert "UPDATES from http://here" in text
    assert "50 sent: 48 answered, 2 superseded, 0 failed, 0 lost; longest gap 123 ms" in text
    assert "golden: [31mtabby" in text
    assert all(act.title in text for act in ACTS)
    assert lines[-1].endswith("·")


def test_no_line_is_wider_than_the_terminal() -> None:
    refused = told(MIXED_UP, "rejected", reason="golden " * 50)
    assert max(map(len, act_lines([Played(told(BETTER)), Played(refused)], "http://here", 40))) <= 40
