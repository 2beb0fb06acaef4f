"""What the docs point at is there, and decisions have the form that makes them comparable."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.rules.tree import ROOT, files, read

LINK: Final = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
SECTIONS: Final = ("Status: ", "## Context", "## Decision", "## Consequences")
MAX_DECISION_LINES: Final = 60

PAGES: Final = tuple(path for path in files() if path.suffix == ".md" and path.parts[0] != "gateway")
DECISIONS: Final = tuple(path for path in PAGES if path.parent == Path("docs/adr"))


def test_every_link_leads_to_a_file_of_the_repository() -> None:
    broken = [
        f"{page}: {target}"
        for page in PAGES
        for target in LINK.findall(read(page))
        if not (ROOT / page.parent / target).exists()
    ]
    assert broken == []


def test_every_script_that_the_docs_call_exists() -> None:
    called = {
        (page, name)
        for page in PAGES
        for name in re.findall(r"(?<![\w/])(?:\./)?scripts/([a-z-]+)", read(page))
    }
    missing = [f"{page}: scripts/{name}" for page, name in called if not (ROOT / "scripts" / name).exists()]
    assert missing == []


def test_every_test_that_the_docs_name_exists() -> None:
    named = {(page, name) for page in PAGES for name in re.findall(r"`(tests/[\w/.]+)`", read(page))}
    assert [f"{page}: {name}" for page, name in named if not (ROOT / name).exists()] == []


def test_every_decision_is_short_numbered_once_and_says_what_it_costs() -> None:
    numbers = [path.name[:4] for path in DECISIONS]
    assert len(numbers) == len(set(numbers)) > 0
    for path in DECISIONS:
        text = read(path)
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+", path.stem), path
        assert text.startswith(f"# {path.name[:4]}: "), path
        assert text.count("\n") <= MAX_DECISION_LINES, path
        assert [section for section in SECTIONS if section not in text] == [], path
