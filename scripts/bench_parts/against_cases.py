"""This tree beside another commit: small requests in turns, so that both meet the same disturbances."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import harness
from serving_cases import descendants, rounded
from serving_load import Load, quantile, request_bytes
from serving_models import Served, made
from serving_targets import Daemon

Figures = dict[str, Any]
_BLOCKS_A_ROUND: Final = 6
_REQUESTS: Final = 150  # of one connection in a block


@dataclass
class Seen:
    """What one tree took.

    Attributes:
        front_us: Processor time of the front end for a request, by block.
        lanes_us: That of the lanes.
        rates: Requests a second, by block.
        took_ms: Every request.
    """

    front_us: list[float] = field(default_factory=list)
    lanes_us: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    took_ms: list[float] = field(default_factory=list)


def against(rounds: int, *, ref: str = "HEAD") -> Figures:
    """Cost and latency of small requests over HTTP, this tree beside another commit (--ref)."""
    figures: Figures = {"beside": ref, "rounds": rounds}
    with tempfile.TemporaryDirectory(prefix="bench-models-") as place, checked_out(ref) as there:
        served = made(Path(place))["small"]
        with Daemon([served], served) as mine, Daemon([served], served, root=there) as other:
            for connections in (1, 8):
                seen = in_turns((mine, other), served, connections, rounds * _BLOCKS_A_ROUND)
                figures |= compared(*seen, f"{connections}_at_a_time")
    return figures


@contextlib.contextmanager
def checked_out(ref: str) -> Iterator[Path]:
    """Yield a folder with the files of a commit."""
    with tempfile.TemporaryDirectory(prefix="bench-tree-") as folder:
        where = Path(folder) / "tree"
        git = ["git", "-C", str(harness.ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(where), ref], check=True)
        try:
            yield where
        finally:
            subprocess.run([*git, "remove", "--force", str(where)], check=True)


def in_turns(daemons: tuple[Daemon, ...], served: Served, connections: int, blocks: int) -> tuple[Seen, ...]:
    """Ask each in turn, block by block."""
    every = tuple(Seen() for _ in daemons)
    for _ in range(blocks):
        for daemon, seen in zip(daemons, every, strict=True):
            block(daemon, served, connections, seen)
    return every


def block(daemon: Daemon, served: Served, connections: int, seen: Seen) -> None:
    """Ask one for a while, and note what it took."""
    way = daemon.way_of(served)
    load = Load(way.port, request_bytes(way.path, way.body, dict(way.headers)), connections)
    lanes = descendants(daemon.pid)
    try:
        load.closed(60.0, 10 * connections)
        load.took.clear()
        front_s, lanes_s = harness.cpu_s(daemon.pid), sum(map(harness.cpu_s, lanes))
        began_s = time.perf_counter()
        load.closed(60.0, _REQUESTS * connections)
        count = len(load.took)
        seen.rates.append(count / (time.perf_counter() - began_s))
        seen.front_us.append((harness.cpu_s(daemon.pid) - front_s) / count * 1e6)
        seen.lanes_us.append((sum(map(harness.cpu_s, lanes)) - lanes_s) / count * 1e6)
        seen.took_ms += [each * 1e3 for each in load.took]
    finally:
        for line in load.lines:
            line.sock.close()


def compared(mine: Seen, other: Seen, when: str) -> Figures:
    """Return the medians of both, and mine over the other's."""
    figures: Figures = {}
    for name in ("front_us", "lanes_us", "rates", "took_ms"):
        here, there = statistics.median(getattr(mine, name)), statistics.median(getattr(other, name))
        figures[f"{name}_{when}"] = rounded(here)
        figures[f"{name}_{when}_there"] = rounded(there)
        figures[f"{name}_{when}_over"] = rounded(here / there)
    figures[f"p99_ms_{when}_over"] = rounded(
        quantile(sorted(mine.took_ms), 0.99) / quantile(sorted(other.took_ms), 0.99)
    )
    return figures


CASES = {"against": against}
