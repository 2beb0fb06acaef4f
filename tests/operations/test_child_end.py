"""How a child ended, in words."""

from __future__ import annotations

import signal

import pytest

from gateway.operations.child_end import last_words, signal_name


def test_a_signal_is_called_by_its_name_or_its_number() -> None:
    assert signal_name(signal.SIGKILL) == "SIGKILL"
    assert signal_name(45) == "signal 45"


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        (b"", ""),
        (b" \n\n", ""),
        (b"first\n  last one  \n \n", ": last one"),
        (b"\xff\n", ": �"),
        (b"x" * 400, ": " + "x" * 300),
    ],
)
def test_the_last_line_that_says_anything_counts(stderr: bytes, words: str) -> None:
    assert last_words(stderr) == words


def test_chatter_after_it_does_not_count_where_somebody_tells_it() -> None:
    assert last_words(b"failed\nINFO: bye\n", lambda line: not line.startswith("INFO:")) == ": failed"
