"""Who the gateway runs as here, and what that user may open. Pure."""

from __future__ import annotations

import stat
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Who:
    """The user whose rights count, and the process whose limits do.

    Attributes:
        user: Name.
        uid: Number; None if the user is made only when the service starts.
        gids: Every group.
        groups: Their names, as far as known.
        pid: The running gateway; 0 if none runs as a service.
        unit: The unit that says so; empty if this is merely who asked.
    """

    user: str
    uid: int | None
    gids: frozenset[int] = frozenset()
    groups: frozenset[str] = frozenset()
    pid: int = 0
    unit: str = ""

    @property
    def restart(self) -> str:
        """The line that makes a change count."""
        return f"sudo systemctl restart {self.unit}" if self.unit else "log in anew"


@dataclass(frozen=True, slots=True)
class Node:
    """One file or device: whose it is, and who may do what with it.

    Attributes:
        path: Where it is.
        uid: Owner.
        gid: Group.
        mode: Permission bits.
    """

    path: str
    uid: int
    gid: int
    mode: int


def may_use(who: Who, node: Node) -> bool:
    """Say whether ``who`` may read and write ``node``, by its owner, group and mode alone."""
    if who.uid == 0:
        return True
    if who.uid is not None and who.uid == node.uid:
        return node.mode & stat.S_IRUSR != 0 and node.mode & stat.S_IWUSR != 0
    if node.gid in who.gids:
        return node.mode & stat.S_IRGRP != 0 and node.mode & stat.S_IWGRP != 0
    return node.mode & stat.S_IROTH != 0 and node.mode & stat.S_IWOTH != 0


def drop_in(unit: str, name: str, *lines: str) -> tuple[str, ...]:
    """Return the lines to type that add settings to a unit.

    Args:
        unit: Of systemd, such as ``gateway.service``.
        name: Of the drop-in, without suffix.
        lines: What stands below ``[Service]``.
    """
    folder = f"/etc/systemd/system/{unit}.d"
    text = "\\n".join(("[Service]", *lines, ""))
    return (
        f"sudo mkdir -p {folder}",
        f"printf '{text}' | sudo tee {folder}/{name}.conf",
        f"sudo systemctl daemon-reload && sudo systemctl restart {unit}",
    )
