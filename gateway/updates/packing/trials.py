"""Tries golden samples on damaged copies of a model, in a throw-away process, and counts what they notice."""

from __future__ import annotations

import contextlib
import enum
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.errors import LoadFailed, WarmupFailed
from gateway.operations.child_end import last_words

DEFAULT_MUTATIONS: Final = 60
DEFAULT_LEAST: Final = 0.5
DEFAULT_TRIAL_S: Final = 60
BASE_MEMORY_BYTES: Final = 2 << 30
# The damaged bytes, what they were, their numbers as float32 while noise is added, and the runtime's own.
MEMORY_FACTOR: Final = 12


class Outcome(enum.Enum):
    """What became of one trial."""

    NOTICED = "noticed"
    UNNOTICED = "unnoticed"
    NOT_LOADED = "not loaded"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Trial:
    """One mistake and what came of it.

    Attributes:
        is_card: True for a mistake in the card, False for damaged weights.
        what: The mistake in words.
        outcome: What came of it.
    """

    is_card: bool
    what: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Rate:
    """How many of some mistakes the samples notice. Those that no runtime loads count on neither side.

    Attributes:
        noticed: How many.
        tried: Of how many.
    """

    noticed: int
    tried: int

    @property
    def share(self) -> float:
        """The share noticed; 1 if there was nothing to notice."""
        return self.noticed / self.tried if self.tried else 1.0

    def __str__(self) -> str:
        return f"{self.noticed} of {self.tried}"


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What golden samples are worth, and what the healthy model took here.

    Attributes:
        trials: Every trial, in order.
        load_s: Seconds to load and warm up the healthy model.
        p99_ms: Milliseconds of one of its inferences at p99.
        runs: Inferences behind that number.
    """

    trials: tuple[Trial, ...]
    load_s: float
    p99_ms: float
    runs: int

    def damaged(self) -> Rate:
        """Return what is noticed of damaged weights."""
        return rate(trial for trial in self.trials if not trial.is_card)

    def cards(self) -> Rate:
        """Return what is noticed of mistakes in the card."""
        return rate(trial for trial in self.trials if trial.is_card)

    def kinds(self) -> dict[str, Rate]:
        """Return the rate of each kind, in the order of the trials."""
        names = dict.fromkeys(trial.what for trial in self.trials)
        return {name: rate(trial for trial in self.trials if trial.what == name) for name in names}


def rate(trials: Iterable[Trial]) -> Rate:
    """Count trials."""
    outcomes = [trial.outcome for trial in trials]
    noticed = outcomes.count(Outcome.NOTICED)
    return Rate(noticed, noticed + outcomes.count(Outcome.UNNOTICED))


def try_samples(
    folder: Path,
    names: Sequence[str],
    *,
    mutations: int = DEFAULT_MUTATIONS,
    trial_s: int = DEFAULT_TRIAL_S,
    progress: Callable[[int], None] = lambda _: None,
) -> Sensitivity:
    """Run a model's golden samples on the healthy model, on damaged ones, and with wrong cards. Blocking.

    Args:
        folder: The model folder.
        names: Every file that it needs, relative to it.
        mutations: How many damaged models.
        trial_s: Most seconds of one trial.
        progress: Told after each trial how many are done.

    Raises:
        WarmupFailed: The golden samples do not hold for the healthy model.
        LoadFailed: The healthy model cannot be loaded, or the process that tries ended.
    """
    with tempfile.TemporaryDirectory(prefix="pack-") as place:
        request = {
            "folder": str(folder),
            "names": list(names),
            "mutations": mutations,
            "trial_s": trial_s,
            "memory_bytes": BASE_MEMORY_BYTES + MEMORY_FACTOR * _size(folder, names),
            "place": place,
            "parent": os.getpid(),
        }
        said, code, words = _converse(request, progress)
    if not said or code != 0:
        raise LoadFailed(f"{folder}: the process that tries its samples ended with code {code}{words}")
    baseline = said[0]
    if "load_s" not in baseline:
        message = str(baseline.get("message") or f"signal {baseline.get('signal')}")
        kind = WarmupFailed if baseline.get("stage") == "golden" else LoadFailed
        raise kind(f"{folder}: {message}")
    trials = tuple(Trial(each["kind"] == "card", each["what"], outcome_of(each)) for each in said[1:])
    return Sensitivity(trials, baseline["load_s"], baseline["p99_ms"], baseline["runs"])


def outcome_of(said: Mapping[str, Any]) -> Outcome:
    """Judge what one trial said before it ended."""
    if said.get("unchanged"):
        return Outcome.UNCHANGED
    if "held" in said and "signal" not in said:
        return Outcome.UNNOTICED
    return Outcome.NOTICED if said.get("stage") == "golden" else Outcome.NOT_LOADED


def _size(folder: Path, names: Sequence[str]) -> int:
    try:
        return sum((folder / name).stat().st_size for name in names)
    except OSError as error:
        raise LoadFailed(f"{folder}: {error.strerror or error}") from error


def _converse(
    request: Mapping[str, Any], progress: Callable[[int], None]
) -> tuple[list[dict[str, Any]], int, str]:
    """Run the child; return what it said, its exit code, and its last words after a colon."""
    # More threads than one would be copied, half alive, into every fork.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    said: list[dict[str, Any]] = []
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.updates.packing.trial_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
        )
        with process:
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(json.dumps(request).encode())
                    process.stdin.close()
                for line in process.stdout:
                    said.append(json.loads(line))
                    progress(len(said))
            finally:
                if process.poll() is None and sys.exc_info()[0] is not None:
                    process.kill()
        errors.seek(0)
        return said, process.returncode, last_words(errors.read(1 << 20))
