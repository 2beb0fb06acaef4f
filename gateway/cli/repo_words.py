"""What ``gateway repo`` says to people: where keys lie, what to do with them, what there is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from gateway.updates.publishing.roles import OFFLINE

if TYPE_CHECKING:
    from gateway.updates.publishing.status import RepositoryStatus, RoleStatus

_SHOWN = 8
_DAY_S = 86_400


def first_words(status: RepositoryStatus, root_file: str) -> str:
    """Return what to do after a repository was begun."""
    places = {role.name: [key.place for key in role.keys] for role in status.roles}
    offline = [place for name in OFFLINE for place in places[name]]
    online = [place for name, held in places.items() if name not in OFFLINE for place in held]
    days = "90 days" if status.profile == "air-gapped" else "day"
    return "\n".join(
        [
            f"made the repository {status.folder}",
            "",
            "private keys; whoever has them decides what boards run:",
            "  take these offline now, the three root keys to three places (any two can replace the others):",
            *(f"    {place}" for place in offline),
            "  these are needed to add, assign and publish:",
            *(f"    {place}" for place in online),
            "",
            f"give every board {root_file}, and name it as updates.root_file in its configuration",
            "next: gateway repo add RELEASE_DIR, gateway repo assign GROUP MODEL=N, gateway repo publish",
            f"publish at least every {days}, even if nothing changed: boards believe no older signature",
        ]
    )


def published_words(timestamp: int, expires_unix_s: int, to: str | None) -> str:
    """Return what a publication did."""
    where = f", copied to {to}" if to else ""
    return f"published state {timestamp}{where}; publish again before {moment(expires_unix_s)}"


def rotated_words(role: str, old: str, new: str, status: RepositoryStatus) -> str:
    """Return what a rotation did."""
    keys = [key for each in status.roles if each.name == role for key in each.keys]
    place = next((key.place for key in keys if key.keyid == new), "")
    return (
        f"{role}: key {old[:_SHOWN]} counts no longer, the new one is {new[:_SHOWN]} in {place}; "
        "boards follow when they look next"
    )


def status_words(status: RepositoryStatus, now_unix_s: float) -> list[str]:
    """Return the lines of ``gateway repo status``."""
    lines = [f"repository {status.folder} ({status.profile})", ""]
    rows = [
        ("ROLE", "VERSION", "EXPIRES", "SIGN", "KEYS"),
        *(_row(role, now_unix_s) for role in status.roles),
    ]
    lines += table(rows)
    lines += ["", "releases:"] if status.releases else ["", "no releases yet: gateway repo add RELEASE_DIR"]
    for model, numbers in status.releases.items():
        lines.append(f"  {model}: {', '.join(map(str, numbers[-12:]))}")
    for group, assignment in sorted(status.assignments.items()):
        lines.append(f"group {group}, assignment {assignment.version}:")
        for model, wish in sorted(assignment.models.items()):
            paused = ", paused" if wish.paused else ""
            lines.append(f"  {model} {wish.release} on {wish.percent:g} %{paused}")
    if status.unpublished:
        lines += ["", "boards do not see the newest changes yet: gateway repo publish"]
    return lines


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows with their columns aligned."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def moment(unix_s: int) -> str:
    """Return a time for people, in UTC."""
    return datetime.fromtimestamp(unix_s, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _row(role: RoleStatus, now_unix_s: float) -> tuple[str, ...]:
    left_s = role.expires_unix_s - now_unix_s
    when = "EXPIRED" if left_s <= 0 else f"in {left_s / _DAY_S:.0f} days" if left_s > 2 * _DAY_S else "soon"
    if left_s > 0 and role.due:
        when += ", sign anew"
    keys = " ".join(f"{key.keyid[:_SHOWN]}{'' if key.place else ' (not here)'}" for key in role.keys)
    return (role.name, str(role.version), when, f"{role.threshold} of {len(role.keys)}", keys)
