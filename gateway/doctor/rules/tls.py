"""What the doctor says of certificates. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from gateway.doctor.finding import Figures, Finding, Verdict, note, ok, problem, warning

_SOON_DAYS: Final = 30
_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate.

    Attributes:
        place: Whose it is, or the file that it is in.
        begins_s: From when it is valid, seconds since 1970.
        ends_s: Until when.
    """

    place: str
    begins_s: float
    ends_s: float


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What was read of certificates.

    Attributes:
        encrypted: Whether the broker's address asks for TLS.
        local: Whether the broker is on this machine.
        broker: The broker's own; None if it was not seen.
        refusal: Why TLS with the broker failed; empty if it did not, or was not tried.
        unseen: Why the broker's certificate was not seen; empty if it was.
        client: The gateway's own; None if it has none.
        trouble: Why a file cannot be used; empty if all can.
        now_s: Seconds since 1970.
    """

    encrypted: bool
    local: bool
    now_s: float
    broker: Certificate | None = None
    refusal: str = ""
    unseen: str = ""
    client: Certificate | None = None
    trouble: str = ""


def judge_tls(facts: TlsFacts) -> Iterator[Finding]:
    """Yield what is to be said of certificates."""
    yield _encrypted(facts)
    if facts.trouble:
        yield problem(
            "tls.client",
            facts.trouble,
            "the gateway does not start with it",
            "openssl x509 -noout -subject -dates -in FILE",
        )
    if facts.client is not None:
        yield _dates("tls.client", facts.client, facts.now_s, "ask whoever signs the gateway's certificates")
    if facts.broker is not None:
        dates = _dates(
            "tls.broker", facts.broker, facts.now_s, "renew it on the broker, then restart the broker"
        )
        # Dates that are wrong explain a refusal; a refusal with right ones is another matter.
        yield _refused(facts) if facts.refusal and dates.verdict is not Verdict.PROBLEM else dates
    elif facts.refusal:
        yield _refused(facts)
    elif facts.encrypted and facts.unseen:
        yield note(
            "tls.broker", f"the broker's certificate was not seen: {facts.unseen}", "its end is not known"
        )


def _encrypted(facts: TlsFacts) -> Finding:
    check = "tls.encrypted"
    if facts.encrypted or facts.local:
        return ok(check, "encrypted" if facts.encrypted else "not encrypted; the broker is on this machine")
    return warning(
        check,
        "not encrypted, and the broker is on another machine",
        "everybody on the way reads pictures and passwords, and may send results of their own",
        "set mqtt.url: mqtts://HOST:8883, and mqtt.ca_file",
    )


def _refused(facts: TlsFacts) -> Finding:
    return problem(
        "tls.broker",
        facts.refusal,
        "the gateway does not talk to a broker that it cannot trust",
        "set mqtt.ca_file to the authority that signed it, and the host of mqtt.url to its name",
    )


def _dates(check: str, certificate: Certificate, now_s: float, remedy: str) -> Finding:
    days = (certificate.ends_s - now_s) / _DAY_S
    figures: Figures = {
        "begins_s": certificate.begins_s,
        "ends_s": certificate.ends_s,
        "days_left": round(days, 2),
    }
    if certificate.begins_s > now_s:
        return problem(
            check,
            f"{certificate.place}: valid only from {_day(certificate.begins_s)}",
            "either side refuses it until then; or this clock is wrong",
            "timedatectl  # is the clock right?",
            **figures,
        )
    if days <= 0:
        return problem(
            check,
            f"{certificate.place}: expired on {_day(certificate.ends_s)}",
            "no connection is made with it",
            remedy,
            "timedatectl  # is the clock right?",
            **figures,
        )
    words = f"{certificate.place}: valid until {_day(certificate.ends_s)}, {days:.0f} days"
    if days < _SOON_DAYS:
        return warning(check, words, "no connection is made after that", remedy, **figures)
    return ok(check, words, **figures)


def _day(time_s: float) -> str:
    try:
        return f"{datetime.fromtimestamp(time_s, timezone.utc):%Y-%m-%d}"
    except (OverflowError, ValueError, OSError):
        return "no date that can be"
