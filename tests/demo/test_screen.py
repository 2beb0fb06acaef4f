"""What is written on a terminal, and elsewhere."""

from __future__ import annotations

import io

from gateway.demo.screen import REDRAW_S, REPEAT_S, Screen
from gateway.demo.status import read_status
from tests.demo.status_page import body


class Terminal(io.StringIO):
    """A text stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_is_redrawn_in_place_and_given_back() -> None:
    terminal = Terminal()
    screen = Screen(terminal)
    assert screen.interval_s == REDRAW_S
    screen.show(read_status(body()), "demo")
    first = terminal.getvalue()
    assert first.startswith("\x1b[?25l\x1b[2J\x1b[H")
    assert "tiger cat" in first
    screen.show(read_status(body()), "demo")
    assert terminal.getvalue()[len(first) :].startswith("\x1b[Hdemo")
    screen.close()
    assert terminal.getvalue().endswith("\x1b[?25h")


def test_elsewhere_plain_lines_come_now_and_then() -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    assert screen.interval_s == REPEAT_S
    screen.show(read_status(body()), "demo")
    screen.close()
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().splitlines()[0] == "demo"
    assert "tiger cat" in stream.getvalue()


def test_what_is_given_stands_below_the_table_in_the_terminals_width() -> None:
    for stream in (Terminal(), io.StringIO()):
        Screen(stream).show(read_status(body()), "demo", lambda width: [f"below {width > 0}"])
        assert stream.getvalue().index("tiger cat") < stream.getvalue().index("below True")


def test_a_screen_that_was_never_drawn_on_is_left_alone() -> None:
    terminal = Terminal()
    Screen(terminal).close()
    assert terminal.getvalue() == ""
