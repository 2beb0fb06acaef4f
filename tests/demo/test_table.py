"""The live table."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.status import read_status
from gateway.demo.table import COLUMNS, table
from tests.demo.status_page import body


def test_the_table_shows_what_a_person_wants_to_know() -> None:
    head, camera, microphone, odd = table(read_status(body()), 200)
    assert head.split("  ")[0] == "SENSOR"
    for words in (
        "Camera",
        "online",
        "efficientnet-lite0",
        "10.0/s",
        "tiger cat 0.35",
        "0.1 s",
        "11.2",
        "19.8",
    ):
        assert words in camera
    assert camera.endswith("superseded:2")
    assert "stale" in microphone
    assert microphone.endswith("refused.media:60")
    assert "pending" in odd


def test_columns_stand_below_their_titles() -> None:
    head, camera, *_ = table(read_status(body()), 200)
    assert camera.index("online") == head.index("PRESENCE")
    assert camera.index("tiger cat") == head.index("RESULT")
    assert camera.index("superseded") == head.index("DROPS")


@given(st.integers(1, 300))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert all(len(line) <= width for line in table(read_status(body()), width))


def test_a_plain_terminal_shows_every_column() -> None:
    head, *_ = table(read_status(body()), 80)
    assert [column.title for column in COLUMNS if column.title not in head] == []
