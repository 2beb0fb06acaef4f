"""The report in lines and as a document, for findings of any kind."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.doctor.checks import CHECKS, GROUPS, group_of, meanings
from gateway.doctor.finding import Finding, Verdict, counts, note, ok, problem, warning, worst
from gateway.doctor.report import document, group_lines, summary_line

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "docs/schemas/doctor.schema.json").read_text(encoding="utf-8")
)
CHECKER = jsonschema.Draft202012Validator(SCHEMA)
WORDS = st.text(min_size=1, max_size=200)
FINDINGS = st.lists(
    st.one_of(
        st.builds(ok, st.sampled_from(sorted(CHECKS)), WORDS),
        st.builds(note, st.sampled_from(sorted(CHECKS)), WORDS, WORDS),
        st.builds(warning, st.sampled_from(sorted(CHECKS)), WORDS, WORDS, WORDS),
        st.builds(problem, st.sampled_from(sorted(CHECKS)), WORDS, WORDS, WORDS, WORDS),
    ),
    max_size=12,
)
ABOUT = {"version": "0.1.0", "config": "/etc/gateway/gateway.yaml"}


@given(FINDINGS)
def test_the_document_has_the_form_that_the_schema_says(findings: list[Finding]) -> None:
    told = json.loads(json.dumps(document(findings, ABOUT)))
    CHECKER.validate(told)
    assert len(told["findings"]) == len(findings) == sum(told["counts"].values())


def test_the_schema_knows_the_groups_and_verdicts_that_there_are() -> None:
    definitions = SCHEMA["$defs"]
    assert definitions["finding"]["properties"]["group"]["enum"] == list(GROUPS)
    assert definitions["verdict"]["enum"] == [verdict.value for verdict in Verdict]
    assert list(counts([])) == definitions["verdict"]["enum"]
    pattern = re.compile(definitions["finding"]["properties"]["check"]["pattern"])
    assert all(pattern.fullmatch(check) for check in meanings())


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "warning", "mend": []},
        {"verdict": "problem", "why": ""},
        {"verdict": "ok", "mend": ["do it anyway"]},
        {"group": "weather"},
    ],
)
def test_the_schema_refuses_what_leaves_people_helpless(wrong: dict[str, Any]) -> None:
    told: Any = document([warning("clock.year", "1970", "all is too new", "set it")], ABOUT)
    told["findings"][0].update(wrong)
    with pytest.raises(jsonschema.ValidationError):
        CHECKER.validate(told)


@given(FINDINGS, st.integers(40, 120))
def test_every_finding_is_a_line_that_fits_and_nothing_in_it_moves_the_cursor(
    findings: list[Finding], width: int
) -> None:
    lines = list(group_lines("gpu", findings, width))
    heads = [line for line in lines[1:] if re.match(r"  (ok|note|warning|problem) ", line)]
    assert len(heads) == len(findings)
    assert all(line.isprintable() for line in lines)
    for line in lines:
        one_word = len(line.split()) <= 3
        assert len(line) <= width or line.lstrip().startswith(">") or one_word


def test_quiet_leaves_out_what_is_well_and_groups_of_nothing_else() -> None:
    fine, bad = ok("clock.year", "2026"), problem("clock.year", "1970", "old", "set it")
    assert list(group_lines("clock", [fine], 80, quiet=True)) == []
    assert list(group_lines("clock", [fine, bad], 80, quiet=True)) == [
        "clock",
        "  problem  year: 1970",
        "           why: old",
        "           > set it",
    ]


def test_the_summary_counts_and_the_worst_decides() -> None:
    fine, bad = ok("clock.year", "2026"), problem("clock.year", "1970", "old", "set it")
    assert summary_line([fine, fine, bad]) == "1 problem, 2 ok"
    assert summary_line([bad, bad]) == "2 problems"
    assert summary_line([]) == "nothing was examined"
    assert worst([fine, bad, fine]) is Verdict.PROBLEM
    assert worst([]) is Verdict.OK


def test_every_check_belongs_to_a_group_and_has_a_meaning_in_a_sentence() -> None:
    assert {group_of(check) for check in CHECKS} == set(GROUPS)
    assert all(
        words.endswith(".")
        for words in (*meanings().values(), *(f"{g}" for g in GROUPS.values() if g[-1] != "?"))
    )
