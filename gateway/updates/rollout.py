"""The rollout of one model: events in, a record and actions out; decides everything and does nothing. Pure.

The shell's part:

1. If ``step.record.seq`` differs from the record's before, commit ``durable(step.record)`` first, then
   carry out the actions in order. If the disk refuses, try the same commit again until it takes it; carry
   out the actions of an ``urgent`` step without waiting. Until the commit is there, give no other event,
   not even the answers to those actions: keep them. Only ``ActiveBad`` may be given at once: what comes of
   it goes into the same write. If somebody else wrote meanwhile (``LostRace``), read the record anew and
   give the event again.
2. A ``Booted`` that cannot be committed is dropped: give ``ActiveBad`` with the active release instead.
   A release in its bake is not loaded by a process that cannot count its starts.
3. If an action fails, leave out the rest of its step and give the event that its docstring names.
4. Offer the newest wish again after every step that leaves the record in ``IDLE`` or ``READY`` and has a
   note: nothing but the bake goes on after a restart until the wish is known to hold still.
5. ``Withdrawn`` stands for "nothing is wished", "not for this board" and "paused"; a closed window only
   delays ``SwitchAllowed``.

Rules (each a property in ``tests/updates/test_rollout.py`` or ``test_rollout_power.py``):

1. An event that the phase does not allow raises and changes nothing; what comes late, of work that is no
   longer wanted, is ignored.
2. The floor never falls; a commit raises it to the release's number if that is greater.
3. What serves is what the record calls active, before and after every action.
4. Power may fail after any write, and again during recovery: the same offer leads to the same end.
5. A release that failed is quarantined, and not taken again until it is let out: while ``candidate`` is
   set in ``IDLE`` without ``attempts``, its quarantine is not yet known to be written, and asked for again.
6. A start in the bake is counted before the model is loaded, a try before its process is started; one
   more than ``max_boots`` is one too many.
7. When what serves goes bad, what served before takes over, and after it the factory model; damage is
   nobody's fault and quarantines nobody, unless it ends a bake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.updates import rollout_back, rollout_events, rollout_forward
from gateway.updates.rollout_events import Event
from gateway.updates.rollout_step import Rules, Step
from gateway.updates.state import ModelRecord

_HANDLERS: Final[Mapping[type, Callable[[ModelRecord, Any, Rules], Step]]] = {
    rollout_events.Offered: rollout_forward.offered,
    rollout_events.Withdrawn: rollout_forward.withdrawn,
    rollout_events.Fetched: rollout_forward.fetched,
    rollout_events.TurnCame: rollout_forward.turn_came,
    rollout_events.Hindered: rollout_forward.hindered,
    rollout_events.Proven: rollout_forward.proven,
    rollout_events.Agreed: rollout_forward.agreed,
    rollout_events.SwitchAllowed: rollout_forward.switch_allowed,
    rollout_events.Switched: rollout_forward.switched,
    rollout_events.BakeTick: rollout_forward.bake_tick,
    rollout_events.BakePassed: rollout_forward.bake_passed,
    rollout_events.Failed: rollout_back.failed,
    rollout_events.ActiveBad: rollout_back.active_bad,
    rollout_events.RollbackAsked: rollout_back.rollback_asked,
    rollout_events.CancelAsked: rollout_back.cancel_asked,
    rollout_events.Booted: rollout_back.booted,
    rollout_events.Stopped: rollout_back.stopped,
    rollout_events.Quarantined: rollout_back.quarantined,
}


def step(record: ModelRecord, event: Event, rules: Rules) -> Step:
    """Take one event.

    Args:
        record: The record as the last step left it; at the start of the process, as it was read.
        event: What happened.
        rules: How patient to be.

    Raises:
        IllegalTransition: The phase does not allow it; nothing changed.
    """
    return _HANDLERS[type(event)](record, event, rules)
