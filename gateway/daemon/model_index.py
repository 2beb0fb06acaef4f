"""The repository's index: every model, version and alias that is known, and why one is not ready. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.configuration.serving_settings import AliasTarget
from gateway.daemon.alias_table import Alias, AliasState, place, said
from gateway.daemon.model_state import ModelState, ModelStatus
from gateway.serving.model_view import IndexEntry

_READY, _LOADING, _UNLOADING, _UNAVAILABLE = "READY", "LOADING", "UNLOADING", "UNAVAILABLE"
_STATES: Final = {
    ModelState.PROVING: _LOADING,
    ModelState.STARTING: _LOADING,
    ModelState.SERVING: _READY,
    ModelState.FAILED: _UNAVAILABLE,
    ModelState.OUT_OF_SERVICE: _UNAVAILABLE,
    ModelState.COLD: _UNAVAILABLE,
    ModelState.UNLOADING: _UNLOADING,
    ModelState.UNLOADED: _UNAVAILABLE,
}
_UNKNOWN = ModelStatus(ModelState.PROVING, "it is not looked at yet")


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of models and aliases.

    Attributes:
        models: Names of all models, in order.
        status: Where each is.
        serving: The card's version of what serves a model.
        beside: Models and release numbers of what serves beside, in order.
        trouble: Models and release numbers of what should, and why it does not.
        aliases: Aliases by name.
    """

    models: Sequence[str]
    status: Mapping[str, ModelStatus]
    serving: Mapping[str, str]
    beside: Sequence[tuple[str, str]]
    trouble: Mapping[tuple[str, str], str]
    aliases: Mapping[str, Alias]


def entries(known: Known, why_not: Callable[[AliasTarget], str]) -> tuple[IndexEntry, ...]:
    """Return the index in order of name.

    Args:
        known: What is known.
        why_not: Says why an alias's target would not answer; empty if it would.
    """
    found: list[IndexEntry] = []
    for model in known.models:
        status = known.status.get(model, _UNKNOWN)
        version = known.serving.get(model, "")
        found.append(IndexEntry(model, version, _STATES[status.state], status.reason))
    found += [IndexEntry(model, number, _READY) for model, number in known.beside]
    found += [
        IndexEntry(model, number, _UNAVAILABLE, why)
        for (model, number), why in known.trouble.items()
        if (model, number) not in known.beside
    ]
    found += [_alias(alias, why_not) for alias in known.aliases.values()]
    return tuple(sorted(found, key=lambda entry: (entry.name, entry.version)))


def _alias(alias: Alias, why_not: Callable[[AliasTarget], str]) -> IndexEntry:
    """Return an alias's line: ready if any target answers; what is amiss is said all the same."""
    shares = [each for each in alias.active if each.weight]
    amiss = {place(each): why for each in shares if (why := why_not(each))}
    words = [f"{name}: {why}" for name, why in amiss.items()]
    if alias.state is not AliasState.DEFINED:
        towards = f"{alias.state.value} to {said(alias.wish)}"
        words.insert(0, f"{towards}: {alias.reason}" if alias.reason else towards)
    if shares and len(amiss) < len(shares):
        state = _READY
    else:
        state = _LOADING if alias.state is AliasState.TRANSITIONING else _UNAVAILABLE
    version = shares[0].version if len(shares) == 1 else ""
    return IndexEntry(alias.name, version, state, "; ".join(words))
