"""A group that hangs or fails costs itself and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from gateway.doctor.examination import Examine, examine_groups, examined
from gateway.doctor.finding import Finding, Verdict, ok


def sound() -> Iterator[Finding]:
    yield ok("board.kernel", "Linux")


def broken() -> Iterator[Finding]:
    yield ok("store.space", "plenty")
    raise ValueError("a file that nobody expected")


def test_a_group_that_hangs_is_a_problem_and_the_next_one_has_its_turn() -> None:
    release = threading.Event()

    def hanging() -> Iterator[Finding]:
        yield ok("gpu.devices", "there")
        release.wait()

    plan: list[tuple[str, Examine, float]] = [("gpu", hanging, 0.05), ("board", sound, 10.0)]
    try:
        (_, first), (_, second) = examine_groups(plan, frozenset())
    finally:
        release.set()
    assert (first[-1].check, first[-1].verdict) == ("gpu.unfinished", Verdict.PROBLEM)
    assert "0.05 s" in first[-1].what
    assert first[-1].mend[0].startswith("gateway doctor --only gpu")
    assert [each.what for each in second] == ["Linux"]


def test_a_group_that_fails_keeps_what_it_found_before() -> None:
    found = examined("store", broken, 10.0)
    assert [each.check for each in found] == ["store.space", "store.unfinished"]
    assert "ValueError: a file that nobody expected" in found[-1].what


def test_only_the_groups_that_were_asked_for_are_examined() -> None:
    plan: list[tuple[str, Examine, float]] = [("store", broken, 10.0), ("board", sound, 10.0)]
    assert [group for group, _ in examine_groups(plan, frozenset({"board"}))] == ["board"]
