"""What a machine lacks for the crash tests is named, so that nothing is skipped without a word."""

from __future__ import annotations

import os

import pytest

from tests.faults.needs import ROOT_USER, missing
from tests.faults.parts import PARTS, SHORT_PARTS


def test_whoever_is_not_root_lacks_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert missing((ROOT_USER,)) == [ROOT_USER]


def test_what_is_not_there_is_named_and_what_is_there_is_not() -> None:
    assert missing(("no-such-program", "sh", "/dev/null", "/dev/no-such")) == [
        "no-such-program",
        "/dev/no-such",
    ]


def test_every_kind_of_fault_and_every_mistake_is_in_the_short_tier_too() -> None:
    assert set(PARTS) - set(SHORT_PARTS) == {"power-many", "control-syncs"}
    assert sum(name.startswith("control-") for name in SHORT_PARTS) == 5
