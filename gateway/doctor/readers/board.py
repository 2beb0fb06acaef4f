"""Reads which board, system and interpreter this is."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from gateway.configuration.settings import Settings
from gateway.doctor.readers.service import Service
from gateway.doctor.readers.text import Run, read_text
from gateway.doctor.rules.board import BoardFacts
from gateway.inference.engines.board_facts import board_facts


def read_board(root: Path, run: Run, settings: Settings, service: Service) -> BoardFacts:
    """Read the board's facts below ``root``; interpreter and C library are those that run this."""
    cores = re.findall(r"^CPU part\s*:\s*(0x[0-9a-f]+)", read_text(root / "proc/cpuinfo"), re.MULTILINE)
    return BoardFacts(
        board=board_facts(root),
        kernel=read_text(root / "proc/sys/kernel/osrelease").strip() or platform.release(),
        glibc=_glibc(),
        python=platform.python_version(),
        systemd=_systemd(root, run),
        processors=len(os.sched_getaffinity(0)),
        cores=frozenset(cores),
        threads=tuple(model.lanes * model.threads for model in settings.models.values()),
        openblas=service.environment("OPENBLAS_CORETYPE"),
        unit=service.unit if service.installed else "",
    )


def _glibc() -> str:
    """Return the version of the C library; empty if it is not glibc."""
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):
        return ""
    return name.removeprefix("glibc ") if name.startswith("glibc ") else ""


def _systemd(root: Path, run: Run) -> int | None:
    if not (root / "run/systemd/system").exists():
        return None
    found = re.match(r"systemd (\d+)", run(("systemctl", "--version")) or "")
    return int(found[1]) if found else None
