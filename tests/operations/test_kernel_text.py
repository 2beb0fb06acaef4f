"""Small files are read whole and within bounds, and what cannot be read is an error or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.operations.kernel_text import kernel_text, names_in, number_or_none, text_or_none, whole_number


def test_a_file_is_read_whole_without_what_surrounds_it(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"NVIDIA Jetson\0\n")
    assert kernel_text(str(path)) == "NVIDIA Jetson"
    path.write_bytes(b"a" * 200_000)
    assert len(kernel_text(str(path))) == 200_000
    assert len(kernel_text(str(path), max_bytes=70_000)) == 70_000


def test_what_cannot_be_read_raises_or_is_nothing(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(OSError, match=r"missing|directory"):
            kernel_text(str(path))
        assert text_or_none(str(path)) is None
        assert number_or_none(str(path)) is None
    assert names_in(str(tmp_path / "missing")) == ()


def test_names_are_sorted_as_people_count(tmp_path: Path) -> None:
    for name in ("zone10", "zone2", "other", "zone"):
        (tmp_path / name).touch()
    assert names_in(str(tmp_path)) == ("other", "zone", "zone2", "zone10")


@given(st.one_of(st.integers().map(str), st.text()))
def test_a_number_is_a_number_and_nothing_else_is(text: str) -> None:
    number = whole_number(text)
    if number is not None:
        assert -(10**19) < number < 10**19
    assert number is not None or not (text.isascii() and text.isdigit() and len(text) < 20)
