"""What time it is for the expiry of signatures, on boards whose clock may be wrong. Pure.

A board without a battery wakes up in 1970, where nothing has ever expired. The
time therefore never goes below what is known to be past: the moment this
software was built, the newest signature that was accepted, the last time that
was used with success. A clock that is far ahead cannot be put right from here:
everything has expired then, nothing is installed, and what serves goes on.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

# An author's clock may run a little ahead of a board's without either being wrong.
SLACK_S: Final = 300.0
# No build of this software is in use for longer.
MOST_AHEAD_S: Final = 20 * 365 * 86_400.0


class Clock(enum.Enum):
    """Whether the system's clock can be right."""

    OK = "ok"
    UNTRUSTED = "untrusted"


@dataclass(frozen=True, slots=True)
class ClockFloor:
    """What is known to be past.

    Attributes:
        used_unix_s: The last time with which fresh signatures were accepted; 0 for none.
        issued_unix_s: When the newest accepted signature was made; 0 for never.
        keys: Key ids that could sign timestamps then. When one of them is revoked, whoever held it may
            have made up both times, and they count no longer.
    """

    used_unix_s: int = 0
    issued_unix_s: int = 0
    keys: tuple[str, ...] = ()

    def past_unix_s(self) -> int:
        """Return the latest time that is known to be past; 0 if none is."""
        return max(self.used_unix_s, self.issued_unix_s)


@dataclass(frozen=True, slots=True)
class Reading:
    """The time to go by.

    Attributes:
        now_unix_s: Seconds; never below what is known to be past.
        clock: Whether the system's clock can be right.
    """

    now_unix_s: float
    clock: Clock


def read_clock(system_unix_s: float, floor: ClockFloor, build_unix_s: int) -> Reading:
    """Return the time to go by.

    Args:
        system_unix_s: What the system says.
        floor: What is known to be past.
        build_unix_s: When this software was built.
    """
    past_s = max(floor.past_unix_s(), build_unix_s)
    behind = system_unix_s < past_s - SLACK_S
    ahead = system_unix_s > build_unix_s + MOST_AHEAD_S
    return Reading(max(system_unix_s, past_s), Clock.UNTRUSTED if behind or ahead else Clock.OK)
