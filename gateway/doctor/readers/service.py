"""Asks systemd about the gateway: its state, the user that it runs as, and the limits of that process."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.doctor.readers.text import Run, read_text
from gateway.doctor.rules.service import ServiceFacts
from gateway.doctor.rules.who import Who
from gateway.operations.kernel_text import whole_number

_ASKED: Final = (
    "LoadState,ActiveState,SubState,UnitFileState,Result,NRestarts,MainPID,User,Group,SupplementaryGroups,"
    "DynamicUser,LimitNOFILESoft,LimitNOFILE,LimitMEMLOCKSoft,LimitMEMLOCK,Environment,PrivateDevices"
)
_FILES, _LOCKED = "Max open files", "Max locked memory"


@dataclass(frozen=True, slots=True)
class Service:
    """What is known of how the gateway runs.

    Attributes:
        unit: Name of the unit.
        properties: As systemd shows them; empty if it cannot be asked.
        who: Whose rights count.
        open_files: Of the process; None for any number.
        lock_bytes: What the process may lock in memory; None for any.
    """

    unit: str
    properties: Mapping[str, str]
    who: Who
    open_files: int | None
    lock_bytes: int | None

    @property
    def installed(self) -> bool:
        """Whether systemd knows the unit."""
        return self.properties.get("LoadState", "not-found") not in {"", "not-found"}

    def environment(self, name: str) -> str:
        """Return a variable as the service gets it, or as we have it where there is no service."""
        if not self.installed:
            return os.environ.get(name, "")
        found = re.search(rf'(?:^|[\s"]){re.escape(name)}=([^\s"]*)', self.properties.get("Environment", ""))
        return found[1] if found else ""


def read_service(root: Path, run: Run, unit: str) -> Service:
    """Ask systemd, and read the limits of the running process, or else those of the unit, or else our own."""
    properties: dict[str, str] = {}
    if (root / "run/systemd/system").exists():
        shown = run(("systemctl", "show", unit, "--no-pager", "-p", _ASKED)) or ""
        properties = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    installed = properties.get("LoadState", "not-found") not in {"", "not-found"}
    who = _user_of(root, properties, unit) if installed else _ourselves(root)
    limits = read_text(root / f"proc/{who.pid}/limits") if who.pid else ""
    if limits:
        return Service(unit, properties, who, _limit_of(limits, _FILES), _limit_of(limits, _LOCKED))
    if installed:
        return Service(
            unit, properties, who, _property(properties, "LimitNOFILE"), _property(properties, "LimitMEMLOCK")
        )
    own = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_MEMLOCK))
    files, locked = (None if limit == resource.RLIM_INFINITY else limit for limit in own)
    return Service(unit, properties, who, files, locked)


def service_facts(root: Path, service: Service, lanes: int) -> ServiceFacts:
    """Return what is to be judged of a service.

    Args:
        root: Where ``/`` is.
        service: As read.
        lanes: How many the configuration starts.
    """
    told = service.properties
    return ServiceFacts(
        unit=service.unit,
        loaded=told.get("LoadState", ""),
        active=told.get("ActiveState", ""),
        sub=told.get("SubState", ""),
        result=told.get("Result", ""),
        restarts=whole_number(told.get("NRestarts", "")) or 0,
        enabled=told.get("UnitFileState", ""),
        open_files=service.open_files,
        lanes=lanes,
        journal=_journal(root),
    )


def _journal(root: Path) -> str:
    if (root / "var/log/journal").is_dir():
        return "persistent"
    return "volatile" if (root / "run/log/journal").is_dir() else ""


def _user_of(root: Path, properties: Mapping[str, str], unit: str) -> Who:
    pid = whole_number(properties.get("MainPID", "")) or 0
    name = properties.get("User") or ("gateway" if properties.get("DynamicUser") == "yes" else "root")
    uid, gid = next(((each[1], each[2]) for each in _users(root) if each[0] == name), (None, None))
    if uid is None:
        uid = whole_number(name)
    groups = {each[0]: each[1] for each in _groups(root)}
    named = {*properties.get("SupplementaryGroups", "").split(), properties.get("Group", "")} & groups.keys()
    member = {group for group, number, members in _groups(root) if name in members or number == gid}
    mine = named | member
    return Who(name, uid, frozenset(groups[each] for each in mine), frozenset(mine), pid, unit)


def _ourselves(root: Path) -> Who:
    uid, gids = os.geteuid(), frozenset({os.getegid(), *os.getgroups()})
    name = next((each[0] for each in _users(root) if each[1] == uid), str(uid))
    return Who(name, uid, gids, frozenset(group for group, number, _ in _groups(root) if number in gids))


def _users(root: Path) -> Iterator[tuple[str, int, int]]:
    """Yield name, uid and gid of each user."""
    for line in read_text(root / "etc/passwd").splitlines():
        parts = line.split(":")
        numbers = [whole_number(part) for part in parts[2:4]]
        if len(numbers) == 2 and numbers[0] is not None and numbers[1] is not None:
            yield parts[0], numbers[0], numbers[1]


def _groups(root: Path) -> Iterator[tuple[str, int, frozenset[str]]]:
    """Yield name, gid and members of each group."""
    for line in read_text(root / "etc/group").splitlines():
        parts = line.split(":")
        number = whole_number(parts[2]) if len(parts) >= 4 else None
        if number is not None:
            yield parts[0], number, frozenset(parts[3].split(","))


def known_groups(root: Path) -> frozenset[str]:
    """Return the names of every group of this system."""
    return frozenset(name for name, _, _ in _groups(root))


def _limit_of(limits: str, name: str) -> int | None:
    """Return a soft limit out of ``/proc/PID/limits``; None for any."""
    found = re.search(rf"^{name}\s+(\d{{1,19}})\b", limits, re.MULTILINE | re.ASCII)
    return int(found[1]) if found else None


def _property(properties: Mapping[str, str], name: str) -> int | None:
    value = whole_number(properties.get(f"{name}Soft") or properties.get(name) or "")
    # systemd before 240 shows what has no limit as the greatest number, which has a digit too many for us.
    return value if value is not None and value >= 0 else None
