"""What holds a board back is inferred from what it shows, and a moment's slowness is not enough."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.scaling.throttling import (
    BUSY,
    CAUSES,
    CLOCK,
    FULL_CLOCK,
    OVER_CURRENT,
    SAMPLES,
    THERMAL,
    Before,
    Signs,
    infer,
)

SLOW = Signs(0.97, 600e6, 900e6, "nvhost_podgov")
FAST = Signs(0.97, 900e6, 900e6, "nvhost_podgov")
SHARES = st.one_of(st.none(), st.floats(0, 1))
CLOCKS = st.one_of(st.none(), st.floats(0, 2e9))
SIGNS = st.builds(
    Signs,
    SHARES,
    CLOCKS,
    CLOCKS,
    st.sampled_from(["", "nvhost_podgov", "userspace", "powersave"]),
    st.sampled_from([(), ("gpu-throttle-alert",)]),
    st.sampled_from([(), ("VDD_IN",)]),
    st.dictionaries(st.sampled_from(["oc1", "oc2"]), st.integers(0, 5)),
)


def _run(signs: list[Signs]) -> list[tuple[str, ...]]:
    before, told = Before(), []
    for each in signs:
        before, causes = infer(before, each)
        told.append(causes)
    return told


def test_a_busy_gpu_below_its_clock_is_held_back_at_the_third_sample_in_a_row() -> None:
    assert _run([SLOW, SLOW, FAST, SLOW, SLOW, SLOW, SLOW, FAST]) == [
        (),
        (),
        (),
        (),
        (),
        (CLOCK,),
        (CLOCK,),
        (),
    ]


def test_a_clock_that_somebody_keeps_low_is_no_sign() -> None:
    assert _run([Signs(1.0, 1e8, 9e8, "userspace")] * 5) == [()] * 5


def test_heat_and_alarms_are_told_at_once() -> None:
    assert _run([Signs(cooling=("cpu-balanced",), alarms=("VDD_IN",))]) == [(THERMAL, OVER_CURRENT)]


def test_a_counter_tells_only_when_it_grew_since_the_sample_before() -> None:
    counts = [{"oc1": 7}, {"oc1": 7}, {"oc1": 9}, {"oc1": 9}, {}, {"oc1": 12}]
    told = _run([Signs(alarm_counts=count) for count in counts])
    assert told == [(), (), (OVER_CURRENT,), (), (), ()]


@given(st.lists(SIGNS, max_size=12))
def test_each_cause_is_told_exactly_when_its_sign_is_there(signs: list[Signs]) -> None:
    for place, causes in enumerate(_run(signs)):
        now = signs[place]
        before = signs[place - 1].alarm_counts if place else {}
        assert list(causes) == [cause for cause in CAUSES if cause in causes]
        assert (THERMAL in causes) == bool(now.cooling)
        grown = any(name in before and count > before[name] for name, count in now.alarm_counts.items())
        assert (OVER_CURRENT in causes) == (bool(now.alarms) or grown)
        row = signs[max(0, place - SAMPLES + 1) : place + 1]
        assert (CLOCK in causes) == (len(row) == SAMPLES and all(_is_slow(each) for each in row))


def _is_slow(signs: Signs) -> bool:
    known = signs.load is not None and bool(signs.clock_hz) and bool(signs.max_clock_hz)
    if not known or signs.governor in ("userspace", "powersave"):
        return False
    assert signs.load is not None
    assert signs.clock_hz is not None
    assert signs.max_clock_hz is not None
    return signs.load >= BUSY and signs.clock_hz < FULL_CLOCK * signs.max_clock_hz
