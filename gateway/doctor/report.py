"""Says findings in lines for people and in one document for programs. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gateway.doctor.finding import Finding, Verdict, counts, worst

VERSION: Final = 1
_MARGIN: Final = 11


def group_lines(group: str, findings: Sequence[Finding], width: int, *, quiet: bool = False) -> Iterator[str]:
    """Yield the lines of one group.

    Args:
        group: Its name.
        findings: What it has to say.
        width: Letters in a line; lines to type are never broken, and may be longer.
        quiet: Whether to leave out what is well.
    """
    told = [each for each in findings if not (quiet and each.verdict is Verdict.OK)]
    if not told:
        return
    yield group
    for each in told:
        yield from _lines(each, width)


def _lines(finding: Finding, width: int) -> Iterator[str]:
    indent = " " * _MARGIN
    name = finding.check.partition(".")[2].replace("_", " ")
    first, *more = _wrapped(f"{name}: {_printable(finding.what)}", width)
    yield f"  {finding.verdict.value:{_MARGIN - 2}}{first}"
    yield from (indent + line for line in more)
    if finding.why:
        yield from (indent + line for line in _wrapped(f"why: {_printable(finding.why)}", width))
    yield from (f"{indent}> {_printable(line)}" for line in finding.mend)


def _wrapped(text: str, width: int) -> list[str]:
    lines = textwrap.wrap(text, max(20, width - _MARGIN), break_long_words=False, break_on_hyphens=False)
    return lines or [""]


def summary_line(findings: Sequence[Finding]) -> str:
    """Return how many findings there are of each kind, in words."""
    numbers = counts(findings)
    told = [
        f"{count} {name}{'s' if count != 1 and name != 'ok' else ''}"
        for name, count in reversed(numbers.items())
        if count
    ]
    return ", ".join(told) or "nothing was examined"


def document(findings: Sequence[Finding], about: Mapping[str, str]) -> dict[str, object]:
    """Return the report as JSON values; ``docs/schemas/doctor.schema.json`` is its form.

    Args:
        findings: In the order in which they were found.
        about: ``version`` of the gateway, and ``config``, the file that was examined.
    """
    return {
        "v": VERSION,
        "gateway": about["version"],
        "config": about["config"],
        "verdict": worst(findings).value,
        "counts": counts(findings),
        "findings": [
            {
                "group": each.group,
                "check": each.check,
                "verdict": each.verdict.value,
                "what": each.what,
                "why": each.why,
                "mend": list(each.mend),
                "values": dict(each.values),
            }
            for each in findings
        ],
    }


def _printable(text: str) -> str:
    """Return text without control characters: what a broker says must not draw on the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
