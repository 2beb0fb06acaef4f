"""The page about the doctor names every check, group, option and verdict there is."""

from __future__ import annotations

import argparse
from pathlib import Path

from gateway.cli import doctor
from gateway.doctor.checks import CHECKS, GROUPS, UNFINISHED
from gateway.doctor.finding import Verdict

PAGE = (Path(__file__).parents[2] / "docs/doctor.md").read_text(encoding="utf-8")


def test_every_check_and_group_is_on_the_page_with_its_meaning() -> None:
    for name, words in {**CHECKS, **GROUPS}.items():
        assert f"| `{name}` | {words} |" in PAGE
    assert f"`GROUP.{UNFINISHED}`" in PAGE


def test_every_option_and_every_verdict_is_on_the_page() -> None:
    parser = argparse.ArgumentParser()
    doctor.add_arguments(parser)
    options = [
        name for action in parser._actions for name in action.option_strings if name not in {"-h", "--help"}
    ]
    assert len(options) > 7
    assert [name for name in options if f"`{name}" not in PAGE] == []
    assert [verdict for verdict in Verdict if f"| `{verdict.value}` |" not in PAGE] == []
