"""Whether more replicas of the whole gateway are wanted, or one fewer would do: for clusters. Pure.

The wish follows the rule of lanes: it must last for as many samples in a row, and
so must its absence. Adding replicas is the cluster's business.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.scaling.decisions import LASTING, Action, Decision
from gateway.scaling.demand import ModelDemand, is_late
from gateway.scaling.rules import Rules
from gateway.scaling.streaks import Streak

# With one replica fewer, the busiest case is that one does the work of two.
_SPARE_SHARE = 0.5


class ScaleOut:
    """Turns what the policy decides into two answers for a cluster.

    Attributes:
        wanted: Whether more replicas are wanted: demand lasts, and memory, processors or the most lanes
            forbid more lanes here.
        spare: Whether this replica could do twice the work with the lanes it was configured with.
        reason: Why more are wanted, with numbers; empty if they are not.
    """

    def __init__(self, rules: Rules) -> None:
        self.wanted = False
        self.spare = False
        self.reason = ""
        self._rules = rules
        self._wish = Streak()
        self._content = Streak()
        self._at_s: float | None = None
        self._idle_since_s: float | None = None

    def note(self, at_s: float, demands: Sequence[ModelDemand], decisions: Sequence[Decision]) -> None:
        """Take in one sample.

        Args:
            at_s: The sample's time, monotonic seconds. One that was seen before, or was hurried, is ignored.
            demands: Every serving model, once.
            decisions: What the policy decided on them.
        """
        if self._at_s is not None and at_s - self._at_s < self._rules.early_s:
            return
        if self._at_s is None or at_s - self._at_s > self._rules.gap_s:
            self._wish.reset()
            self._content.reset()
            self._idle_since_s = None
        self._at_s = at_s
        unmet = [decision for decision in decisions if _is_unmet(decision)]
        self._wish.note(holds=bool(unmet))
        self._content.note(holds=not unmet)
        if self._wish.count >= self._rules.samples:
            self.wanted = True
            self.reason = "; ".join(f"{each.model or each.device}: {each.text}" for each in unmet)
        elif self._content.count >= self._rules.samples:
            self.wanted, self.reason = False, ""
        self._note_spare(at_s, demands, calm=not unmet)

    def _note_spare(self, at_s: float, demands: Sequence[ModelDemand], *, calm: bool) -> None:
        limit = self._rules.spare_mark * _SPARE_SHARE
        idle = calm and not any(
            is_late(demand, self._rules) or demand.starting or demand.busy_with(demand.configured) >= limit
            for demand in demands
        )
        if not idle:
            self._idle_since_s = None
        elif self._idle_since_s is None:
            self._idle_since_s = at_s
        self.spare = self._idle_since_s is not None and at_s - self._idle_since_s >= self._rules.idle_s


def _is_unmet(decision: Decision) -> bool:
    if decision.action is Action.PAUSE:
        return True
    return decision.wanted and decision.action is not Action.GROW and decision.reason in LASTING
