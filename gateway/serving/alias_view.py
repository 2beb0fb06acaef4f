"""Aliases as the doors see them: where each leads, where it should, and how that is changed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.configuration.serving_settings import AliasTarget


@dataclass(frozen=True, slots=True)
class AliasView:
    """One alias.

    Attributes:
        name: Its name.
        wish: Where it should lead.
        active: Where it leads now; empty while it never led anywhere.
        state: ``DEFINED``, ``TRANSITIONING`` or ``TRANSITION_FAILED``.
        reason: Why it does not lead where it should; empty if it does.
    """

    name: str
    wish: tuple[AliasTarget, ...]
    active: tuple[AliasTarget, ...]
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AliasChange:
    """What is asked of an alias.

    Attributes:
        targets: Where it should lead; empty to forget it.
        expected: What must be wished until now, empty for no such alias; None for whatever is.
        load_now: Whether models that are not loaded are loaded first, and not by their first request.
        force: Whether it is led there though something does not serve.
    """

    targets: tuple[AliasTarget, ...]
    expected: tuple[AliasTarget, ...] | None = None
    load_now: bool = True
    force: bool = False


class Aliases(Protocol):
    """Names that lead to models; everything is called in the event loop."""

    def alias_views(self) -> Sequence[AliasView]:
        """Return every alias, in order of name."""
        ...

    async def change_alias(self, name: str, change: AliasChange) -> None:
        """Lead an alias elsewhere, once what it leads to serves, or forget it.

        Raises:
            Malformed: The targets are none that an alias can have.
            AlreadyThere: A model has this name.
            UnknownModel: A target names no model, or there is no such alias to forget.
            LostRace: Something else was wished than expected, or another change came meanwhile.
            GatewayError: A target does not load; the alias leads where it did.

        Cancel-safe: a change that was begun goes on.
        """
        ...
