"""The table of releases: what people read in a terminal."""

from __future__ import annotations

from typing import Any

from gateway.cli.release_table import release_lines

UPDATES: dict[str, Any] = {
    "enabled": True,
    "group": "doors",
    "assign_version": 7,
    "store": "/var/lib/gateway/models",
    "disk": {"store_bytes": 12_000_000, "quota_bytes": 4_000_000_000, "free_bytes": 9_000_000},
    "trust": {"versions": {"root": 1, "assign": 7}, "clock": "ok"},
    "paused": False,
    "trouble": "",
}
RELEASE: dict[str, Any] = {
    "phase": "fetching",
    "active": {"release": 3},
    "previous": 2,
    "candidate": {"release": 4, "percent": 41.6},
    "floor": 3,
    "last_error": None,
    "quarantined": [],
}


def _lines(release: dict[str, Any] | None, **updates: Any) -> list[str]:
    return release_lines([{"name": "door", "release": release}], {**UPDATES, **updates})


def test_a_row_says_what_serves_what_comes_and_how_far_it_is() -> None:
    row = next(line for line in _lines(RELEASE) if line.startswith("door"))
    assert row.split() == ["door", "3", "fetching", "4", "(42", "%)", "2", "3", "-", "-"]


def test_the_factory_model_and_failures_have_names() -> None:
    error = {"code": "update.bake", "detail": "2 workers died"}
    factory = {**RELEASE, "active": {"release": 0}, "previous": None, "candidate": None, "quarantined": [4]}
    row = next(line for line in _lines({**factory, "last_error": error}) if line.startswith("door"))
    assert row.split()[:3] == ["door", "factory", "fetching"]
    assert row.endswith("4            update.bake: 2 workers died")


def test_what_a_gateway_says_cannot_write_on_the_terminal() -> None:
    error = {"code": "x", "detail": "\x1b[2Jgone\nnext"}
    text = "".join(_lines({**RELEASE, "last_error": error}, store="\x1b]0;title\x07"))
    assert text.isprintable()


def test_without_updates_there_is_no_table() -> None:
    assert _lines(None) == []
    assert _lines(RELEASE, enabled=False) == []
