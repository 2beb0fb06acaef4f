"""What the doctor says of the status door, and of what the running gateway says there. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.doctor.finding import Finding, note, ok, problem, warning

_STARTING: Final = "starting"


@dataclass(frozen=True, slots=True)
class DoorFacts:
    """What was seen at the door.

    Attributes:
        place: Its address.
        runs: Whether systemd says that the gateway runs.
        answers: Whether a gateway answered.
        ready: Whether it says that it is ready.
        reasons: What it says against that.
        taken: Whether somebody listens there who is no gateway, or does not answer.
        error: Why nobody answered, in words.
    """

    place: str
    runs: bool
    answers: bool = False
    ready: bool = False
    reasons: tuple[str, ...] = ()
    taken: bool = False
    error: str = ""


def judge_door(facts: DoorFacts, unit: str) -> Iterator[Finding]:
    """Yield what is to be said of the door.

    Args:
        facts: What was seen.
        unit: Of the service, for the lines to type.
    """
    check, end = "service.ready", facts.place.rpartition(":")[2]
    whose = f"sudo ss -lxp | grep -F '{end}'" if end.startswith("/") else f"sudo ss -ltnp 'sport = :{end}'"
    reasons = ", ".join(facts.reasons)
    if facts.answers and facts.ready and not facts.reasons:
        yield ok(check, f"the gateway at {facts.place} is ready", ready=True)
    elif facts.answers and facts.ready:
        yield warning(
            check,
            f"the gateway at {facts.place} is ready, but degraded: {reasons}",
            "frames are answered; something beside that is wrong",
            f"journalctl -u {unit} -b -p warning",
            ready=True,
        )
    elif facts.answers:
        say = note if facts.reasons == (_STARTING,) else problem
        yield say(
            check,
            f"the gateway at {facts.place} is not ready: {reasons or 'it does not say why'}",
            "frames get no answers",
            f"journalctl -u {unit} -b -p warning",
            ready=False,
        )
    elif facts.taken:
        yield problem(
            check,
            f"{facts.place} is taken: {facts.error}",
            "the gateway cannot listen there, or hangs",
            f"{whose}  # by whom",
            "or set http.listen to another place",
        )
    elif facts.runs:
        yield problem(
            check,
            f"the gateway runs, and nobody answers at {facts.place}: {facts.error}",
            "nobody can tell whether it is ready; or it uses another configuration",
            f"journalctl -u {unit} -b -n 50",
        )
