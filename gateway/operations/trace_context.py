"""W3C Trace Context: what ``traceparent`` and ``tracestate`` say, and what is said on behalf of a span. Pure.

Version 00 is written; of a later version what version 00 knows is read. Anything else is
no context at all: whoever sent it is given a trace that begins here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

SAMPLED: Final = 1
# The recommendation's second level says of this one that it goes on too: the trace's id is random.
_RANDOM: Final = 2
_KNOWN_FLAGS: Final = SAMPLED | _RANDOM
_PARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[\x20-\x7e]{0,512})?"
)
_MEMBER: Final = re.compile(
    r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
MOST_STATE: Final = 512
_MOST_MEMBERS: Final = 32
_LONG_MEMBER: Final = 128
# Past this nobody's state is looked at: 32 members cannot be longer.
_MOST_READ: Final = 32 * 514


@dataclass(frozen=True, slots=True)
class TraceParent:
    """Where a request stands in a trace.

    Attributes:
        trace_id: 32 hexadecimal digits, not all 0.
        span_id: Of who asks: 16 hexadecimal digits, not all 0.
        flags: ``SAMPLED`` and what else goes on.
    """

    trace_id: str
    span_id: str
    flags: int = 0

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


@dataclass(slots=True, eq=False)
class Span:
    """The gateway's part in a trace: one request at one door.

    Attributes:
        own: The trace, with this span as the parent of what comes after.
        parent_id: The span of who asked; empty where the trace begins here.
        state: ``tracestate`` as it goes on; empty for none.
        began_s: Monotonic seconds.
        model: Which model was asked, once that is known.
        is_over: Whether the request was answered: what is logged later is about something else.
    """

    own: TraceParent
    parent_id: str
    state: str
    began_s: float
    model: str = field(default="")
    is_over: bool = field(default=False)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Names and values that tell others of it."""
        own = ("traceparent", str(self.own))
        return (own, ("tracestate", self.state)) if self.state else (own,)


def read_parent(text: str) -> TraceParent | None:
    """Return what a ``traceparent`` says; None where that is nothing that the recommendation knows."""
    found = _PARENT.fullmatch(text)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if more is not None and version == "00":
        return None
    return TraceParent(trace_id, span_id, int(flags, 16) & _KNOWN_FLAGS)


def read_state(lines: Sequence[str]) -> str:
    """Return the ``tracestate`` that goes on: as it came, in one line; empty where it is none.

    Of one that is too long the long members go first, from the end, and then others from the end.
    """
    whole = ",".join(lines)
    if len(whole) > _MOST_READ:
        return ""
    members = [each for each in (part.strip(" \t") for part in whole.split(",")) if each]
    if len(members) > _MOST_MEMBERS or not all(map(_MEMBER.fullmatch, members)):
        return ""
    if len(whole) <= MOST_STATE and "\t" not in whole:  # gRPC has no words for a tab
        return whole if members else ""
    for longer_than in (_LONG_MEMBER, 0):
        for at in reversed(range(len(members))):
            if sum(map(len, members)) + len(members) - 1 <= MOST_STATE:
                break
            if len(members[at]) > longer_than:
                del members[at]
    return ",".join(members)


def span_of(parents: Sequence[str], states: Sequence[str], new: TraceParent, began_s: float) -> Span:
    """Return the span of a request.

    Args:
        parents: Every ``traceparent`` that came: more than one are none.
        states: Every line of ``tracestate`` that came.
        new: The ids of the span, and of the trace where it begins here.
        began_s: When the request came, monotonic seconds.
    """
    parent = read_parent(parents[0]) if len(parents) == 1 else None
    if parent is None:
        return Span(new, "", "", began_s)
    own = TraceParent(parent.trace_id, new.span_id, parent.flags)
    return Span(own, parent.span_id, read_state(states), began_s)
