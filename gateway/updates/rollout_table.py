"""The phases of a rollout and the ways between them, as a table. Pure."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from gateway.updates.state import Phase


class Way(enum.Enum):
    """What a rollout may do next; also the name of the step in logs and on the ``event`` topic."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    SUPERSEDED = "superseded"
    POSTPONED = "postponed"
    WITHDRAWN = "withdrawn"
    CANCELLED = "cancelled"
    HINDERED = "hindered"
    FETCHED = "fetched"
    VALIDATING = "validating"
    PROVEN = "proven"
    SHADOWING = "shadowing"
    AGREED = "agreed"
    REJECTED = "rejected"
    SWITCHING = "switching"
    SERVING = "serving"
    WATCHED = "watched"
    COMMITTED = "committed"
    GIVEN_UP = "given_up"
    ROLLED_BACK = "rolled_back"
    FELL_BACK = "fell_back"
    NOTHING_GOOD = "nothing_good"
    QUARANTINED = "quarantined"
    BOOTED = "booted"
    STOPPED = "stopped"


_P, _W = Phase, Way

# What ends a candidate that does not serve yet, or leaves it where it is while the active one ends.
_BEFORE_SERVICE: Final[Mapping[Way, Phase]] = {
    _W.SUPERSEDED: _P.FETCHING,
    _W.REFUSED: _P.IDLE,
    _W.WITHDRAWN: _P.IDLE,
    _W.CANCELLED: _P.IDLE,
    _W.HINDERED: _P.IDLE,
    _W.REJECTED: _P.IDLE,
    _W.ROLLED_BACK: _P.IDLE,
}

TRANSITIONS: Final[Mapping[Phase, Mapping[Way, Phase]]] = {
    _P.IDLE: {
        _W.BOOTED: _P.IDLE,
        _W.ACCEPTED: _P.FETCHING,
        _W.REFUSED: _P.IDLE,
        _W.WITHDRAWN: _P.IDLE,
        _W.CANCELLED: _P.IDLE,
        _W.QUARANTINED: _P.IDLE,
        _W.ROLLED_BACK: _P.IDLE,
        _W.FELL_BACK: _P.IDLE,
        _W.NOTHING_GOOD: _P.IDLE,
    },
    _P.FETCHING: {
        **_BEFORE_SERVICE,
        _W.FETCHED: _P.STAGED,
        _W.FELL_BACK: _P.FETCHING,
        _W.NOTHING_GOOD: _P.FETCHING,
    },
    _P.STAGED: {
        **_BEFORE_SERVICE,
        _W.VALIDATING: _P.VALIDATING,
        _W.FELL_BACK: _P.STAGED,
        _W.NOTHING_GOOD: _P.STAGED,
    },
    _P.VALIDATING: {
        **_BEFORE_SERVICE,
        _W.BOOTED: _P.VALIDATING,
        _W.STOPPED: _P.VALIDATING,
        _W.VALIDATING: _P.VALIDATING,
        _W.GIVEN_UP: _P.IDLE,
        _W.PROVEN: _P.READY,
        _W.FELL_BACK: _P.VALIDATING,
        _W.NOTHING_GOOD: _P.VALIDATING,
    },
    _P.READY: {
        **_BEFORE_SERVICE,
        _W.BOOTED: _P.READY,
        _W.SHADOWING: _P.SHADOWING,
        _W.SWITCHING: _P.BAKING,
        _W.FELL_BACK: _P.READY,
        _W.NOTHING_GOOD: _P.READY,
    },
    _P.SHADOWING: {
        **_BEFORE_SERVICE,
        _W.AGREED: _P.SHADOWING,
        _W.SWITCHING: _P.BAKING,
        _W.FELL_BACK: _P.SHADOWING,
        _W.NOTHING_GOOD: _P.SHADOWING,
    },
    _P.BAKING: {
        _W.BOOTED: _P.BAKING,
        _W.STOPPED: _P.BAKING,
        _W.SERVING: _P.BAKING,
        _W.WATCHED: _P.BAKING,
        _W.POSTPONED: _P.BAKING,
        _W.COMMITTED: _P.IDLE,
        _W.GIVEN_UP: _P.IDLE,
        _W.ROLLED_BACK: _P.IDLE,
    },
}
"""Phase after each way; what is not here is never done."""
