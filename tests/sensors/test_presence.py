"""Presence: the table, time, and a model that any run of events must agree with."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.configuration.settings import PresenceSettings
from gateway.sensors.presence import TRANSITIONS, Presence, PresenceTracker, Signal, Transition

SETTINGS = PresenceSettings(min_stale_s=5.0, cadence_factor=4.0, offline_after_s=60.0, gone_after_s=3600.0)


def tracker(*ids: str, expire_s: float = 0.0, permanent: bool = False) -> PresenceTracker:
    """Return a connected tracker of announced sensors with one bound stream, ``frame``."""
    presence = PresenceTracker(SETTINGS)
    presence.connected(0.0)
    for name in ids:
        presence.add(name, 0.0, permanent=permanent)
        presence.expect(name, expire_s, {"frame": 0.0})
        presence.signal(name, Signal.ANNOUNCE, 0.0)
    return presence


def feed(presence: PresenceTracker, name: str, *times_s: float, stream: str = "frame") -> None:
    for now_s in times_s:
        presence.arrived(name, stream, now_s)


def run_to(presence: PresenceTracker, now_s: float) -> list[Transition]:
    """Wake the tracker only when it asks to be woken, up to and at ``now_s``."""
    changes: list[Transition] = []
    while (wakeup_s := presence.next_wakeup_s()) is not None and wakeup_s <= now_s:
        changes += presence.handle_timer(wakeup_s)
    return changes


def test_every_signal_leads_somewhere_from_every_state_but_gone() -> None:
    for signal in Signal:
        assert set(TRANSITIONS[signal]) == set(Presence) - {Presence.GONE}


def test_a_sensors_life() -> None:
    presence = tracker("cam")
    assert presence.state("cam") is Presence.ANNOUNCED
    first = presence.arrived("cam", "frame", 1.0)
    assert first == Transition("cam", Presence.ANNOUNCED, Presence.ONLINE, "data arrived")
    feed(presence, "cam", 3.0, 5.0, 7.0)
    assert run_to(presence, 14.99) == []
    (stale,) = run_to(presence, 15.0)
    assert stale == Transition("cam", Presence.ONLINE, Presence.STALE, "silent too long")
    (offline,) = run_to(presence, 75.0)
    assert offline.new is Presence.OFFLINE
    (gone,) = run_to(presence, 75.0 + 3600.0)
    assert gone.new is Presence.GONE
    assert "cam" not in presence
    assert presence.state("cam") is Presence.GONE
    assert presence.next_wakeup_s() is None


def test_data_brings_back_whoever_was_given_up() -> None:
    for give_up in (Signal.WILL, Signal.SLEEP):
        presence = tracker("cam")
        feed(presence, "cam", 1.0)
        presence.signal("cam", give_up, 2.0)
        change = presence.arrived("cam", "frame", 3.0)
        assert change is not None
        assert change.new is Presence.ONLINE


def test_before_a_cadence_is_known_silence_is_allowed_as_long_as_a_stale_sensor_gets() -> None:
    presence = tracker("cam")
    feed(presence, "cam", 1.0)
    assert run_to(presence, 60.9) == []
    assert [change.new for change in run_to(presence, 61.0)] == [Presence.STALE]


def test_a_fast_sensor_is_stale_after_the_least_silence() -> None:
    presence = tracker("cam")
    feed(presence, "cam", *(number / 10 for number in range(40)))
    assert run_to(presence, 8.89) == []
    assert [change.new for change in run_to(presence, 8.91)] == [Presence.STALE]


def test_a_declared_silence_outranks_the_learned_one() -> None:
    presence = tracker("cam", expire_s=2.0)
    feed(presence, "cam", 0.0, 10.0, 20.0, 30.0, 40.0)
    assert run_to(presence, 41.9) == []
    assert [change.new for change in run_to(presence, 42.0)] == [Presence.STALE]


def test_a_declared_silence_of_a_stream_outranks_what_is_learned_of_it() -> None:
    presence = tracker("cam")
    presence.expect("cam", 0.0, {"frame": 30.0})
    feed(presence, "cam", 1.0, 2.0, 3.0, 4.0, 5.0)
    assert run_to(presence, 34.9) == []
    assert [change.new for change in run_to(presence, 35.0)] == [Presence.STALE]


def test_a_sensor_is_silent_when_all_of_its_streams_are() -> None:
    presence = tracker("cam")
    presence.expect("cam", 0.0, {"frame": 0.0, "slow": 0.0})
    feed(presence, "cam", 0.0, 100.0, 200.0, 300.0, stream="slow")
    feed(presence, "cam", *(300.0 + number / 10 for number in range(20)))
    assert run_to(presence, 699.0) == []
    assert [change.new for change in run_to(presence, 700.0)] == [Presence.STALE]


def test_three_streams_that_speak_together_are_not_a_fast_sensor() -> None:
    presence = tracker("cam")
    presence.expect("cam", 0.0, {"a": 0.0, "b": 0.0, "c": 0.0})
    for now_s in (0.0, 60.0, 120.0, 180.0):
        for stream in ("a", "b", "c"):
            feed(presence, "cam", now_s, stream=stream)
    assert run_to(presence, 180.0 + 239.0) == []


def test_a_birth_counts_as_a_sign_of_life() -> None:
    presence = tracker("cam", expire_s=15.0)
    for now_s in (0.0, 10.0, 20.0, 30.0):
        presence.signal("cam", Signal.BIRTH, now_s)
    assert run_to(presence, 44.9) == []
    assert [change.new for change in run_to(presence, 45.0)] == [Presence.STALE]


def test_a_sensor_known_from_its_birth_alone_never_goes_stale() -> None:
    presence = tracker("cam")
    presence.signal("cam", Signal.BIRTH, 1.0)
    assert presence.next_wakeup_s() is None


def test_a_sleeping_sensor_is_stale_and_never_given_up() -> None:
    presence = tracker("cam")
    feed(presence, "cam", 1.0, 2.0, 3.0, 4.0)
    change = presence.signal("cam", Signal.SLEEP, 5.0)
    assert change is not None
    assert change.new is Presence.STALE
    assert run_to(presence, 1e6) == []


def test_an_offline_sensor_that_announces_itself_again_is_announced() -> None:
    presence = tracker("cam")
    presence.signal("cam", Signal.WILL, 1.0)
    change = presence.signal("cam", Signal.ANNOUNCE, 2.0)
    assert change == Transition("cam", Presence.OFFLINE, Presence.ANNOUNCED, "announced")


def test_a_permanent_sensor_is_never_gone() -> None:
    presence = tracker("cam", permanent=True)
    feed(presence, "cam", 1.0)
    assert [change.new for change in run_to(presence, 1e9)] == [Presence.STALE, Presence.OFFLINE]
    presence.add("cam", 1e9)
    assert [change.new for change in run_to(presence, 2e9)] == [Presence.GONE]


def test_without_the_broker_everybody_is_unknown_and_no_time_runs() -> None:
    presence = tracker("heard", "never")
    feed(presence, "heard", 1.0, 2.0, 3.0, 4.0)
    changes = presence.disconnected(5.0)
    assert {change.sensor_id: change.new for change in changes} == dict.fromkeys(
        ("heard", "never"), Presence.UNKNOWN
    )
    assert presence.next_wakeup_s() is None
    assert presence.arrived("heard", "frame", 6.0) is None
    assert presence.signal("heard", Signal.WILL, 6.0) is None
    assert presence.disconnected(7.0) == ()


def test_with_the_broker_back_who_had_spoken_gets_time_to_speak_again() -> None:
    presence = tracker("heard", "never")
    feed(presence, "heard", 1.0, 2.0, 3.0, 4.0)
    presence.disconnected(5.0)
    (announced,) = presence.connected(1000.0)
    assert (announced.sensor_id, announced.new) == ("never", Presence.ANNOUNCED)
    assert run_to(presence, 1004.9) == []
    assert [(change.sensor_id, change.new) for change in run_to(presence, 1005.0)] == [
        ("heard", Presence.STALE)
    ]


def test_the_gaps_of_outages_are_not_learned() -> None:
    presence = tracker("cam")
    for start_s in (0.0, 500.0, 1000.0):
        presence.arrived("cam", "frame", start_s)
        presence.disconnected(start_s + 1.0)
        presence.connected(start_s + 500.0)
    feed(presence, "cam", 1500.0, 1501.0, 1502.0, 1503.0)
    assert [change.new for change in run_to(presence, 1508.0)] == [Presence.STALE]


def test_streams_that_are_not_bound_tell_nothing() -> None:
    presence = tracker("cam")
    assert presence.arrived("cam", "other", 1.0) is None
    assert presence.arrived("stranger", "frame", 1.0) is None
    assert presence.signal("stranger", Signal.WILL, 1.0) is None
    assert presence.state("cam") is Presence.ANNOUNCED


def test_what_was_learned_of_an_unbound_stream_is_dropped() -> None:
    presence = tracker("cam")
    feed(presence, "cam", 1.0, 2.0, 3.0, 4.0)
    assert presence.last_seen_s("cam") == 4.0
    presence.expect("cam", 0.0, {"other": 0.0})
    assert presence.last_seen_s("cam") is None
    assert presence.last_seen_s("stranger") is None


def test_shorter_times_hold_at_once() -> None:
    presence = tracker("cam")
    feed(presence, "cam", 0.0)
    presence.reconfigure(PresenceSettings(min_stale_s=1.0, offline_after_s=2.0))
    assert presence.next_wakeup_s() == 2.0
    assert [change.new for change in presence.handle_timer(2.0)] == [Presence.STALE]


def test_a_removed_sensor_is_gone_for_good() -> None:
    presence = tracker("cam")
    feed(presence, "cam", 1.0)
    change = presence.signal("cam", Signal.REMOVE, 2.0, "taken back")
    assert change == Transition("cam", Presence.ONLINE, Presence.GONE, "taken back")
    assert run_to(presence, 1e9) == []
    assert len(presence) == 0


def test_a_flapping_sensor_does_not_grow_the_schedule() -> None:
    presence = tracker("cam")
    now_s = 0.0
    for _ in range(2000):
        presence.arrived("cam", "frame", now_s)
        presence.signal("cam", Signal.WILL, now_s)
        now_s += 70.0
        presence.handle_timer(now_s)
    assert len(presence._due) <= 66


IDS = st.sampled_from(["a", "b"])
STEPS = st.sampled_from([0.0, 0.5, 1.0, 4.999, 5.0, 10.0, 60.0, 1000.0, 3600.0])
LIVE = (Presence.ONLINE, Presence.UNKNOWN)


class PresenceMachine(RuleBasedStateMachine):
    """Declared silences only, so that the model needs no median: 10 s, then 60 s, then an hour."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.presence = PresenceTracker(SETTINGS)
        self.connected = False
        self.states: dict[str, Presence] = {}
        self.changed_s: dict[str, float] = {}
        self.sign_s: dict[str, float] = {}
        self.heard: set[str] = set()
        self.asleep: set[str] = set()

    def go(self, name: str, state: Presence) -> None:
        if state is not self.states[name]:
            self.states[name] = state
            self.changed_s[name] = self.now_s
        if state is Presence.GONE:
            del self.states[name]

    def check(self, changes: list[Transition], before: dict[str, Presence]) -> None:
        for change in changes:
            assert change.old is not change.new
        after = {**before, **{change.sensor_id: change.new for change in changes}}
        assert {name: state for name, state in after.items() if state is not Presence.GONE} == self.states

    @rule(name=IDS)
    def add(self, name: str) -> None:
        if name not in self.states:
            self.states[name] = Presence.UNKNOWN
            self.sign_s[name] = self.changed_s[name] = self.now_s
            self.heard.discard(name)
            self.asleep.discard(name)
        self.presence.add(name, self.now_s)
        self.presence.expect(name, 10.0, {"frame": 0.0})

    @rule(name=IDS)
    def data(self, name: str) -> None:
        before = dict(self.states)
        change = self.presence.arrived(name, "frame", self.now_s)
        if name in self.states and self.connected:
            self.heard.add(name)
            self.asleep.discard(name)
            self.sign_s[name] = self.now_s
            self.go(name, Presence.ONLINE)
        self.check([change] if change else [], before)

    @rule(name=IDS, signal=st.sampled_from([Signal.ANNOUNCE, Signal.BIRTH, Signal.WILL, Signal.SLEEP]))
    def report(self, name: str, signal: Signal) -> None:
        before = dict(self.states)
        change = self.presence.signal(name, signal, self.now_s)
        if name in self.states and self.connected:
            if signal is Signal.BIRTH:
                self.heard.add(name)
                self.sign_s[name] = self.now_s
            if signal is not Signal.ANNOUNCE:
                self.asleep.discard(name)
            if signal is Signal.SLEEP:
                self.asleep.add(name)
            self.go(name, TRANSITIONS[signal][self.states[name]])
        self.check([change] if change else [], before)

    @rule(name=IDS)
    def remove(self, name: str) -> None:
        change = self.presence.signal(name, Signal.REMOVE, self.now_s)
        assert (change is not None) == (name in self.states)
        self.states.pop(name, None)

    @precondition(lambda self: self.connected)
    @rule()
    def lose(self) -> None:
        before = dict(self.states)
        self.connected = False
        self.asleep.clear()
        for name in list(self.states):
            self.go(name, Presence.UNKNOWN)
        self.check(list(self.presence.disconnected(self.now_s)), before)

    @precondition(lambda self: not self.connected)
    @rule()
    def restore(self) -> None:
        before = dict(self.states)
        self.connected = True
        for name in list(self.states):
            self.sign_s[name] = self.now_s
            if name not in self.heard:
                self.go(name, Presence.ANNOUNCED)
        self.check(list(self.presence.connected(self.now_s)), before)

    def deadline_s(self, name: str) -> float:
        match self.states[name]:
            case Presence.ONLINE | Presence.UNKNOWN if name in self.heard:
                return self.sign_s[name] + 10.0
            case Presence.STALE if name not in self.asleep:
                return self.changed_s[name] + 60.0
            case Presence.OFFLINE:
                return self.changed_s[name] + 3600.0
        return math.inf

    @rule(step_s=STEPS)
    def wait(self, step_s: float) -> None:
        end_s = self.now_s + step_s
        while (wakeup_s := self.presence.next_wakeup_s()) is not None and wakeup_s <= end_s:
            assert wakeup_s >= self.now_s
            self.now_s = wakeup_s
            before = dict(self.states)
            if self.connected:
                for name in list(self.states):
                    if self.deadline_s(name) <= self.now_s:
                        self.go(name, TRANSITIONS[Signal.SILENCE][self.states[name]])
            self.check(list(self.presence.handle_timer(self.now_s)), before)
        self.now_s = end_s

    @invariant()
    def states_agree(self) -> None:
        assert dict(self.presence.states()) == self.states

    @invariant()
    def nobody_is_looked_at_too_late(self) -> None:
        if self.connected and self.states:
            earliest_s = min(self.deadline_s(name) for name in self.states)
            wakeup_s = self.presence.next_wakeup_s()
            assert (math.inf if wakeup_s is None else wakeup_s) <= earliest_s


TestPresenceMachine = PresenceMachine.TestCase
TestPresenceMachine.settings = hypothesis_settings(max_examples=60, stateful_step_count=40)


@pytest.mark.parametrize("state", [state for state in Presence if state is not Presence.GONE])
def test_removal_ends_every_state(state: Presence) -> None:
    assert TRANSITIONS[Signal.REMOVE][state] is Presence.GONE
