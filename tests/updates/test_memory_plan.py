"""Hot where both fit, cold where they do not, and never a guess."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.updates.memory_plan import Cold, Hot, LaneCost, plan

BYTES = st.integers(0, 1 << 40)
COSTS = st.builds(LaneCost, st.integers(1, 1 << 34), st.integers(0, 1 << 34))
LANES = st.integers(1, 16)


@given(BYTES, BYTES, COSTS, LANES)
def test_a_switch_is_hot_only_if_all_lanes_fit_and_the_reserve_stays_free(
    available: int, reserve: int, cost: LaneCost, lanes: int
) -> None:
    needed = cost.private_bytes * lanes + cost.shared_bytes
    found = plan(available, reserve, cost, lanes)
    assert found == Hot(needed) if needed + reserve <= available else isinstance(found, Cold)
    assert plan(needed + reserve, reserve, cost, lanes) == Hot(needed)
    assert isinstance(plan(needed + reserve - 1, reserve, cost, lanes), Cold)


@given(BYTES, BYTES, COSTS, LANES, BYTES)
def test_more_memory_never_makes_it_cold_and_more_need_never_hot(
    available: int, reserve: int, cost: LaneCost, lanes: int, more: int
) -> None:
    if isinstance(plan(available, reserve, cost, lanes), Hot):
        assert isinstance(plan(available + more, reserve, cost, lanes), Hot)
        return
    dearer = LaneCost(cost.private_bytes + more, cost.shared_bytes)
    assert isinstance(plan(available, reserve + more, cost, lanes), Cold)
    assert isinstance(plan(available, reserve, dearer, lanes), Cold)
    assert isinstance(plan(available, reserve, cost, lanes + 1), Cold)


def test_what_was_not_measured_is_not_guessed() -> None:
    assert plan(None, 1 << 30, LaneCost(1 << 30), 4) == Hot(0)
    assert plan(0, 1 << 30, LaneCost(0, 1 << 30), 4) == Hot(0)


def test_the_reason_says_what_is_needed_and_what_there_is() -> None:
    found = plan(300 << 20, 128 << 20, LaneCost(100 << 20, 20 << 20), 2)
    assert found == Cold("220 MiB for 2 lanes and 128 MiB of reserve are needed, 300 MiB are available")
