"""Aliases over REST: told as they are, changed only if nobody else came first, refused with words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.configuration.serving_settings import AliasTarget
from gateway.errors import GatewayError, LostRace, Malformed, UnknownModel
from gateway.serving.access.caller import Caller
from gateway.serving.alias_view import AliasChange, AliasView
from gateway.serving.rest.alias_pages import AliasPages
from gateway.serving.rest.exchange import Ask


class Table:
    """Aliases that are led at once to where they should."""

    def __init__(self) -> None:
        self.views: dict[str, AliasView] = {}

    def alias_views(self) -> Sequence[AliasView]:
        return [self.views[name] for name in sorted(self.views)]

    async def change_alias(self, name: str, change: AliasChange) -> None:
        known = self.views.get(name)
        if change.expected is not None and change.expected != (known.wish if known else ()):
            raise LostRace(f"alias {name} was changed")
        if not change.targets:
            del self.views[name]
            return
        view = known or AliasView(name, (), (), "DEFINED")
        self.views[name] = replace(view, wish=change.targets, active=change.targets)


def ask(body: Any = None, alias: str = "detector") -> Ask:
    data = b"" if body is None else json.dumps(body).encode()
    return Ask({"alias": alias}, {}, data, Caller("me", frozenset(), is_local=True), 0.0)


def changed(table: Table | None, body: Any) -> Any:
    return json.loads(asyncio.run(AliasPages(table, 16).change(ask(body))).body)


SEVEN, EIGHT = (
    {"model": "yard", "version": "7", "weight": 90},
    {"model": "yard", "version": "8", "weight": 10},
)


def test_an_alias_is_made_told_moved_and_forgotten() -> None:
    table = Table()
    made = changed(table, {"targets": [SEVEN, EIGHT], "expected": []})
    assert (made["state"], made["targets"], made["active"]) == ("DEFINED", [SEVEN, EIGHT], [SEVEN, EIGHT])
    assert table.views["detector"].wish == (AliasTarget("yard", "7", 90), AliasTarget("yard", "8", 10))
    pages = AliasPages(table, 16)
    assert json.loads(asyncio.run(pages.listed(ask())).body) == [made]
    assert json.loads(asyncio.run(pages.one(ask())).body) == made
    assert changed(table, {"targets": [], "expected": [SEVEN, EIGHT]})["state"] == "REMOVED"
    with pytest.raises(UnknownModel, match="detector"):
        asyncio.run(pages.one(ask()))


def test_a_change_that_expects_something_else_changes_nothing() -> None:
    table = Table()
    changed(table, {"targets": [SEVEN]})
    with pytest.raises(LostRace):
        changed(table, {"targets": [EIGHT], "expected": []})
    assert table.views["detector"].wish == (AliasTarget("yard", "7", 90),)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "targets is missing"),
        ({"targets": None}, "targets is missing"),
        ({"targets": [{}]}, r"targets\[0\].model"),
        ({"targets": ["yard"]}, r"targets\[0\] needs an object"),
        ({"targets": [SEVEN | {"weight": -1}]}, "from 0 to 10000"),
        ({"targets": [SEVEN | {"weight": "much"}]}, "whole number"),
        ({"targets": [SEVEN], "expected": "nothing"}, "expected needs an array"),
        ({"targets": [SEVEN], "force": 1}, "force needs true or false"),
    ],
)
def test_what_is_no_change_is_refused(body: Any, words: str) -> None:
    with pytest.raises(Malformed, match=words):
        changed(Table(), body)


def test_a_door_without_aliases_has_none() -> None:
    assert asyncio.run(AliasPages(None, 16).listed(ask())).body == b"[]"
    with pytest.raises(UnknownModel):
        changed(None, {"targets": [SEVEN]})
    with pytest.raises(GatewayError):
        asyncio.run(AliasPages(None, 16).one(ask()))
