"""The rollout table: what each event does, and that no power cut changes where a rollout ends."""

from __future__ import annotations

from typing import Final

from gateway.updates.release import ReleaseRef
from gateway.updates.rollout import step
from gateway.updates.rollout_actions import (
    AwaitSwitch,
    AwaitTurn,
    Bake,
    Collect,
    Fetch,
    Load,
    Switch,
    Validate,
)
from gateway.updates.rollout_events import (
    BakePassed,
    BakeTick,
    Booted,
    Event,
    Fetched,
    Offered,
    Proven,
    SwitchAllowed,
    Switched,
    TurnCame,
)
from gateway.updates.rollout_step import Rules
from gateway.updates.state import ModelRecord, Phase

RULES: Final = Rules(max_boots=3)
OLD: Final = ReleaseRef(1, "a" * 64)
NEW: Final = ReleaseRef(2, "b" * 64)


def test_a_good_release_goes_from_offer_to_commit() -> None:
    record = ModelRecord("door", active=OLD, floor=1)
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
        record = done.record
    assert (record.active, record.previous, record.candidate, record.floor) == (NEW, OLD, None, 2)
