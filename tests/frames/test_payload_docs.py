"""Every example on the page about payloads runs, and shows what it says."""

from __future__ import annotations

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "payloads.md"


def test_every_example_in_the_docs_of_payloads_is_true() -> None:
    results = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.REPORT_NDIFF)
    assert results.failed == 0
    assert results.attempted > 40
