"""What the doctor says of the systemd unit and its limits. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.doctor.finding import Figures, Finding, note, ok, problem, warning
from gateway.doctor.rules.who import drop_in

_MANY_RESTARTS: Final = 3
_LEAST_FILES: Final = 256
_FILES_PER_LANE: Final = 16


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """What systemd says of the gateway.

    Attributes:
        unit: Its name.
        loaded: ``LoadState``; empty if systemd could not be asked.
        active: ``ActiveState``.
        sub: ``SubState``.
        result: ``Result`` of the last run.
        restarts: How often it was started again by itself.
        enabled: ``UnitFileState``.
        open_files: How many files the gateway may open; None for any.
        lanes: How many lanes the configuration starts.
        journal: ``persistent``, ``volatile``, or empty if there is none.
    """

    unit: str
    loaded: str
    active: str = ""
    sub: str = ""
    result: str = ""
    restarts: int = 0
    enabled: str = ""
    open_files: int | None = None
    lanes: int = 0
    journal: str = ""


def judge_service(facts: ServiceFacts) -> Iterator[Finding]:
    """Yield what is to be said of the service."""
    yield _unit(facts)
    yield _descriptors(facts)
    yield from _journal(facts)


def _unit(facts: ServiceFacts) -> Finding:
    check, unit = "service.unit", facts.unit
    if not facts.loaded:
        return note(
            check, "systemd cannot be asked", "who starts the gateway again when it ends is not known here"
        )
    if facts.loaded == "not-found":
        return note(
            check, f"{unit} is not installed", "nothing starts the gateway at boot", "sudo scripts/install"
        )
    if facts.loaded != "loaded":
        return problem(
            check,
            f"{unit} is {facts.loaded}",
            "systemd cannot start it",
            f"systemctl status {unit}" if facts.loaded != "masked" else f"sudo systemctl unmask {unit}",
        )
    return _state(facts, f"{unit} is {facts.active} ({facts.sub})")


def _state(facts: ServiceFacts, state: str) -> Finding:
    check, unit = "service.unit", facts.unit
    figures: Figures = {"active": facts.active, "result": facts.result, "restarts": facts.restarts}
    if facts.active == "failed":
        return problem(
            check,
            f"{state}: {facts.result}, after {facts.restarts} restarts",
            "the gateway does not run, and is not started again",
            f"journalctl -u {unit} -b -n 100  # why",
            f"sudo systemctl reset-failed {unit} && sudo systemctl start {unit}",
            **figures,
        )
    if facts.sub == "auto-restart":
        return problem(
            check,
            f"{unit} has just ended ({facts.result}) and is started again; {facts.restarts} times so far",
            "it does not get as far as to serve",
            f"journalctl -u {unit} -b -n 100  # why",
            **figures,
        )
    if facts.restarts >= _MANY_RESTARTS:
        return warning(
            check,
            f"{state}, started again {facts.restarts} times; the last run ended as {facts.result}",
            "something ends it over and over",
            f"journalctl -u {unit} -b -p warning",
            **figures,
        )
    if facts.active != "active":
        return note(check, state, "the gateway does not run", f"sudo systemctl start {unit}", **figures)
    if facts.enabled == "disabled":
        words = f"{state}, not enabled"
        return note(check, words, "it does not start at boot", f"sudo systemctl enable {unit}", **figures)
    return ok(check, state, **figures)


def _descriptors(facts: ServiceFacts) -> Finding:
    check = "service.descriptors"
    needed = _LEAST_FILES + _FILES_PER_LANE * facts.lanes
    figures: Figures = {"limit": facts.open_files, "needed": needed}
    if facts.open_files is None or facts.open_files >= needed:
        limit = "any number of" if facts.open_files is None else str(facts.open_files)
        return ok(check, f"{limit} files may be open", **figures)
    return warning(
        check,
        f"{facts.open_files} files may be open, {needed} may be wanted",
        "connections and new lanes are then refused",
        *(
            drop_in(facts.unit, "files", "LimitNOFILE=4096")
            if facts.loaded == "loaded"
            else ("ulimit -n 4096  # before the gateway is started",)
        ),
        **figures,
    )


def _journal(facts: ServiceFacts) -> Iterator[Finding]:
    check = "service.journal"
    if facts.journal == "volatile":
        yield note(
            check,
            "the journal is kept in memory",
            "after a reboot nobody can read why the board went down",
            "sudo mkdir -p /var/log/journal && sudo systemctl restart systemd-journald",
        )
    elif facts.journal == "persistent":
        yield ok(check, "the journal is kept on disk")
