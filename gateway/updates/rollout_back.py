"""How a rollout fails, is undone and starts again: the steps back. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.errors import BakeFailed, LostRace
from gateway.updates.rollout_actions import (
    Action,
    AwaitTurn,
    Bake,
    CancelWork,
    Collect,
    Load,
    Quarantine,
    Refuse,
    SwitchBack,
)
from gateway.updates.rollout_events import (
    ActiveBad,
    Booted,
    CancelAsked,
    Failed,
    Quarantined,
    RollbackAsked,
    Stopped,
)
from gateway.updates.rollout_step import NO_CANDIDATE, Rules, Step, condemned, go, is_late, stay
from gateway.updates.rollout_table import Way
from gateway.updates.state import ModelRecord, Phase

ROLLED_BACK_BY_OPERATOR: Final = "operator.rolled_back"
CANCELLED_BY_OPERATOR: Final = "operator.cancelled"


def failed(record: ModelRecord, event: Failed, _rules: Rules) -> Step:
    """Give the release up; if it serves, go back."""
    if is_late(record, event.ref):
        return stay(record)
    if record.phase is Phase.BAKING:
        return _roll_back(record, Way.ROLLED_BACK, event, SwitchBack(record.previous, event.ref))
    return condemn(record, Way.REJECTED, event.code, event.reason)


def active_bad(record: ModelRecord, event: ActiveBad, _rules: Rules) -> Step:
    """Fall back to what served before, or further."""
    if event.ref != record.active:
        return stay(record)
    if event.ref is None:
        return go(record, Way.NOTHING_GOOD, code=event.code, reason=event.reason)
    if record.phase is Phase.BAKING:
        return _roll_back(record, Way.ROLLED_BACK, event, SwitchBack(record.previous, event.ref))
    actions: tuple[Action, ...] = (SwitchBack(record.previous, event.ref),)
    if record.candidate == record.previous and record.phase is not Phase.IDLE:
        # What was on its way back in is what serves now.
        record = replace(go(record, Way.WITHDRAWN, **NO_CANDIDATE).record, seq=record.seq)
        actions = (CancelWork(), *actions)
    fallen = go(
        record,
        Way.FELL_BACK,
        *actions,
        active=record.previous,
        previous=None,
        code=event.code,
        reason=event.reason,
        since_unix_s=event.now_unix_s,
    )
    return replace(fallen, urgent=True)


def rollback_asked(record: ModelRecord, event: RollbackAsked, _rules: Rules) -> Step:
    """Go back because an operator says so; without quarantine the next look would bring it back."""
    if record.active is None:
        return stay(
            record, Refuse(None, LostRace.label, "the factory model serves: there is nothing before it")
        )
    if condemned(record):
        reason = "a release that failed is being put into quarantine: ask again"
        return stay(record, quarantine(record), Refuse(record.candidate, LostRace.label, reason))
    said = ActiveBad(record.active, ROLLED_BACK_BY_OPERATOR, event.reason, event.now_unix_s)
    before: tuple[Action, ...] = () if record.phase in (Phase.IDLE, Phase.BAKING) else (CancelWork(),)
    switch = SwitchBack(record.previous, record.active)
    return _roll_back(record, Way.ROLLED_BACK, said, *before, switch)


def cancel_asked(record: ModelRecord, event: CancelAsked, _rules: Rules) -> Step:
    """Give up what is on its way because an operator says so."""
    if record.phase is Phase.BAKING:
        reason = "it serves already: ask for a rollback"
        return stay(record, Refuse(record.candidate, LostRace.label, reason))
    if record.candidate is None or condemned(record):
        return stay(record, Refuse(None, LostRace.label, "nothing is on its way"))
    return condemn(record, Way.CANCELLED, CANCELLED_BY_OPERATOR, event.reason)


def booted(record: ModelRecord, event: Booted, rules: Rules) -> Step:
    """Say what to serve and what goes on at the start of the process."""
    load = Load(record.active)
    candidate = record.candidate
    if candidate is None:
        return go(record, Way.BOOTED, load)
    if condemned(record):
        return go(record, Way.BOOTED, load, quarantine(record))
    if record.phase is Phase.VALIDATING:
        return go(record, Way.BOOTED, load, AwaitTurn(candidate))
    if record.phase is not Phase.BAKING:
        return go(record, Way.BOOTED, load)
    if record.boots < rules.max_boots:
        bake = Bake(candidate, record.baked_s, record.baked_requests)
        return go(record, Way.BOOTED, load, bake, boots=record.boots + 1)
    reason = (
        f"release {candidate.number}: the gateway started {record.boots} times in its bake and did not last"
    )
    why = Failed(candidate, BakeFailed.label, reason, event.now_unix_s)
    return _roll_back(record, Way.GIVEN_UP, why, Load(record.previous))


def stopped(record: ModelRecord, _event: Stopped, _rules: Rules) -> Step:
    """Take a start back that ended well."""
    if record.phase not in (Phase.VALIDATING, Phase.BAKING) or not record.boots:
        return stay(record)
    return go(record, Way.STOPPED, boots=record.boots - 1)


def quarantined(record: ModelRecord, event: Quarantined, _rules: Rules) -> Step:
    """Let the release be forgotten, now that the quarantine remembers it."""
    if not condemned(record) or event.ref != record.candidate:
        return stay(record)
    return go(record, Way.QUARANTINED, Collect(), **NO_CANDIDATE)


def condemn(record: ModelRecord, way: Way, code: str, reason: str) -> Step:
    """Give up a candidate that does not serve."""
    changes = {**NO_CANDIDATE, "candidate": record.candidate, "code": code, "reason": reason}
    given_up = go(record, way, CancelWork(), **changes)
    return replace(given_up, actions=(*given_up.actions, quarantine(given_up.record)))


def quarantine(record: ModelRecord) -> Quarantine:
    """Return what puts a condemned candidate away."""
    assert record.candidate is not None
    return Quarantine(record.candidate, record.code, record.reason)


def _roll_back(record: ModelRecord, way: Way, why: Failed | ActiveBad, *actions: Action) -> Step:
    """Let what served before serve again, and give up what serves; ``actions`` make it so."""
    changes = {
        **NO_CANDIDATE,
        "active": record.previous,
        "previous": None,
        "candidate": record.active,
        "code": why.code,
        "reason": why.reason,
        "since_unix_s": why.now_unix_s,
    }
    back = go(record, way, *actions, **changes)
    return replace(back, actions=(*back.actions, quarantine(back.record)), urgent=True)
