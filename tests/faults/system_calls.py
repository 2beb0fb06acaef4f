"""Ends a transaction at each system call it makes, or lets the call fail, by ``strace``."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.faults.crew import LIMIT_S, Crew, Ending
from tests.faults.oracles import judge
from tests.faults.outcome import Effort, Outcome, spread
from tests.faults.workload import BROKE, DONE, REFUSED, Case

# Calls that change what is on the disk, or might.
CHANGING: Final = (
    "openat",
    "pwrite64",
    "write",
    "fsync",
    "fdatasync",
    "fallocate",
    "ftruncate",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "chmod",
    "fchmod",
    "fchmodat",
)
READING: Final = ("read", "pread64", "preadv", "getdents64", "newfstatat", "fstat", "lstat", "readlink")
_CALL: Final = re.compile(r"^(?:[0-9]+ +)?([a-z0-9_]+)\(")


def kills(folder: Path, crew: Crew, effort: Effort) -> Outcome:
    """Kill the process at every call that changes something."""
    counts = calls(folder, crew, effort, CHANGING)
    cases = [
        (name, number, "signal=KILL") for name, count in counts.items() for number in range(1, count + 1)
    ]
    return _try_all(folder, crew, effort, cases)


def errors(folder: Path, crew: Crew, effort: Effort) -> Outcome:
    """Let every call fail: those that change something by EIO and ENOSPC, those that read by EIO."""
    counts = calls(folder, crew, effort, CHANGING + READING)
    cases = [
        (name, number, f"error={error}")
        for name, count in counts.items()
        for number in range(1, count + 1)
        for error in (("EIO", "ENOSPC") if name in CHANGING else ("EIO",))
    ]
    return _try_all(folder, crew, effort, cases)


def calls(folder: Path, crew: Crew, effort: Effort, names: tuple[str, ...]) -> Counter[str]:
    """Count the calls of a transaction that nothing disturbs."""
    log = folder / "calls"
    ending = _traced(folder / "calm", crew, effort, ["-e", f"trace={_set(names)}", "-o", str(log)])
    assert ending.status == DONE, ending
    found = (_CALL.match(line) for line in log.read_text().splitlines())
    return Counter(each[1] for each in found if each is not None and each[1] in names)


def _try_all(folder: Path, crew: Crew, effort: Effort, cases: list[tuple[str, int, str]]) -> Outcome:
    outcome = Outcome(figures={"possible": len(cases)})
    for name, number, action in spread(cases, effort.most, effort.seed):
        here = folder / f"{name}-{number}-{action.partition('=')[2]}"
        inject = ["-e", f"trace={name}", "-e", f"inject={name}:{action}:when={number}", "-o", "/dev/null"]
        ending = _traced(here, crew, effort, inject)
        facts = ending.facts
        if action.startswith("error="):
            # What the disk refuses to read is fetched again, be it whole or not.
            facts = tuple(fact for fact in facts if not fact.startswith("blob "))
        wrong = [*_wrong(ending, action), *judge(here / "models", facts, effort.rounds)]
        outcome.add(here.name, wrong)
        outcome.count(
            {DONE: "went on", REFUSED: "refused in words", BROKE: "broke"}.get(ending.status, "killed")
        )
        shutil.rmtree(here)
    return outcome


def _wrong(ending: Ending, action: str) -> Iterator[str]:
    if action == "signal=KILL":
        if ending.status != -9:
            yield f"it ended by {ending.status} instead of being killed"
    elif ending.status not in (DONE, REFUSED):
        yield f"an error that has no name came out: {' '.join(ending.words)[-400:]}"


def _traced(folder: Path, crew: Crew, effort: Effort, options: list[str]) -> Ending:
    """Run a case under ``strace``; the store is in a new folder."""
    folder.mkdir()
    tracers: list[subprocess.Popen[bytes]] = []
    case = Case(str(folder / "models"), effort.rounds, str(folder / "marks"), shutdown_at=-1)
    try:
        return crew.run(case, lambda pid: _attach(pid, options, tracers))
    finally:
        for tracer in tracers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                tracer.wait(10)
            if tracer.poll() is None:
                tracer.kill()
                tracer.wait()
            assert tracer.stderr is not None
            tracer.stderr.close()


def _attach(pid: int, options: list[str], tracers: list[subprocess.Popen[bytes]]) -> None:
    """Start a tracer, and wait until it holds the process; the caller ends it, whatever happens here."""
    tracer = subprocess.Popen(["strace", "-f", *options, "-p", str(pid)], stderr=subprocess.PIPE)
    tracers.append(tracer)
    assert tracer.stderr is not None
    heard = b""
    while b"attached" not in heard:
        if not select.select([tracer.stderr], [], [], LIMIT_S)[0]:
            raise TimeoutError(f"strace does not attach: {heard!r}")
        more = os.read(tracer.stderr.fileno(), 4096)
        if not more:
            raise ChildProcessError(f"strace ended: {heard.decode()}")
        heard += more


def _set(names: tuple[str, ...]) -> str:
    # A question mark: not every processor has every call.
    return ",".join(f"?{name}" for name in names)
