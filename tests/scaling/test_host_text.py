"""Any text from the kernel gives shares between 0 and 1 and counts that are not negative, or nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.scaling.host_text import (
    ProcessorTimes,
    Stall,
    busy_share,
    grown,
    parse_machine_counts,
    parse_processor_times,
    parse_stall,
    worst,
)

PRESSURE = "some avg10=12.34 avg60=1.00 avg300=0.00 total=99\nfull avg10=5.00 avg60=0.00 avg300=0.00 total=3"
WORDS = st.lists(
    st.sampled_from(
        [
            "some avg10=",
            "full avg10=",
            "1.00 ",
            "999.99 ",
            "\n",
            "cpu ",
            " 1",
            " 99",
            "pswpin ",
            "pswpout ",
            "oom_kill ",
            "7",
            "-",
            "é",
        ]
    )
).map("".join)
TEXTS = st.one_of(st.text(), WORDS)
COUNTS = st.one_of(st.none(), st.integers(0, 1 << 62))
TIMES = st.one_of(
    st.none(), st.builds(lambda busy, idle: ProcessorTimes(busy, busy + idle), st.integers(0), st.integers(0))
)


def test_per_cent_become_shares() -> None:
    assert parse_stall(PRESSURE) == Stall(0.1234, 0.05)
    assert parse_stall("some avg10=1.00 avg60=0 avg300=0 total=0") == Stall(0.01, None)


def test_idle_and_waiting_for_a_disk_are_not_work() -> None:
    assert parse_processor_times("cpu  1 2 3 40 50 6 7 8 9 10\n") == ProcessorTimes(27, 117)


@given(TEXTS)
def test_any_text_is_read_or_not(text: str) -> None:
    stall = parse_stall(text)
    if stall is not None:
        assert 0 <= stall.some <= 1
        assert stall.full is None or 0 <= stall.full <= 1
    counts = parse_machine_counts(text)
    assert counts.swapped_pages is None or counts.swapped_pages >= 0
    assert counts.oom_kills is None or counts.oom_kills >= 0
    times = parse_processor_times(text)
    assert times is None or 0 <= times.busy <= times.total


@given(st.lists(st.builds(Stall, st.floats(0, 1), st.one_of(st.none(), st.floats(0, 1))), max_size=4))
def test_the_worst_is_no_less_than_any(stalls: list[Stall]) -> None:
    found = worst(stalls)
    assert (found is None) == (not stalls)
    for stall in stalls:
        assert found is not None
        assert found.some >= stall.some
        assert stall.full is None or (found.full is not None and found.full >= stall.full)


@given(TIMES, TIMES)
def test_a_busy_share_is_a_share_or_unknown(
    before: ProcessorTimes | None, after: ProcessorTimes | None
) -> None:
    share = busy_share(before, after)
    assert share is None or 0 <= share <= 1


@given(COUNTS, COUNTS)
def test_a_count_never_shrinks(before: int | None, after: int | None) -> None:
    growth = grown(before, after)
    assert (growth is None) == (before is None or after is None)
    assert growth is None or growth >= 0
