"""What is known of the updates of this board at this moment: rollouts, wishes, trust, orders in force."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from gateway.configuration.settings import UpdateSettings
from gateway.daemon.model_rollout import ModelRollout
from gateway.updates.assignment import Assignment, Window
from gateway.updates.release import Release
from gateway.updates.reported import Trust
from gateway.updates.selection import Selection, judge_assigned, members
from gateway.updates.state import Phase


@dataclass(slots=True)
class UpdateBoard:
    """Shared by the parts of ``Updates``; lives in the event loop.

    Attributes:
        device: Name of this board for percentages and canaries.
        hardware: What it is called.
        settings: What is configured.
        rollouts: By model.
        assignment: What the group should run; None while nothing is known.
        trust: How far the repository is followed.
        expires_unix_s: When each role's metadata expires.
        request_id: That of the doorbell which was heard last.
        paused: True while an order says that nothing new is taken.
        trouble: Why the last look failed; empty if it did not.
        child_peak_bytes: Greatest memory of the last updater process.
    """

    device: str
    hardware: tuple[str, ...]
    settings: UpdateSettings
    rollouts: dict[str, ModelRollout] = field(default_factory=dict)
    assignment: Assignment | None = None
    trust: Trust = field(default_factory=Trust)
    expires_unix_s: dict[str, int] = field(default_factory=dict)
    request_id: str = ""
    paused: bool = False
    trouble: str = ""
    child_peak_bytes: int = 0

    def selection(self, model: str) -> Selection | None:
        """Return what the assignment means for a model now; None if it wishes nothing."""
        if self.assignment is None:
            return None
        return judge_assigned(
            self.assignment, self.device, model, time.time(), local_window(self.settings.window)
        )

    def mates(self, model: str) -> list[ModelRollout]:
        """Return the rollouts that switch together with a model's, its own among them."""
        names = (model,) if self.assignment is None else members(self.assignment, model)
        return [self.rollouts[name] for name in names if name in self.rollouts]

    def spare(self) -> list[Release]:
        """Return the releases that are wished: what there is of them must not be collected."""
        return [each.offer.release for each in self.rollouts.values() if each.offer is not None]

    def may_commit(self, model: str) -> bool:
        """Return whether no mate's bake is still open."""
        return all(mate.record.phase is not Phase.BAKING or mate.baked for mate in self.mates(model))


def local_window(text: str) -> Window | None:
    """Return the window that ``HH:MM-HH:MM`` says; None for an empty text."""
    if not text:
        return None
    start, end = (int(part[:2]) * 60 + int(part[3:]) for part in text.split("-"))
    return Window(start, end)
