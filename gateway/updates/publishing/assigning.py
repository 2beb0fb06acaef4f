"""Makes the next assignment of a group out of the last one and what its author wants changed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from gateway.errors import PublishRefused
from gateway.updates.assignment import Assignment, Window, Wish

WITHDRAWN: Final = 0
_PROGRESS: Final = ("percent", "seed", "not_before", "paused", "allow_downgrade")
_POLICY: Final = ("canary", "window", "shadow_frames", "shadow_agreement", "bake_s")


@dataclass(frozen=True, slots=True)
class Change:
    """What shall be otherwise; None leaves a thing as it is.

    Attributes:
        releases: Releases by model: a number, ``WITHDRAWN``, or None for the one that is assigned. The
            options below are for these models; when it is empty, for all models of the group.
        percent: As in ``Wish``, like all that follow.
        seed: Also.
        canary: Also.
        not_before: Also.
        window: Also; from a minute to the same minute is any time.
        paused: Also.
        shadow_frames: Also.
        shadow_agreement: Also.
        bake_s: Also.
        allow_downgrade: Also.
        sets: All sets of the group.
    """

    releases: Mapping[str, int | None] = field(default_factory=dict)
    percent: float | None = None
    seed: str | None = None
    canary: tuple[str, ...] | None = None
    not_before: int | None = None
    window: Window | None = None
    paused: bool | None = None
    shadow_frames: int | None = None
    shadow_agreement: float | None = None
    bake_s: float | None = None
    allow_downgrade: bool | None = None
    sets: tuple[tuple[str, ...], ...] | None = None

    def options(self) -> dict[str, Any]:
        """Return the fields of ``Wish`` that shall be otherwise."""
        found = {name: getattr(self, name) for name in (*_PROGRESS, *_POLICY)}
        return {name: value for name, value in found.items() if value is not None}


def changed(last: Assignment, change: Change, known: Mapping[str, Collection[int]]) -> Assignment:
    """Return the next assignment.

    A model's new release begins its own way (percent, seed, pause, start time, leave to go back), and keeps
    the group's policy (canaries, window, shadow, bake).

    Args:
        last: The last one; version 0 for a new group.
        change: What shall be otherwise.
        known: Numbers of the releases that were added, by model.

    Raises:
        PublishRefused: A release was not added, or is older than what is assigned and nothing allows that.
    """
    version = last.version + 1
    models = dict(last.models)
    options = change.options()
    releases = change.releases
    if not releases and options:
        releases = dict.fromkeys(models)
    for model, number in releases.items():
        before = models.get(model)
        if number == WITHDRAWN:
            if models.pop(model, None) is None:
                raise PublishRefused(f"{model}: the group {last.group} has no such model")
            continue
        if number is None and before is None:
            raise PublishRefused(f"{model}: the group {last.group} has no such model yet: say {model}=NUMBER")
        wish = _begun(before, number, version)
        models[model] = _checked(model, before, replace(wish, **options), known)
    sets = last.sets if change.sets is None else change.sets
    kept = sets if change.sets is not None else _pruned(sets, models)
    return Assignment(last.group, version, models, kept)


def _begun(before: Wish | None, number: int | None, version: int) -> Wish:
    if before is not None and number in (None, before.release):
        return before
    assert number is not None
    # One seed for all that one change begins, another for the next: not always the same boards first.
    wish = Wish(release=number, seed=str(version))
    return wish if before is None else replace(wish, **{name: getattr(before, name) for name in _POLICY})


def _checked(model: str, before: Wish | None, wish: Wish, known: Mapping[str, Collection[int]]) -> Wish:
    numbers = known.get(model, ())
    if wish.release not in numbers:
        there = ", ".join(map(str, sorted(numbers)[-8:])) or "none"
        raise PublishRefused(f"{model}: release {wish.release} was never added; there are: {there}")
    if before is not None and wish.release < before.release and not wish.allow_downgrade:
        raise PublishRefused(
            f"{model}: release {wish.release} is older than {before.release}, which is assigned; boards "
            "would refuse it: add the old files under a new number, or say --allow-downgrade"
        )
    return wish


def _pruned(sets: tuple[tuple[str, ...], ...], models: Mapping[str, Wish]) -> tuple[tuple[str, ...], ...]:
    left = (tuple(name for name in names if name in models) for names in sets)
    return tuple(names for names in left if len(names) > 1)
