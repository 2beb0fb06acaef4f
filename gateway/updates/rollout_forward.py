"""How a release gets in: the steps forward, from the offer to the commit. Pure."""

from __future__ import annotations

from typing import Final

from gateway.errors import (
    DowngradeRefused,
    ManifestRefused,
    ReleaseIncompatible,
    ReleaseQuarantined,
    ValidationFailed,
)
from gateway.updates.release import ReleaseRef
from gateway.updates.rollout_actions import (
    AwaitSwitch,
    AwaitTurn,
    Bake,
    CancelWork,
    Collect,
    Fetch,
    Refuse,
    Shadow,
    Switch,
    Validate,
)
from gateway.updates.rollout_back import condemn, quarantine
from gateway.updates.rollout_events import (
    Agreed,
    BakePassed,
    BakeTick,
    Fetched,
    Hindered,
    Offered,
    Proven,
    SwitchAllowed,
    Switched,
    TurnCame,
    Withdrawn,
)
from gateway.updates.rollout_step import MOST_REASON, NO_CANDIDATE, Rules, Step, condemned, go, is_late, stay
from gateway.updates.rollout_table import Way
from gateway.updates.state import ModelRecord, Phase

_MOST_DOUBLINGS: Final = 30


def offered(record: ModelRecord, event: Offered, rules: Rules) -> Step:
    """Take the newest wish."""
    if event.ref == record.active:
        return stay(record) if record.phase is Phase.BAKING else withdrawn(record, Withdrawn(), rules)
    if record.phase is Phase.BAKING:
        return go(record, Way.POSTPONED)
    if condemned(record):
        return stay(record, quarantine(record))
    code, reason = _objection(record, event)
    if code:
        return _refused(record, event.ref, code, reason)
    if event.ref == record.candidate:
        return _renewed(record, event, rules)
    fresh = {**NO_CANDIDATE, "candidate": event.ref, "code": "", "reason": ""}
    if record.phase is Phase.IDLE:
        return go(record, Way.ACCEPTED, Fetch(event.ref), **fresh)
    return go(record, Way.SUPERSEDED, CancelWork(), Fetch(event.ref), **fresh)


def _renewed(record: ModelRecord, event: Offered, rules: Rules) -> Step:
    """Take the offer of what is on its way already."""
    if record.phase is Phase.IDLE:
        pause_s = record.retry_unix_s - event.now_unix_s
        # A longer pause than there ever is says that the clock was set back.
        if not event.asked and 0 < pause_s <= rules.max_retry_s:
            return stay(record)
        return go(record, Way.ACCEPTED, Fetch(event.ref))
    if record.phase is Phase.READY:
        if event.shadow_frames:
            return go(record, Way.SHADOWING, Shadow(event.ref, event.shadow_frames))
        return stay(record, AwaitSwitch(event.ref))
    return stay(record)


def _objection(record: ModelRecord, event: Offered) -> tuple[str, str]:
    """Return label and reason why a release is not taken; empty if it is."""
    number = event.ref.number
    for known in (record.active, record.previous):
        if known is not None and known.number == number and known != event.ref:
            reason = f"release {number} is known here with other contents: a number is never used twice"
            return ManifestRefused.label, reason
    if event.quarantined:
        return ReleaseQuarantined.label, f"release {number} is in quarantine: {event.quarantined}"
    if event.incompatible:
        return ReleaseIncompatible.label, f"release {number} {event.incompatible}"
    if number < event.min_release:
        reason = f"release {number} is older than {event.min_release}, which its author calls the oldest"
        return DowngradeRefused.label, reason
    if number < record.floor and not event.allow_downgrade:
        reason = f"release {number} is older than {record.floor}, which was committed here"
        return DowngradeRefused.label, reason
    return "", ""


def _refused(record: ModelRecord, ref: ReleaseRef, code: str, reason: str) -> Step:
    refuse = Refuse(ref, code, reason)
    changes = {**NO_CANDIDATE, "code": code, "reason": reason}
    if record.phase is not Phase.IDLE:
        return go(record, Way.REFUSED, CancelWork(), refuse, **changes)
    if (record.code, record.reason, record.candidate) == (code, reason[:MOST_REASON], None):
        return stay(record)  # said once already
    return go(record, Way.REFUSED, refuse, **changes)


def withdrawn(record: ModelRecord, _event: Withdrawn, _rules: Rules) -> Step:
    """Leave a candidate that nobody wishes here any more; what serves goes on."""
    if record.phase is Phase.BAKING or record.candidate is None or condemned(record):
        return stay(record)
    return go(record, Way.WITHDRAWN, CancelWork(), **NO_CANDIDATE)


def fetched(record: ModelRecord, event: Fetched, _rules: Rules) -> Step:
    """Let the release wait for its validation."""
    if is_late(record, event.ref):
        return stay(record)
    return go(record, Way.FETCHED, AwaitTurn(event.ref))


def turn_came(record: ModelRecord, event: TurnCame, rules: Rules) -> Step:
    """Count a try, then start it."""
    if is_late(record, event.ref):
        return stay(record)
    boots = record.boots + 1
    if boots <= rules.max_boots:
        return go(record, Way.VALIDATING, Validate(event.ref), boots=boots)
    reason = f"release {event.ref.number}: {record.boots} validations ended with the process or the board"
    return condemn(record, Way.GIVEN_UP, ValidationFailed.label, reason)


def hindered(record: ModelRecord, event: Hindered, rules: Rules) -> Step:
    """Wait and try again; each pause is drawn from a longer span than the one before."""
    if is_late(record, event.ref):
        return stay(record)
    longest_s = min(rules.max_retry_s, rules.min_retry_s << min(record.attempts + 1, _MOST_DOUBLINGS))
    longest_s = max(longest_s, rules.min_retry_s)
    pause_s = rules.min_retry_s + round(event.jitter * (longest_s - rules.min_retry_s))
    if event.permanent:
        pause_s = rules.max_retry_s
    changes = {
        **NO_CANDIDATE,
        "candidate": event.ref,
        "attempts": record.attempts + 1,
        "retry_unix_s": event.now_unix_s + pause_s,
        "code": event.code,
        "reason": event.reason,
    }
    return go(record, Way.HINDERED, CancelWork(), **changes)


def proven(record: ModelRecord, event: Proven, _rules: Rules) -> Step:
    """Keep the release as good until the wish is renewed."""
    if is_late(record, event.ref):
        return stay(record)
    return go(record, Way.PROVEN, boots=0, code="", reason="")


def agreed(record: ModelRecord, event: Agreed, _rules: Rules) -> Step:
    """Let the release wait for the switch."""
    if is_late(record, event.ref):
        return stay(record)
    return go(record, Way.AGREED, AwaitSwitch(event.ref))


def switch_allowed(record: ModelRecord, event: SwitchAllowed, _rules: Rules) -> Step:
    """Make the release the active one; the bake begins when it answers."""
    if is_late(record, event.ref):
        return stay(record)
    changes = {
        **NO_CANDIDATE,
        "active": event.ref,
        "previous": record.active,
        "candidate": event.ref,
        "since_unix_s": event.now_unix_s,
        "code": "",
        "reason": "",
    }
    return go(record, Way.SWITCHING, Switch(event.ref, record.active), **changes)


def switched(record: ModelRecord, event: Switched, _rules: Rules) -> Step:
    """Begin the bake."""
    if is_late(record, event.ref):
        return stay(record)
    return go(record, Way.SERVING, Bake(event.ref, record.baked_s, record.baked_requests))


def bake_tick(record: ModelRecord, event: BakeTick, _rules: Rules) -> Step:
    """Count watched service."""
    if is_late(record, event.ref):
        return stay(record)
    baked_s = record.baked_s + event.seconds
    requests = record.baked_requests + event.requests
    watched = go(record, Way.WATCHED, baked_s=baked_s, baked_requests=requests)
    return Step(watched.record)


def bake_passed(record: ModelRecord, event: BakePassed, _rules: Rules) -> Step:
    """Commit."""
    if is_late(record, event.ref):
        return stay(record)
    floor = max(record.floor, event.ref.number)
    return go(record, Way.COMMITTED, Collect(), floor=floor, **NO_CANDIDATE)
