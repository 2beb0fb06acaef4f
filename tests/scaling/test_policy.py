"""What the policy does on boards that are short of memory, busy, idle, or in an emergency."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.scaling.decisions import Action, Reason
from gateway.scaling.policy import AlarmKind
from gateway.scaling.rules import Rules
from gateway.scaling.sample import HOST, Pressure, Source
from tests.scaling.driving import MIB, Driver, busy, idle, memory, words

PRESSED = Pressure("psi", full=0.3)


def test_lanes_go_after_three_samples_in_a_row_above_the_mark_and_not_after_two() -> None:
    driver = Driver(idle("a", ready=3, configured=3))
    assert driver.steps(0.86, 2) == ()
    assert driver.steps(0.84, 1) == ()
    assert driver.steps(0.86, 2) == ()
    assert words(driver.steps(0.86, 1)) == ["shrink a: above_mark"]


def test_exactly_at_the_mark_is_not_above_it() -> None:
    driver = Driver(idle("a", ready=3, configured=3), rules=Rules(high_mark=0.875))
    assert driver.steps(0.875, 20) == ()


def test_a_gap_in_the_samples_begins_the_streak_anew() -> None:
    driver = Driver(idle("a", ready=3, configured=3))
    assert driver.steps(0.9, 2) == ()
    assert driver.steps(0.9, 1, after_s=13.0) == ()
    assert driver.steps(0.9, 1) == ()
    assert words(driver.steps(0.9, 1)) == ["shrink a: above_mark"]


def test_another_source_of_the_numbers_begins_the_streak_anew() -> None:
    driver = Driver(idle("a", ready=3, configured=3))
    driver.steps(0.9, 2)
    for _ in range(2):
        driver.step({HOST: memory(0.9, source=Source.CGROUP)})
        assert driver.of("a").action is Action.HOLD
    driver.step({HOST: memory(0.9, source=Source.CGROUP)})
    assert driver.of("a").action is Action.SHRINK


def test_a_sample_that_was_seen_before_counts_once() -> None:
    driver = Driver(idle("a", ready=3, configured=3))
    driver.steps(0.9, 2)
    assert driver.step(0.9, after_s=0.0) == ()
    assert words(driver.steps(0.9, 1)) == ["shrink a: above_mark"]


def test_a_hurried_sample_counts_in_no_row_but_an_emergency_in_it_is_seen() -> None:
    driver = Driver(idle("a", ready=4, configured=4))
    driver.steps(0.9, 1)
    for _ in range(4):
        assert driver.step(0.9, after_s=0.5) == ()
    assert driver.steps(0.9, 1) == ()
    assert words(driver.step(0.9, after_s=0.5, pressure=Pressure(oom_kills=1))) == ["shrink a: emergency"]


def test_as_many_lanes_go_as_bring_memory_below_the_mark() -> None:
    driver = Driver(busy("a", ready=6, max_lanes=8, configured=6))
    driver.steps(0.93, 3)
    # 10 % of 4000 MiB down to where a lane might be added: four lanes of 100 MiB.
    assert (driver.of("a").action, driver.of("a").lanes) == (Action.SHRINK, 2)


def test_where_nothing_can_go_the_lowest_priority_waits_and_the_highest_does_not() -> None:
    driver = Driver(busy("a", priorities=(0, 5)), busy("b", priorities=(5, 9)))
    seen = driver.steps(0.9, 30)
    assert words(seen) == ["pause 0: above_mark", "pause 5: above_mark"]
    admits = driver.policy.admits
    assert (admits(0), admits(5), admits(9)) == (False, False, True)


def test_one_priority_alone_waits_only_in_an_emergency_and_not_for_longer() -> None:
    driver = Driver(busy("a"))
    assert driver.steps(0.9, 30) == ()
    assert words(driver.steps(0.9, 1, pressure=PRESSED)) == ["pause 0: emergency"]
    assert words(driver.steps(0.9, 30)) == ["resume 0: calm"]


def test_what_waits_resumes_in_reverse_order_well_below_the_mark_one_by_one() -> None:
    driver = Driver(busy("a", priorities=(0, 5, 9)))
    driver.steps(0.9, 10)
    assert driver.steps(0.83, 20) == ()
    began_s = driver.at_s
    assert words(driver.steps(0.79, 3)) == ["resume 5: calm"]
    assert words(driver.steps(0.79, 10)) == ["resume 0: calm"]
    assert driver.at_s - began_s >= driver.rules.cooldown_s
    assert driver.policy.admits(0)


def test_lasting_demand_adds_one_lane_at_a_time_up_to_the_most() -> None:
    driver = Driver(busy("a", max_lanes=3))
    assert driver.steps(0.3, 2) == ()
    assert words(driver.steps(0.3, 1)) == ["grow a: demand"]
    assert driver.of("a").lanes == 2
    assert words(driver.steps(0.3, 60)) == ["grow a: demand"]
    assert driver.of("a").reason is Reason.AT_MAX
    assert driver.of("a").lanes == 3


def test_demand_that_comes_and_goes_adds_nothing() -> None:
    driver = Driver(busy("a"))
    for _ in range(20):
        assert driver.steps(0.3, 2) == ()
        driver.models["a"] = replace(driver.models["a"], busy=0.1)
        assert driver.steps(0.3, 1) == ()
        driver.models["a"] = replace(driver.models["a"], busy=1.0)


def test_the_more_important_model_grows_first_and_the_other_after_it() -> None:
    driver = Driver(busy("a"), busy("b", priorities=(3,)))
    assert words(driver.steps(0.3, 11)) == ["grow b: demand", "grow a: demand", "grow b: demand"]


def test_a_model_that_waits_for_memory_is_not_overtaken_by_a_less_important_one() -> None:
    driver = Driver(busy("a"), busy("b", priorities=(3,), lane_cost_bytes=3000 * MIB))
    assert driver.steps(0.3, 12) == ()
    assert (driver.of("a").reason, driver.of("b").reason) == (Reason.OUTRANKED, Reason.NO_MEMORY)


def test_a_lane_above_the_configured_number_goes_when_it_was_not_needed_for_long_enough() -> None:
    driver = Driver(idle("a", ready=3, configured=2))
    assert driver.steps(0.3, 24) == ()
    assert words(driver.steps(0.3, 1)) == ["shrink a: idle"]
    assert driver.steps(0.3, 100) == ()


def test_a_lane_that_the_others_could_not_do_without_stays() -> None:
    driver = Driver(busy("a", ready=3, busy=0.5))
    assert driver.steps(0.3, 100) == ()


def test_lanes_above_the_most_go_without_waiting() -> None:
    driver = Driver(busy("a", ready=5, configured=5, max_lanes=3))
    assert words(driver.steps(0.3, 1)) == ["shrink a: over_max"]
    assert driver.of("a").lanes == 3


@pytest.mark.parametrize("pressure", [PRESSED, Pressure("vmstat", oom_kills=1)])
def test_a_pressed_board_gives_lanes_back_at_once(pressure: Pressure) -> None:
    driver = Driver(busy("a", ready=3))
    assert words(driver.step(0.5, pressure=pressure)) == ["shrink a: emergency"]


@pytest.mark.parametrize("kind", AlarmKind)
def test_an_alarm_gives_lanes_back_at_once_and_nothing_grows_for_the_longer_time(kind: AlarmKind) -> None:
    driver = Driver(busy("a", ready=3))
    driver.step(0.5)
    assert words(driver.alarm(kind)) == ["shrink a: emergency"]
    alarmed_s = driver.at_s
    grown = driver.steps(0.3, 61)
    assert words(grown[:1]) == ["grow a: demand"]
    assert driver.at_s - alarmed_s >= driver.rules.emergency_cooldown_s
    assert driver.steps(0.3, 1) == ()


def test_nothing_grows_for_the_longer_time_after_pressure_either() -> None:
    driver = Driver(busy("a"))
    driver.step(0.3, pressure=PRESSED)
    pressed_s = driver.at_s
    grown = driver.steps(0.3, 59)
    assert words(grown) == ["resume 0: calm"]
    assert driver.of("a").reason is Reason.AFTER_EMERGENCY
    assert words(driver.steps(0.3, 1)) == ["grow a: demand"]
    assert driver.at_s - pressed_s == driver.rules.emergency_cooldown_s


def test_many_alarms_of_one_moment_are_one_shortage() -> None:
    driver = Driver(busy("a", ready=8, max_lanes=8))
    driver.step(0.5)
    for _ in range(10):
        driver.alarm(AlarmKind.ALLOCATION_FAILED, after_s=0.1)
    assert driver.models["a"].lanes == 7


def test_pressure_that_falls_after_lanes_went_takes_no_more_and_pressure_that_stays_does() -> None:
    driver = Driver(busy("a", ready=8, max_lanes=8, configured=8))
    for full in (0.5, 0.4, 0.3, 0.2):
        driver.step(0.5, pressure=Pressure("psi", full=full))
    assert driver.models["a"].lanes == 7
    driver.step(0.5, pressure=Pressure("psi", full=0.2))
    assert driver.models["a"].lanes == 6


def test_an_emergency_of_the_board_leaves_a_gpu_with_its_own_memory_alone() -> None:
    driver = Driver(busy("a", ready=3), busy("g", ready=3, device="gpu0", on_processors=False))
    driver.step({HOST: memory(0.5), "gpu0": memory(0.5, "gpu0", Source.NVML)}, pressure=PRESSED)
    assert words(driver.last) == ["hold g: young_demand", "shrink a: emergency"]
    driver.alarm(AlarmKind.ALLOCATION_FAILED, device="gpu0")
    assert words(driver.last) == ["shrink g: emergency"]


def test_each_device_has_its_own_streaks() -> None:
    driver = Driver(idle("a", ready=3, configured=3), idle("g", ready=3, configured=3, device="gpu0"))
    for _ in range(3):
        driver.step({HOST: memory(0.5), "gpu0": memory(0.95, "gpu0", Source.NVML)})
    assert words(driver.last) == ["shrink g: above_mark", "hold a: enough"]


def test_a_device_that_nothing_tells_of_gets_no_more_lanes() -> None:
    driver = Driver(busy("g", device="gpu0"))
    assert driver.steps(0.3, 20) == ()
    assert driver.of("g").reason is Reason.MEMORY_UNKNOWN


def test_what_is_remembered_can_be_shown() -> None:
    driver = Driver(busy("a", ready=2))
    driver.step(0.9)
    driver.step(0.9)
    (device,) = driver.policy.devices(driver.at_s)
    (model,) = driver.policy.models(driver.at_s)
    assert (device.device, device.source, device.above_samples, device.calm_samples) == (
        HOST,
        "meminfo",
        2,
        0,
    )
    assert (model.demand_samples, model.last) == (2, driver.of("a"))
    driver.step(0.9)
    (device,) = driver.policy.devices(driver.at_s)
    (model,) = driver.policy.models(driver.at_s)
    assert (device.above_samples, device.no_growth_s, model.left_alone_s) == (0, 30.0, 30.0)
    del driver.models["a"]
    driver.step(0.9)
    assert driver.policy.models(driver.at_s) == ()
