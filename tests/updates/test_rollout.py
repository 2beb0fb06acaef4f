"""The rollout of one model: what each event does, and what holds whatever happens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.errors import IllegalTransition
from gateway.updates.release import ReleaseRef
from gateway.updates.rollout import step
from gateway.updates.rollout_actions import (
    AwaitSwitch,
    AwaitTurn,
    Bake,
    CancelWork,
    Collect,
    Fetch,
    Load,
    Quarantine,
    Refuse,
    Shadow,
    Switch,
    SwitchBack,
    Validate,
)
from gateway.updates.rollout_back import CANCELLED_BY_OPERATOR, ROLLED_BACK_BY_OPERATOR
from gateway.updates.rollout_events import (
    ActiveBad,
    Agreed,
    BakePassed,
    BakeTick,
    Booted,
    CancelAsked,
    Event,
    Failed,
    Fetched,
    Hindered,
    Offered,
    Proven,
    Quarantined,
    RollbackAsked,
    Stopped,
    SwitchAllowed,
    Switched,
    TurnCame,
    Withdrawn,
)
from gateway.updates.rollout_step import condemned, durable
from gateway.updates.rollout_table import TRANSITIONS, Way
from gateway.updates.state import DURABLE, ModelRecord, Phase
from tests.updates.rollout_world import NEW, OLD, OLDER, RULES, SERVES_OLD

NEWEST: Final = ReleaseRef(9, "d" * 64)
BEFORE_SERVICE: Final = (Phase.FETCHING, Phase.STAGED, Phase.VALIDATING, Phase.READY, Phase.SHADOWING)
BAKING: Final = ModelRecord("door", 3, Phase.BAKING, active=NEW, previous=OLD, candidate=NEW, floor=1)


def on_its_way(phase: Phase) -> ModelRecord:
    return replace(SERVES_OLD, phase=phase, candidate=NEW, seq=5)


def walk(record: ModelRecord, *events: Event) -> ModelRecord:
    for event in events:
        record = step(record, event, RULES).record
    return record


def test_a_good_release_goes_from_offer_to_commit() -> None:
    record = SERVES_OLD
    way: list[tuple[Event, list[object], Phase, int]] = [
        (Booted(100), [Load(OLD)], Phase.IDLE, 0),
        (Offered(NEW, 100), [Fetch(NEW)], Phase.FETCHING, 0),
        (Fetched(NEW), [AwaitTurn(NEW)], Phase.STAGED, 0),
        (TurnCame(NEW), [Validate(NEW)], Phase.VALIDATING, 1),
        (Proven(NEW), [], Phase.READY, 2),
        (Offered(NEW, 101), [AwaitSwitch(NEW)], Phase.READY, 2),
        (SwitchAllowed(NEW, 102), [Switch(NEW, OLD)], Phase.BAKING, 3),
        (Switched(NEW), [Bake(NEW, 0.0, 0)], Phase.BAKING, 3),
        (BakeTick(NEW, 15.0, 40), [], Phase.BAKING, 4),
        (BakePassed(NEW), [Collect()], Phase.IDLE, 5),
    ]
    for event, actions, phase, seq in way:
        done = step(record, event, RULES)
        assert (list(done.actions), done.record.phase, done.record.seq) == (actions, phase, seq)
        assert not done.urgent
        record = done.record
    assert (record.active, record.previous, record.candidate, record.floor) == (NEW, OLD, None, 2)


def refs() -> st.SearchStrategy[ReleaseRef]:
    return st.sampled_from([OLD, NEW, NEWEST, ReleaseRef(NEW.number, "e" * 64)])


def events() -> st.SearchStrategy[Event]:
    """Anything at all, in any order."""
    now = st.integers(0, 10_000)
    words = st.sampled_from(["update.x", "update.y"])
    mostly_empty = st.sampled_from(["", "", "", "no"])
    kinds: list[st.SearchStrategy[Any]] = [
        st.builds(
            Offered,
            refs(),
            now,
            st.sampled_from([0, 5]),
            st.sampled_from([0, 2]),
            st.booleans(),
            mostly_empty,
            mostly_empty,
            st.booleans(),
        ),
        *(st.builds(kind, refs()) for kind in (Fetched, TurnCame, Proven, Agreed, Switched, BakePassed)),
        st.builds(Quarantined, refs()),
        st.builds(Hindered, refs(), words, words, now, st.floats(0, 1), st.booleans()),
        st.builds(Failed, refs(), words, words, now),
        st.builds(SwitchAllowed, refs(), now),
        st.builds(BakeTick, refs(), st.floats(0, 60), st.integers(0, 100)),
        st.builds(Booted, now),
        st.builds(ActiveBad, st.one_of(st.none(), refs()), words, words, now),
        st.builds(RollbackAsked, words, now),
        st.builds(CancelAsked, words),
        st.just(Withdrawn()),
        st.just(Stopped()),
    ]
    return st.one_of(kinds)


def aimed(event: Event, record: ModelRecord, aim: str) -> Event:
    """Return the event as it is, about what the record is about, or the one that leads on."""
    candidate = record.candidate
    if isinstance(event, ActiveBad):
        return replace(event, ref=record.active) if aim else event
    if not aim or candidate is None or not hasattr(event, "ref"):
        return event
    if aim == "about":
        said: Any = event
        about: Event = replace(said, ref=candidate)
        return about
    onward: dict[Phase, Event] = {
        Phase.IDLE: Offered(candidate, 20_000),
        Phase.FETCHING: Fetched(candidate),
        Phase.STAGED: TurnCame(candidate),
        Phase.VALIDATING: Proven(candidate),
        Phase.READY: SwitchAllowed(candidate, 5),
        Phase.SHADOWING: SwitchAllowed(candidate, 5),
        Phase.BAKING: BakePassed(candidate),
    }
    return onward[record.phase]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(events(), st.sampled_from(["", "about", "on", "on"])), max_size=60))
@example([(Offered(NEW, 1), ""), *[(Fetched(NEW), "on")] * 4, (Failed(NEW, "x", "y", 1), "")])
def test_whatever_happens_in_whatever_order_the_record_stays_whole(happened: list[tuple[Event, str]]) -> None:
    record = SERVES_OLD
    for raw, aim in happened:
        before = record
        event = aimed(raw, record, aim)
        try:
            done = step(record, event, RULES)
        except IllegalTransition:
            assert record == before
            continue
        record = done.record
        way = next((way for way in Way if way.value == done.note), None)
        assert way is None or TRANSITIONS[before.phase][way] is record.phase
        assert record.floor >= before.floor
        if record.floor > before.floor:
            assert (way, record.active) == (Way.COMMITTED, before.active)
        written = durable(record)
        changed = written != replace(durable(before), seq=written.seq)
        assert record.seq - before.seq == changed
        assert written.phase in DURABLE
        assert (record.candidate is None) == (record.phase is Phase.IDLE) or record.phase is Phase.IDLE
        assert record.phase is not Phase.BAKING or record.candidate == record.active
        assert record.previous is None or record.previous != record.active
        assert record.phase in (Phase.IDLE, Phase.BAKING) or record.candidate != record.active
        check_service(before, done.actions, record)
        check_blame(before, done.actions, record)


def check_service(before: ModelRecord, actions: tuple[object, ...], after: ModelRecord) -> None:
    """What serves changes exactly when the record says so, and to what it says."""
    serving = [action for action in actions if isinstance(action, Load | Switch | SwitchBack)]
    assert len(serving) == (before.active != after.active) or isinstance(serving[0], Load)
    for action in serving:
        match action:
            case Load(ref):
                assert ref == after.active
            case Switch(to, frm) | SwitchBack(to, frm):
                assert (to, frm) == (after.active, before.active)


def check_blame(before: ModelRecord, actions: tuple[object, ...], after: ModelRecord) -> None:
    """Whoever is condemned is put into quarantine in the same step."""
    accused = [action.ref for action in actions if isinstance(action, Quarantine)]
    if condemned(after):
        assert after.candidate in accused or before.candidate == after.candidate
    else:
        assert not accused


@pytest.mark.parametrize("phase", BEFORE_SERVICE)
def test_a_newer_wish_supersedes_a_candidate_that_does_not_serve(phase: Phase) -> None:
    done = step(on_its_way(phase), Offered(NEWEST, 1), RULES)
    assert done.actions == (CancelWork(), Fetch(NEWEST))
    assert (done.record.phase, done.record.candidate) == (Phase.FETCHING, NEWEST)
    late: list[Event] = [Fetched(NEW), TurnCame(NEW), Proven(NEW), Agreed(NEW), SwitchAllowed(NEW, 1)]
    for event in [*late, Failed(NEW, "x", "y", 1), Hindered(NEW, "x", "y", 1, 0.0)]:
        assert step(done.record, event, RULES).record == done.record


def test_a_newer_wish_during_the_bake_waits_for_its_end() -> None:
    done = step(BAKING, Offered(NEWEST, 1), RULES)
    assert (done.record, done.actions, done.note) == (BAKING, (), "postponed")


@pytest.mark.parametrize("phase", BEFORE_SERVICE)
def test_a_wish_that_is_taken_back_or_given_up_ends_what_runs_for_it(phase: Phase) -> None:
    withdrawn = step(on_its_way(phase), Withdrawn(), RULES)
    assert (withdrawn.actions, withdrawn.record.candidate) == ((CancelWork(),), None)
    back_to_what_serves = step(on_its_way(phase), Offered(OLD, 1), RULES)
    assert back_to_what_serves.record == withdrawn.record
    cancelled = step(on_its_way(phase), CancelAsked("enough"), RULES)
    assert cancelled.actions == (CancelWork(), Quarantine(NEW, CANCELLED_BY_OPERATOR, "enough"))


@pytest.mark.parametrize(
    ("offer", "code"),
    [
        (Offered(ReleaseRef(1, "f" * 64), 1), "update.manifest"),
        (Offered(ReleaseRef(5, "f" * 64), 1, allow_downgrade=True), "update.manifest"),
        (Offered(NEW, 1), "update.downgrade"),
        (Offered(NEW, 1, allow_downgrade=True, min_release=3), "update.downgrade"),
        (Offered(NEWEST, 1, incompatible="is for others"), "update.incompatible"),
        (Offered(NEWEST, 1, quarantined="it crashed"), "update.quarantined"),
    ],
)
def test_what_may_not_get_in_is_refused_and_told_once(offer: Offered, code: str) -> None:
    record = ModelRecord("door", active=OLD, previous=OLDER, floor=5)
    done = step(record, offer, RULES)
    assert [(type(action), action.code) for action in done.actions if isinstance(action, Refuse)] == [
        (Refuse, code)
    ]
    assert (done.record.phase, done.record.active, done.record.code) == (Phase.IDLE, OLD, code)
    assert step(done.record, offer, RULES).actions == ()


def test_a_signed_downgrade_gets_in_and_leaves_the_floor() -> None:
    record = walk(
        ModelRecord("door", active=OLDER, floor=5),
        Offered(NEW, 1, allow_downgrade=True),
        Fetched(NEW),
        TurnCame(NEW),
        Proven(NEW),
        SwitchAllowed(NEW, 2),
        BakePassed(NEW),
    )
    assert (record.active, record.previous, record.floor) == (NEW, OLDER, 5)


def test_shadow_comes_before_the_switch_and_is_run_again_after_a_restart() -> None:
    done = step(on_its_way(Phase.READY), Offered(NEW, 1, shadow_frames=40), RULES)
    assert (done.actions, done.record.phase) == ((Shadow(NEW, 40),), Phase.SHADOWING)
    assert durable(done.record).phase is Phase.READY
    agreed = step(done.record, Agreed(NEW), RULES)
    assert agreed.actions == (AwaitSwitch(NEW),)
    assert step(agreed.record, Offered(NEW, 1, shadow_frames=40), RULES).actions == ()
    booted = step(durable(agreed.record), Booted(2), RULES)
    assert booted.actions == (Load(OLD),)
    assert step(booted.record, Offered(NEW, 3, shadow_frames=40), RULES).actions == (Shadow(NEW, 40),)


@given(st.integers(0, 60), st.floats(0, 1), st.booleans())
def test_pauses_between_tries_keep_their_bounds_and_a_clock_that_was_set_back_does_not_prolong_them(
    attempts: int, jitter: float, permanent: bool
) -> None:
    waiting = replace(on_its_way(Phase.FETCHING), attempts=attempts)
    record = step(waiting, Hindered(NEW, "update.fetch", "x", 1000, jitter, permanent), RULES).record
    pause_s = record.retry_unix_s - 1000
    assert RULES.min_retry_s <= pause_s <= RULES.max_retry_s
    assert not permanent or pause_s == RULES.max_retry_s
    assert (record.phase, record.attempts) == (Phase.IDLE, attempts + 1)
    assert step(record, Offered(NEW, record.retry_unix_s - 1), RULES).actions == ()
    for offer in (Offered(NEW, record.retry_unix_s), Offered(NEW, 1001, asked=True), Offered(NEW, -99_999)):
        again = step(record, offer, RULES)
        assert (again.actions, again.record.attempts) == ((Fetch(NEW),), attempts + 1)


def test_starts_in_the_bake_are_counted_before_the_load_and_one_too_many_goes_back() -> None:
    record = BAKING
    for boots in (1, 2, 3):
        done = step(record, Booted(1), RULES)
        assert done.record.boots == boots
        assert done.record.seq == record.seq + 1
        assert done.actions[0] == Load(NEW)
        record = done.record
    done = step(record, Booted(50), RULES)
    assert (done.note, done.actions[0], done.record.active, done.urgent) == ("given_up", Load(OLD), OLD, True)
    assert isinstance(done.actions[1], Quarantine)


def test_a_bake_goes_on_where_it_was_after_a_restart_and_a_stop_that_was_asked_for_counts_nothing() -> None:
    record = walk(BAKING, Switched(NEW), BakeTick(NEW, 15.0, 70), BakeTick(NEW, 15.0, 30))
    for _ in range(10):
        done = step(durable(record), Booted(1), RULES)
        assert done.actions == (Load(NEW), Bake(NEW, 30.0, 100))
        record = step(done.record, Stopped(), RULES).record
    assert record.boots == 0


def test_a_failure_in_the_bake_goes_back_at_once_and_is_asked_to_be_remembered_until_it_is() -> None:
    done = step(BAKING, Failed(NEW, "update.bake", "slow", 77), RULES)
    assert done.actions == (SwitchBack(OLD, NEW), Quarantine(NEW, "update.bake", "slow"))
    assert done.urgent
    assert (done.record.active, done.record.floor, done.record.since_unix_s) == (OLD, 1, 77)
    assert step(done.record, Booted(80), RULES).actions == (Load(OLD), done.actions[1])
    assert step(done.record, Offered(NEW, 80), RULES).actions == (done.actions[1],)
    remembered = step(done.record, Quarantined(NEW), RULES)
    assert remembered.actions == (Collect(),)
    assert (remembered.record.candidate, remembered.record.code) == (None, "update.bake")


def test_what_serves_falls_back_to_what_served_before_and_then_to_the_factory_model() -> None:
    record = ModelRecord("door", active=NEW, previous=OLD, floor=2)
    first = step(record, ActiveBad(NEW, "update.store", "damaged", 5), RULES)
    assert (first.actions, first.urgent) == ((SwitchBack(OLD, NEW),), True)
    assert step(first.record, Offered(NEW, 6), RULES).actions == (Fetch(NEW),)
    second = step(first.record, ActiveBad(OLD, "update.store", "damaged", 6), RULES)
    assert second.actions == (SwitchBack(None, OLD),)
    third = step(second.record, ActiveBad(None, "engine.load", "no file", 7), RULES)
    assert (third.actions, third.note, third.record.active) == ((), "nothing_good", None)
    assert third.record.floor == 2


def test_what_is_on_its_way_back_in_serves_at_once_when_what_serves_is_damaged() -> None:
    for phase in BEFORE_SERVICE:
        record = ModelRecord("door", 4, phase, active=NEWEST, previous=NEW, candidate=NEW, floor=9)
        done = step(record, ActiveBad(NEWEST, "update.store", "damaged", 5), RULES)
        assert done.actions == (CancelWork(), SwitchBack(NEW, NEWEST))
        assert (done.record.phase, done.record.candidate, done.record.seq) == (Phase.IDLE, None, 5)


def test_damage_of_what_serves_leaves_a_candidate_on_its_way() -> None:
    for phase in BEFORE_SERVICE:
        done = step(on_its_way(phase), ActiveBad(OLD, "update.store", "damaged", 5), RULES)
        assert (done.record.phase, done.record.candidate, done.record.active) == (phase, NEW, None)


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.BAKING, *BEFORE_SERVICE])
def test_an_operator_goes_back_from_anywhere_and_the_next_look_does_not_undo_it(phase: Phase) -> None:
    record = ModelRecord("door", 1, phase, active=NEW, previous=OLD, floor=2)
    if phase is not Phase.IDLE:
        record = replace(record, candidate=NEW if phase is Phase.BAKING else NEWEST)
    done = step(record, RollbackAsked("bad light", 9), RULES)
    assert done.actions[-2:] == (SwitchBack(OLD, NEW), Quarantine(NEW, ROLLED_BACK_BY_OPERATOR, "bad light"))
    assert (CancelWork() in done.actions) == (phase in BEFORE_SERVICE)
    assert (done.record.active, done.record.phase, done.record.floor) == (OLD, Phase.IDLE, 2)
    assert step(done.record, Offered(NEW, 9), RULES).actions == (done.actions[-1],)


def test_orders_that_make_no_sense_are_refused_and_change_nothing() -> None:
    for record, order in (
        (ModelRecord("door"), RollbackAsked("x", 1)),
        (SERVES_OLD, CancelAsked("x")),
        (BAKING, CancelAsked("x")),
    ):
        done = step(record, order, RULES)
        assert done.record == record
        assert [type(action) for action in done.actions] == [Refuse]


@pytest.mark.parametrize(
    ("phase", "event"),
    [
        (Phase.FETCHING, Proven(NEW)),
        (Phase.STAGED, SwitchAllowed(NEW, 1)),
        (Phase.VALIDATING, Switched(NEW)),
        (Phase.READY, BakePassed(NEW)),
        (Phase.SHADOWING, Booted(1)),
        (Phase.BAKING, Fetched(NEW)),
    ],
)
def test_what_the_phase_does_not_allow_raises(phase: Phase, event: Event) -> None:
    record = BAKING if phase is Phase.BAKING else on_its_way(phase)
    with pytest.raises(IllegalTransition, match=f"door.*{phase.value}"):
        step(record, event, RULES)


def test_every_way_of_the_table_can_be_gone_and_every_phase_has_a_row() -> None:
    assert set(TRANSITIONS) == set(Phase)
    assert {way for ways in TRANSITIONS.values() for way in ways} == set(Way)
