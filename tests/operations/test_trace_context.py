"""W3C Trace Context, read and written: what is known goes on, anything else is a trace that begins here."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.operations.trace_context import (
    MOST_STATE,
    SAMPLED,
    Span,
    TraceParent,
    read_parent,
    read_state,
    span_of,
)

TRACE, ASKER, OWN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{ASKER}-01"
NEW = TraceParent("f" * 32, OWN)

HEX = "0123456789abcdef"
TRACE_IDS = st.text(HEX, min_size=32, max_size=32).filter(lambda text: set(text) != {"0"})
SPAN_IDS = st.text(HEX, min_size=16, max_size=16).filter(lambda text: set(text) != {"0"})
KEYS = st.from_regex(r"[a-z0-9][a-z0-9_\-*/@]{0,20}", fullmatch=True)
VALUES = st.from_regex(r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,160}[\x21-\x2b\x2d-\x3c\x3e-\x7e]", fullmatch=True)
MEMBERS = st.builds("{}={}".format, KEYS, VALUES)


def of(*parents: str, states: tuple[str, ...] = ()) -> Span:
    return span_of(parents, states, NEW, 7.0)


def test_a_trace_goes_on_with_the_gateways_own_span_as_parent() -> None:
    span = of(PARENT, states=("congo=t61rcWkgMzE",))
    assert span.pairs == (("traceparent", f"00-{TRACE}-{OWN}-01"), ("tracestate", "congo=t61rcWkgMzE"))
    assert (span.parent_id, span.began_s, span.is_over) == (ASKER, 7.0, False)


@pytest.mark.parametrize(("flags", "kept"), [("00", "00"), ("01", "01"), ("03", "03"), ("ff", "03")])
def test_the_flags_that_are_known_are_kept(flags: str, kept: str) -> None:
    assert str(read_parent(f"00-{TRACE}-{ASKER}-{flags}")) == f"00-{TRACE}-{ASKER}-{kept}"


@pytest.mark.parametrize("version", ["01", "cc", "fe"])
@pytest.mark.parametrize("more", ["", "-", "-what-the-future-will-be-like"])
def test_of_a_later_version_what_version_00_knows_is_read(version: str, more: str) -> None:
    found = read_parent(f"{version}-{TRACE}-{ASKER}-01{more}")
    assert found == TraceParent(TRACE, ASKER, SAMPLED)
    assert str(found) == PARENT


@pytest.mark.parametrize(
    "text",
    [
        "",
        PARENT.upper(),
        f"{PARENT}-more",
        f"{PARENT} ",
        f"{PARENT}\n",
        f"01-{TRACE}-{ASKER}-01.more",
        f"ff-{TRACE}-{ASKER}-01",
        f"00-{'0' * 32}-{ASKER}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{ASKER}-01",
        f"00-{TRACE}-{ASKER}-1",
        f"00-{TRACE}-{ASKER}-0\u0661",
        f"00_{TRACE}_{ASKER}_01",
    ],
)
def test_what_is_no_traceparent_begins_a_trace_and_its_state_is_not_read(text: str) -> None:
    assert read_parent(text) is None
    span = of(text, states=("congo=t61rcWkgMzE",))
    assert span.pairs == (("traceparent", f"00-{'f' * 32}-{OWN}-00"),)
    assert span.parent_id == ""


def test_two_traceparents_are_none() -> None:
    assert of(PARENT, PARENT).own.trace_id == "f" * 32


@pytest.mark.parametrize(
    ("lines", "goes_on"),
    [
        ((), ""),
        (("",), ""),
        (("a=1",), "a=1"),
        (("a=1 , b=2,,c=3",), "a=1 , b=2,,c=3"),
        (("a=1", "b=2"), "a=1,b=2"),
        (("a=1\t,\tb=2",), "a=1,b=2"),
        (("0tenant@vendor=x y",), "0tenant@vendor=x y"),
        (("A=1",), ""),
        (("a=1,b",), ""),
        (("a=1=2",), ""),
        (("a=",), ""),
        (("a=\u00e9",), ""),
        ((",".join(f"k{number}=v" for number in range(33)),), ""),
        ((",".join(["x=" + "y" * 400] * 40),), ""),
    ],
)
def test_a_state_goes_on_as_it_came_or_not_at_all(lines: tuple[str, ...], goes_on: str) -> None:
    assert read_state(lines) == goes_on


def test_of_a_state_that_is_too_long_the_long_members_go_first_and_the_last_ones_next() -> None:
    short, long = "a=" + "1" * 100, "b=" + "2" * 200
    assert read_state([f"{short},{long},{short},{long}"]) == f"{short},{long},{short}"
    assert read_state([",".join([short] * 6)]) == ",".join([short] * 4)


@given(TRACE_IDS, SPAN_IDS, st.integers(0, 3))
def test_what_is_written_reads_back(trace_id: str, span_id: str, flags: int) -> None:
    made = TraceParent(trace_id, span_id, flags)
    assert read_parent(str(made)) == made


@given(st.lists(st.lists(MEMBERS, min_size=1, max_size=8).map(",".join), max_size=4))
def test_no_member_is_changed_and_none_moves_before_another(lines: list[str]) -> None:
    came, went = ",".join(lines), read_state(lines)
    assert len(went) <= MOST_STATE
    if len(came) <= MOST_STATE:
        assert went == came
    left = iter(came.split(","))
    assert all(member.strip() in map(str.strip, left) for member in went.split(",") if member)


@given(st.text(max_size=200) | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.*"))
@example("0" * 100_000)
def test_any_text_is_a_parent_that_can_be_written_or_none(text: str) -> None:
    found = read_parent(text)
    assert found is None or read_parent(str(found)) == found


@given(st.lists(st.text(max_size=600), max_size=4))
@example(["=" * 1_000_000])
@example(["a=" + " " * 16_000])
@example(["a" * 16_000])
def test_any_text_is_a_state_that_can_be_sent_or_none(lines: list[str]) -> None:
    state = read_state(lines)
    assert len(state) <= MOST_STATE
    assert state.isascii()
    assert state.isprintable()
