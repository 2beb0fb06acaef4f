"""Examines group after group, each within its time, and turns what is read into findings.

A reader that hangs or fails costs its own group: the thread that it hangs in is
left behind, and the end of the process takes it along.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from gateway.doctor.checks import UNFINISHED
from gateway.doctor.finding import Finding, problem

Examine = Callable[[], Iterable[Finding]]
LIMIT_S: Final = 20.0


def examined(group: str, examine: Examine, limit_s: float) -> list[Finding]:
    """Return what one group has to say; that it did not end in time, or failed, is a finding.

    Args:
        group: Name of the group.
        examine: Reads and judges; called in a thread of its own.
        limit_s: How long it may take.
    """
    found: list[Finding] = []
    failed: list[Exception] = []
    ended = threading.Event()

    def work() -> None:
        try:
            for each in examine():
                found.append(each)  # noqa: PERF402 - seen as soon as it is there, should the next one hang
        except Exception as error:  # noqa: BLE001 - the edge: one broken file must not hide all other findings
            failed.append(error)
        ended.set()

    threading.Thread(target=work, name=f"doctor.{group}", daemon=True).start()
    check = f"{group}.{UNFINISHED}"
    if not ended.wait(limit_s):
        return [
            *found,
            problem(
                check,
                f"not done within {limit_s:g} s: something hangs",
                "the gateway would hang there, too, or does",
                f"gateway doctor --only {group}  # again",
                "sudo dmesg | tail -n 50",
            ),
        ]
    if failed:
        words = f"{type(failed[0]).__name__}: {failed[0]}"
        return [
            *found,
            problem(
                check,
                words,
                "the rest of the group was not examined",
                "gateway doctor --json  # for a report",
            ),
        ]
    return found


def examine_groups(
    groups: Sequence[tuple[str, Examine, float]], only: frozenset[str]
) -> Iterator[tuple[str, list[Finding]]]:
    """Yield each group's name and findings as soon as they are there.

    Args:
        groups: Name, what examines it, and how long that may take.
        only: Groups to examine; all if empty.
    """
    for group, examine, limit_s in groups:
        if not only or group in only:
            yield group, examined(group, examine, limit_s)
