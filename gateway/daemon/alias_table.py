"""Aliases: what is wished of each, what it leads to now, and why the two differ. Pure.

Rules (each a property in ``tests/daemon/test_alias_table.py``):

1. What an alias leads to changes only when all of its new targets were found to serve, or by force.
2. A change is begun only if the wish is what the caller expects; of two that are under way the later one
   counts, and the earlier is told so.
3. A change that fails leaves what the alias leads to, and is said until it succeeds or another one comes.
4. A wish of the run lasts until the configuration says something else of this alias than it did.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.configuration.serving_settings import AliasSettings, AliasTarget
from gateway.configuration.settings import NAME
from gateway.errors import LostRace, Malformed, UnknownModel

MOST_WEIGHT = 10_000
Targets = tuple[AliasTarget, ...]


class AliasState(enum.Enum):
    """Where an alias is."""

    DEFINED = "defined"
    TRANSITIONING = "transitioning"
    TRANSITION_FAILED = "transition-failed"


@dataclass(frozen=True, slots=True)
class Alias:
    """One alias.

    Attributes:
        name: Its name.
        wish: Where it should lead.
        active: Where it leads now; empty while it never led anywhere.
        state: Whether the two are the same, or why not.
        reason: Why it does not lead where it should; empty if it does.
        change: Which change it was that wished this; rises with each.
        configured: What the configuration said when it was last looked at; None for nothing.
    """

    name: str
    wish: Targets
    active: Targets = ()
    state: AliasState = AliasState.TRANSITIONING
    reason: str = ""
    change: int = 0
    configured: Targets | None = None


class AliasTable:
    """All aliases of one gateway."""

    def __init__(self) -> None:
        self._aliases: dict[str, Alias] = {}
        self._removed: dict[str, Targets] = {}  # by order, and what the configuration says of them
        self._changes = 0

    @property
    def aliases(self) -> Mapping[str, Alias]:
        """Aliases by name; a live view."""
        return self._aliases

    def configure(self, settings: Mapping[str, AliasSettings]) -> None:
        """Take in what the configuration says; what it says as before changes nothing."""
        for name, alias in [*self._aliases.items()]:
            if name not in settings and alias.configured is not None:
                del self._aliases[name]
        self._removed = {name: said for name, said in self._removed.items() if name in settings}
        for name, alias_settings in settings.items():
            targets, known = alias_settings.targets, self._aliases.get(name)
            before = known.configured if known is not None else self._removed.get(name)
            if before != targets:
                self._removed.pop(name, None)
                self._wish(name, targets, targets)

    def begin(self, name: str, targets: Targets, expected: Targets | None = None) -> Alias:
        """Wish an alias elsewhere.

        Args:
            name: The alias; a new one is made.
            targets: Where it should lead.
            expected: What must be wished until now; None for whatever is, no targets for no such alias.

        Raises:
            Malformed: The name or the targets are none that an alias can have.
            LostRace: Something else is wished than expected.
        """
        if not re.fullmatch(NAME, name):
            raise Malformed(f"{name[:80]!a} is no name for an alias: it needs to match {NAME}")
        check_targets(name, targets)
        self._expect(name, expected)
        known = self._aliases.get(name)
        configured = known.configured if known is not None else self._removed.pop(name, None)
        return self._wish(name, targets, configured)

    def moved(self, begun: Alias) -> Alias:
        """Let an alias lead where a change wished it.

        Raises:
            LostRace: Another change came since.
        """
        known = self.current(begun)
        done = replace(known, active=known.wish, state=AliasState.DEFINED, reason="")
        self._aliases[known.name] = done
        return done

    def failed(self, begun: Alias, reason: str) -> None:
        """Note why a change did not come about; nothing if another one came since."""
        known = self._aliases.get(begun.name)
        if known is not None and known.change == begun.change:
            failed = replace(known, state=AliasState.TRANSITION_FAILED, reason=reason)
            self._aliases[known.name] = failed

    def remove(self, name: str, expected: Targets | None = None) -> None:
        """Forget an alias; one of the configuration comes back when that says something else of it.

        Raises:
            UnknownModel: There is none of this name.
            LostRace: Something else is wished than expected.
        """
        if name not in self._aliases:
            raise UnknownModel(f"no alias is named {name!r}", model=name)
        self._expect(name, expected)
        configured = self._aliases.pop(name).configured
        if configured is not None:
            self._removed[name] = configured

    def current(self, begun: Alias) -> Alias:
        """Return an alias as it is, if no change came since ``begun``.

        Raises:
            LostRace: Another change came since.
        """
        known = self._aliases.get(begun.name)
        if known is None or known.change != begun.change:
            raise LostRace(f"alias {begun.name}: another change came before this one was done")
        return known

    def _expect(self, name: str, expected: Targets | None) -> None:
        known = self._aliases.get(name)
        wish = known.wish if known is not None else ()
        if expected is not None and sorted(expected, key=_order) != sorted(wish, key=_order):
            raise LostRace(f"alias {name} should lead to {said(wish)}, not to {said(expected)} as expected")

    def _wish(self, name: str, targets: Targets, configured: Targets | None) -> Alias:
        self._changes += 1
        known = self._aliases.get(name)
        active = known.active if known is not None else ()
        wished = Alias(name, targets, active, change=self._changes, configured=configured)
        self._aliases[name] = wished
        return wished


def check_targets(name: str, targets: Sequence[AliasTarget]) -> None:
    """See that an alias can have these targets.

    Raises:
        Malformed: There are none, one is there twice, a weight is out of range, or none has any.
    """
    if not targets:
        raise Malformed(f"alias {name}: it has no targets")
    if len({(each.model, each.version) for each in targets}) < len(targets):
        raise Malformed(f"alias {name}: a target is there twice")
    if any(not 0 <= each.weight <= MOST_WEIGHT for each in targets):
        raise Malformed(f"alias {name}: weights are 0 to {MOST_WEIGHT}")
    if not any(each.weight for each in targets):
        raise Malformed(f"alias {name}: no target has any weight")


def said(targets: Sequence[AliasTarget]) -> str:
    """Return targets in words: ``detector@7 90 %, detector@8 10 %``."""
    total = sum(each.weight for each in targets)
    if not targets or not total:
        return "nothing"
    shares = [f"{place(each)} {100 * each.weight / total:.3g} %" for each in targets]
    return ", ".join(shares) if len(targets) > 1 else place(targets[0])


def place(target: AliasTarget) -> str:
    """Return a target's model and version as one word."""
    return f"{target.model}@{target.version}" if target.version else target.model


def _order(target: AliasTarget) -> tuple[str, str, int]:
    return target.model, target.version, target.weight
