"""Whether an assignment means this board now, and whether the board can run the release. Pure.

Boards fall into buckets by a hash, so nobody keeps a list of them: whoever joins
later has a bucket too, and raising the percentage only ever adds boards.
"""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from gateway.updates.assignment import BUCKETS, Assignment, Window, Wish
from gateway.updates.release import Release

_DAY_S: Final = 86_400.0
_NUMBERS: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")


class Choice(enum.Enum):
    """What an assignment means for this board; from the most to the least forbidding."""

    PAUSED = "paused"
    OUTSIDE_PERCENT = "outside_percent"
    NOT_YET = "not_yet"
    OUTSIDE_WINDOW = "outside_window"
    SELECTED = "selected"


_ORDER: Final = {choice: index for index, choice in enumerate(Choice)}


@dataclass(frozen=True, slots=True)
class Selection:
    """The choice, and when to ask again.

    Attributes:
        choice: What to do. For ``OUTSIDE_WINDOW`` only the switch waits; fetching and validating need not.
        wait_s: Seconds until time alone may change it; 0 if only another assignment can.
    """

    choice: Choice
    wait_s: float = 0.0

    @property
    def may_fetch(self) -> bool:
        """Whether the release may be fetched and validated."""
        return self.choice in (Choice.SELECTED, Choice.OUTSIDE_WINDOW)

    @property
    def may_switch(self) -> bool:
        """Whether the release may take over."""
        return self.choice is Choice.SELECTED


def bucket(seed: str, device: str, model: str) -> int:
    """Return the bucket of a board for a model, 0 to ``BUCKETS`` - 1; the same everywhere and always."""
    digest = hashlib.sha256(f"{seed}|{device}|{model}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest, "big") % BUCKETS


def members(assignment: Assignment, model: str) -> tuple[str, ...]:
    """Return the models that switch together with ``model``, itself among them."""
    return next((names for names in assignment.sets if model in names), (model,))


def judge(wish: Wish, device: str, model: str, now_unix_s: float, local_window: Window | None) -> Selection:
    """Say what one wish means for this board.

    Args:
        wish: The wish.
        device: The board's id.
        model: Name that makes the bucket: the model's, or that of the first model of its set.
        now_unix_s: The time, as far as it is known.
        local_window: When the board's owner allows a switch; None for any time.
    """
    if wish.paused:
        return Selection(Choice.PAUSED)
    share = round(wish.percent * BUCKETS / 100)
    if device not in wish.canary and bucket(wish.seed, device, model) >= share:
        return Selection(Choice.OUTSIDE_PERCENT)
    if now_unix_s < wish.not_before:
        return Selection(Choice.NOT_YET, wish.not_before - now_unix_s)
    windows = [window for window in (wish.window, local_window) if window is not None]
    wait_s = _until_open(windows, now_unix_s % _DAY_S)
    return Selection(Choice.OUTSIDE_WINDOW, wait_s) if wait_s else Selection(Choice.SELECTED)


def judge_assigned(
    assignment: Assignment, device: str, model: str, now_unix_s: float, local_window: Window | None
) -> Selection | None:
    """Say what an assignment means for one model of this board; the same for every model of a set.

    All models of a set share the bucket of its first name, and the most forbidding of
    their wishes holds for all of them, so that a board never has half a set.

    Returns:
        None if the assignment does not name the model.
    """
    names = members(assignment, model)
    if model not in assignment.models:
        return None
    selections = [
        judge(assignment.models[name], device, names[0], now_unix_s, local_window)
        for name in names
        if name in assignment.models
    ]
    first = min(_ORDER[selection.choice] for selection in selections)
    return max(
        (selection for selection in selections if _ORDER[selection.choice] == first),
        key=lambda selection: selection.wait_s,
    )


def compatible(release: Release, gateway_version: str, hardware_names: Collection[str]) -> str:
    """Return why a board cannot run a release; empty if it can.

    Args:
        release: The release.
        gateway_version: The gateway's own, ``X.Y.Z``; what follows the numbers is not looked at.
        hardware_names: What the board is called.
    """
    if release.min_gateway and _version(gateway_version) < _version(release.min_gateway):
        return f"needs gateway {release.min_gateway} or newer, this is {gateway_version}"
    if release.hardware and not set(release.hardware) & set(hardware_names):
        return f"is for {', '.join(release.hardware[:8])}; this is {', '.join(sorted(hardware_names)[:8])}"
    return ""


def _version(text: str) -> tuple[int, ...]:
    found = _NUMBERS.match(text)
    numbers = [int(part[:9]) for part in found[0].split(".")[:3]] if found else []
    return tuple([*numbers, 0, 0, 0][:3])


def _until_open(windows: list[Window], second: float) -> float:
    """Return the seconds until all windows are open at once; a day if they never are.

    Args:
        windows: Any number of them.
        second: Seconds after midnight.
    """
    # All of them open together at the very moment when the last of them opens, or now.
    waits = [0.0, *((window.start_minute * 60 - second) % _DAY_S for window in windows)]
    fitting = [
        wait for wait in waits if all(_is_open(window, (second + wait) % _DAY_S) for window in windows)
    ]
    return min(fitting, default=_DAY_S)


def _is_open(window: Window, second: float) -> bool:
    length_s = (window.end_minute - window.start_minute) * 60 % _DAY_S or _DAY_S
    # Half a millisecond forgives what floats lose on the way to the very second of opening.
    return (second - window.start_minute * 60 + 5e-4) % _DAY_S < length_s
