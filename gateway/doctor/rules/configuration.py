"""What the doctor says of the configuration file. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.config_issue import ConfigIssue
from gateway.doctor.finding import Finding, note, ok, problem, warning


@dataclass(frozen=True, slots=True)
class ConfigurationFacts:
    """What was read of the file.

    Attributes:
        file: Its path; empty if none was named and none is in the usual place.
        issues: What is wrong with it.
        warnings: What is unwise.
        out_of_reach: Secrets in it that the service alone is given.
        denied: Whether it is there and whoever asks may not read it.
    """

    file: str
    issues: tuple[ConfigIssue, ...] = ()
    warnings: tuple[ConfigIssue, ...] = ()
    out_of_reach: tuple[ConfigIssue, ...] = ()
    denied: bool = False


def judge_configuration(facts: ConfigurationFacts) -> Iterator[Finding]:
    """Yield what is to be said of the file."""
    check, file = "configuration.file", facts.file
    if not file:
        yield note(
            check,
            "no configuration: the defaults are examined",
            "no model and no broker of yours is looked at",
            "gateway doctor --config FILE",
            file="",
        )
        return
    if facts.denied:
        yield warning(
            check,
            f"{file}: you may not read it",
            "the defaults are examined instead of what the service uses",
            f"sudo gateway doctor --config {file}",
            file=file,
        )
        return
    for issue in facts.issues:
        yield problem(
            check,
            str(issue),
            "the gateway does not start with it",
            _edit(issue),
            f"gateway check {file}",
            file=file,
        )
    for unwise in facts.warnings:
        yield warning(check, str(unwise), "it may not do what you mean", _edit(unwise), file=file)
    for hidden in facts.out_of_reach:
        yield note(
            check,
            f"{hidden.path}: a secret that the service alone is given",
            "what needs it is examined without it",
            f"sudo gateway doctor --config {file}",
            file=file,
        )
    if not facts.issues and not facts.warnings:
        yield ok(check, f"{file}: every key is known and right", file=file)


def _edit(issue: ConfigIssue) -> str:
    return f"sudo editor +{issue.line} {issue.file}" if issue.line else f"ls -l {issue.file}"
