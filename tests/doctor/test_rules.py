"""Every check tells well from not well, and says of the latter why it matters and what mends it."""

from __future__ import annotations

from typing import Final

import pytest

from gateway.doctor.checks import CHECKS
from gateway.doctor.finding import Finding, Verdict, worst
from gateway.doctor.report import group_lines
from tests.doctor.cases import CASES, Case
from tests.doctor.cases_net import NET_CASES

ALL: Final[dict[str, tuple[list[Finding], list[Finding], Case]]] = {
    check: (list(case.fine), list(case.wrong), case) for check, case in {**CASES, **NET_CASES}.items()
}
ALWAYS_WELL: Final = {"broker.topic_alias"}  # the gateway uses none: the number is only told


def of(findings: list[Finding], check: str) -> list[Finding]:
    return [each for each in findings if each.check == check]


def test_every_check_of_the_list_has_a_case_where_it_is_well_and_one_where_it_is_not() -> None:
    assert set(ALL) | ALWAYS_WELL == set(CHECKS)


@pytest.mark.parametrize("check", ALL)
def test_a_sound_board_gets_no_complaint_from_it(check: str) -> None:
    fine = of(ALL[check][0], check)
    assert fine
    assert worst(fine) is Verdict.OK


@pytest.mark.parametrize("check", ALL)
def test_what_is_wrong_is_as_bad_as_it_should_be_and_the_line_that_mends_it_is_named(check: str) -> None:
    _, wrong, case = ALL[check]
    said = of(wrong, check)
    assert worst(said) is case.verdict
    lines = [line for each in said for line in each.mend]
    assert any(case.mend in line for line in lines) if case.mend else not lines


@pytest.mark.parametrize("check", ALL)
def test_all_that_is_not_well_says_why_it_matters_and_every_finding_is_of_a_listed_check(check: str) -> None:
    for finding in [*ALL[check][0], *ALL[check][1]]:
        assert finding.check in CHECKS
        assert finding.what
        if finding.verdict is Verdict.OK:
            assert (finding.why, finding.mend) == ("", ())
        else:
            assert finding.why
            assert not finding.why.endswith(".")
        if finding.verdict in {Verdict.WARNING, Verdict.PROBLEM}:
            assert all(finding.mend)
            assert finding.mend


@pytest.mark.parametrize("check", ALL)
def test_words_fit_a_hundred_columns_and_so_do_nearly_all_lines_to_type(check: str) -> None:
    for finding in ALL[check][1]:
        for line in group_lines("x", [finding], 100):
            typed = line.lstrip().startswith("> ")
            assert len(line) <= (140 if typed else 100), line
