"""The pages of aliases: what each leads to, and changes of it that hold only if nobody else came first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.configuration.serving_settings import AliasTarget
from gateway.errors import Malformed, UnknownModel
from gateway.serving.alias_view import AliasChange, Aliases, AliasView
from gateway.serving.rest.exchange import Ask, Reply, json_reply
from gateway.serving.rest.json_fields import (
    Members,
    member_flag,
    member_list,
    member_text,
    member_whole,
    needed_text,
)
from gateway.serving.rest.json_reading import read_object

_MOST_TARGETS: Final = 64
_MOST_WEIGHT: Final = 10_000
_WEIGHT: Final = 100


class AliasPages:
    """Handles ``/v2/repository/aliases``."""

    def __init__(self, aliases: Aliases | None, max_depth: int) -> None:
        """Prepare.

        Args:
            aliases: Where they are kept; None where there are none.
            max_depth: Deepest nesting of JSON.
        """
        self._aliases = aliases
        self._max_depth = max_depth

    async def listed(self, _ask: Ask) -> Reply:
        """List every alias."""
        views = self._aliases.alias_views() if self._aliases is not None else ()
        return json_reply([_said(view) for view in views])

    async def one(self, ask: Ask) -> Reply:
        """Tell one alias.

        Raises:
            UnknownModel: There is none of this name.
        """
        return json_reply(_said(self._view(ask.names["alias"])))

    async def change(self, ask: Ask) -> Reply:
        """Lead an alias elsewhere, or forget it; tell it as it is then.

        Raises:
            GatewayError: As ``Aliases.change_alias``.
        """
        if self._aliases is None:
            raise UnknownModel("there are no aliases behind this door")
        name = ask.names["alias"]
        body = read_object(ask.body, self._max_depth)
        expected = _targets(body, "expected") if body.get("expected") is not None else None
        change = AliasChange(
            _targets(body, "targets"),
            expected,
            load_now=member_flag(body, "load_now", "") is not False,
            force=member_flag(body, "force", "") or False,
        )
        if body.get("targets") is None:
            raise Malformed(
                "targets is missing: of model, version, weight each; none at all forgets the alias"
            )
        await self._aliases.change_alias(name, change)
        gone = AliasView(name, (), (), "REMOVED")
        return json_reply(_said(self._view(name) if change.targets else gone))

    def _view(self, name: str) -> AliasView:
        views = self._aliases.alias_views() if self._aliases is not None else ()
        found = next((view for view in views if view.name == name), None)
        if found is None:
            raise UnknownModel(f"no alias is named {name!r}", model=name)
        return found


def _targets(body: Members, key: str) -> tuple[AliasTarget, ...]:
    found: list[AliasTarget] = []
    for index, each in enumerate(member_list(body, key, "", _MOST_TARGETS)):
        path = f"{key}[{index}]"
        if not isinstance(each, dict):
            raise Malformed(f"{path} needs an object of model, version and weight")
        weight = member_whole(each, "weight", path, _MOST_WEIGHT)
        found.append(
            AliasTarget(
                needed_text(each, "model", path),
                member_text(each, "version", path) or "",
                _WEIGHT if weight is None else weight,
            )
        )
    return tuple(found)


def _said(view: AliasView) -> dict[str, object]:
    return {
        "name": view.name,
        "state": view.state,
        "reason": view.reason,
        "targets": _plain(view.wish),
        "active": _plain(view.active),
    }


def _plain(targets: Sequence[AliasTarget]) -> list[dict[str, object]]:
    return [{"model": each.model, "version": each.version, "weight": each.weight} for each in targets]
