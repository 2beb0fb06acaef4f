"""The mode is named as nvpmodel's files say, and they are read again only when they change."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.scaling.power_mode import PowerMode, parse_modes, parse_status
from tests.scaling import trees


def test_both_forms_of_the_status_are_read() -> None:
    assert parse_status("pmode:0002") == 2
    assert parse_status("pmode:0008 fmode:quiet") == 8
    assert parse_status("fmode:quiet") is None


def test_only_lines_that_define_a_mode_count() -> None:
    text = (
        "# < POWER_MODEL ID=7 NAME=NO >\n< POWER_MODEL ID=0 NAME=15W >\n<POWER_MODEL ID=2 NAME=MAXN_SUPER>\n"
    )
    assert parse_modes(text)[0] == "15W"
    assert 7 not in parse_modes(text)


def test_a_mode_without_a_name_is_its_number_and_no_status_is_nothing(tmp_path: Path) -> None:
    assert PowerMode(str(tmp_path)).read() == ""
    trees.put(tmp_path, "var/lib/nvpmodel/status", "pmode:0009")
    assert PowerMode(str(tmp_path)).read() == "9"


def test_a_change_is_seen_and_without_one_nothing_is_read(tmp_path: Path) -> None:
    status = trees.put(tmp_path, "var/lib/nvpmodel/status", "pmode:0001")
    mode = PowerMode(str(tmp_path))
    assert mode.read() == "1"
    stamp = status.stat()
    status.write_text("pmode:0002\n")
    os.utime(status, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert mode.read() == "1"
    os.utime(status, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    assert mode.read() == "2"


@given(st.text())
def test_any_text_gives_numbers_and_names_or_nothing(text: str) -> None:
    number = parse_status(text)
    assert number is None or 0 <= number <= 9999
    for each, name in parse_modes(text).items():
        assert 0 <= each <= 9999
        assert name
