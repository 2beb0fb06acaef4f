"""The part of ``gateway models`` about releases: what serves, what is on its way, why not, and the disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.demo.words import printable

_TITLES = ("MODEL", "RELEASE", "PHASE", "CANDIDATE", "PREVIOUS", "FLOOR", "QUARANTINED", "REASON")
_FACTORY = "factory"


def release_lines(models: Sequence[Mapping[str, Any]], updates: Mapping[str, Any]) -> list[str]:
    """Return the lines about releases; none if the gateway takes no updates.

    Args:
        models: ``models`` of /status.
        updates: ``updates`` of /status.
    """
    rows = [_row(model) for model in models if isinstance(model.get("release"), Mapping)]
    if not rows or not updates.get("enabled"):
        return []
    table = [_TITLES, *rows]
    widths = [max(len(row[index]) for row in table) for index in range(len(_TITLES))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    return ["", *lines, "", *_footer(updates)]


def _row(model: Mapping[str, Any]) -> tuple[str, ...]:
    release = model["release"]
    active, error = _mapping(release.get("active")), _mapping(release.get("last_error"))
    candidate = _mapping(release.get("candidate"))
    reason = f"{error.get('code')}: {error.get('detail')}" if error.get("code") else "-"
    quarantined = release.get("quarantined") or ()
    cells = (
        model.get("name"),
        _number(active.get("release")) if active else "-",
        release.get("phase"),
        f"{candidate.get('release')} ({candidate.get('percent', 0):.0f} %)" if candidate else "-",
        "-" if release.get("previous") is None else release["previous"],
        release.get("floor"),
        ", ".join(str(each) for each in quarantined) or "-",
        reason,
    )
    return tuple(printable(str(cell)) for cell in cells)


def _footer(updates: Mapping[str, Any]) -> list[str]:
    disk, trust = _mapping(updates.get("disk")), _mapping(updates.get("trust"))
    used, quota, free = (_megabytes(disk.get(key)) for key in ("store_bytes", "quota_bytes", "free_bytes"))
    lines = [f"store {used} of {quota}, {free} free on its disk: {printable(str(updates.get('store')))}"]
    versions = ", ".join(f"{role} {number}" for role, number in _mapping(trust.get("versions")).items())
    lines.append(
        f"group {updates.get('group')}, assignment {updates.get('assign_version')}, "
        f"clock {trust.get('clock') or '-'}, trust: {versions or 'nothing yet'}"
    )
    if updates.get("paused"):
        lines.append("paused: nothing new is switched to until an order says resume")
    if updates.get("trouble"):
        lines.append(f"trouble: {updates['trouble']}")
    return [printable(line) for line in lines]


def _number(value: object) -> str:
    return str(value) if value else _FACTORY


def _megabytes(value: object) -> str:
    return f"{value / 1e6:.1f} MB" if isinstance(value, int | float) else "-"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
