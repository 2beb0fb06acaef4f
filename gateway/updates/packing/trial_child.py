"""The throw-away process that tries golden samples on damaged models; started by ``packing.trials``.

It reads one JSON request on standard input and writes a line of JSON for each
trial. Every trial is a fork of its own, because a damaged model may end the process
that loads it; what they share is only what was imported before.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from gateway.errors import GatewayError
from gateway.inference.card import read_folder
from gateway.inference.golden_run import run_golden
from gateway.inference.loaded import LoadedModel, LoadSpec, PipelineSpec
from gateway.model import ModelFolder
from gateway.operations.child_start import die_with_parent, take_stdout
from gateway.updates.packing.damage import Damage, damage
from gateway.updates.packing.trial_folder import write_trial
from gateway.updates.packing.weights import find_weights
from gateway.updates.packing.wrong_cards import wrong_cards

_PIPELINE = "card"
_POLITENESS = 5
_MOST_SAID_BYTES = 1 << 16
_MOST_RUNS = 200
_LEAST_RUNS = 20
_RUNS_S = 5.0

Said = dict[str, Any]
Tell = Callable[[str], None]


def main() -> int:
    """Do the trials that standard input names; return the exit code."""
    out = os.fdopen(take_stdout(), "w", encoding="utf-8")  # runtimes print
    request = json.loads(sys.stdin.buffer.read())
    _confine(request["parent"])
    folder = read_folder(request["folder"])
    # The healthy model is loaded once here, for its runtime's imports; sessions are for the forks. The one
    # thread that a runtime may have begun by then idles; should a fork ever wait for it, its alarm ends it.
    LoadedModel.load(_spec(folder.folder)).close()
    trials = _Trials(folder, request)
    for said in trials.run():
        out.write(json.dumps(said, separators=(",", ":")) + "\n")
        out.flush()
    return 0


class _Trials:
    """All trials of one model, one after the other."""

    def __init__(self, folder: ModelFolder, request: Mapping[str, Any]) -> None:
        self._folder = folder
        self._names = tuple(request["names"])
        self._limit_s = int(request["trial_s"])
        self._memory_bytes = int(request["memory_bytes"])
        self._count = int(request["mutations"])
        self._place = Path(request["place"]) / "model"
        self._weights = find_weights(folder.file, folder.card.format)

    def run(self) -> Iterator[Said]:
        """Yield what came out of each trial."""
        yield {"kind": "baseline", **self._fork(self._baseline)}
        kinds = list(Damage)
        for number in range(self._count if self._weights else 0):
            kind = kinds[number % len(kinds)]
            said = self._fork(partial(self._damaged, kind=kind, seed=number))
            yield {"kind": "damage", "what": kind.value, **said}
        for wrong in wrong_cards(self._folder):
            said = self._fork(partial(self._answer, folder=wrong.folder, changed={}))
            yield {"kind": "card", "what": wrong.what, **said}

    def _baseline(self, tell: Tell) -> Said:
        started_s = time.perf_counter()
        model = LoadedModel.load(_spec(self._folder.folder))
        model.warm_up()
        load_s = time.perf_counter() - started_s
        tell("golden")
        held = run_golden(model, _PIPELINE)
        took_s: list[float] = []
        end_s = time.perf_counter() + _RUNS_S
        while len(took_s) < _LEAST_RUNS or (len(took_s) < _MOST_RUNS and time.perf_counter() < end_s):
            begun_s = time.perf_counter()
            model.run_zeros()
            took_s.append(time.perf_counter() - begun_s)
        p99_s = sorted(took_s)[min(len(took_s) - 1, len(took_s) * 99 // 100)]
        return {"load_s": load_s, "p99_ms": p99_s * 1e3, "runs": len(took_s), "held": len(held)}

    def _damaged(self, tell: Tell, kind: Damage, seed: int) -> Said:
        model_file = self._folder.file
        # By the name beside the model, which may lie in a folder of the folder.
        names = {
            each.file: model_file.parent / each.file if each.file else model_file for each in self._weights
        }
        files = {name: np.fromfile(path, np.uint8) for name, path in names.items()}
        if not damage(files, self._weights, kind, seed):
            return {"unchanged": True}
        root = self._folder.folder.resolve()
        changed = {str(names[name].resolve().relative_to(root)): data for name, data in files.items()}
        return self._answer(tell, self._folder, changed)

    def _answer(self, tell: Tell, folder: ModelFolder, changed: Mapping[str, NDArray[np.uint8]]) -> Said:
        write_trial(self._place, folder, self._names, changed)
        model = LoadedModel.load(_spec(self._place))
        tell("golden")
        run_golden(model, _PIPELINE)
        return {"held": len(folder.card.golden)}

    def _fork(self, attempt: Callable[[Tell], Said]) -> Said:
        """Run one attempt in a process of its own; return what it said, and how it ended."""
        self._place.mkdir()
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _alone(attempt, writing, self._limit_s, self._memory_bytes)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            lines = pipe.read(_MOST_SAID_BYTES).splitlines()
        _, status = os.waitpid(pid, 0)
        shutil.rmtree(self._place)
        said: Said = {"stage": "load"}
        for line in lines:
            with contextlib.suppress(ValueError):
                said.update(json.loads(line))
        if os.WIFSIGNALED(status):
            said["signal"] = os.WTERMSIG(status)
        return said


def _alone(attempt: Callable[[Tell], Said], writing: int, limit_s: int, memory_bytes: int) -> NoReturn:
    """Be one trial; never return."""

    def tell(stage: str) -> None:
        os.write(writing, json.dumps({"stage": stage}).encode() + b"\n")

    try:
        die_with_parent(os.getppid())
        signal.alarm(limit_s)  # its default action ends us even inside a runtime that never returns
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        said = attempt(tell)
    except (GatewayError, MemoryError) as error:
        said = {"error": getattr(error, "label", "memory"), "message": str(error)[:500]}
    except Exception as error:  # noqa: BLE001 - the edge of this process: a damaged model raises anything
        said = {"error": "bug", "message": f"{type(error).__name__}: {error}"[:500]}
    # Written whole before the line ends, so that a torn one is no verdict.
    os.write(writing, json.dumps(said).encode() + b"\n")
    os._exit(0)


def _spec(folder: Path) -> LoadSpec:
    return LoadSpec("tried", str(folder), pipelines=(PipelineSpec(_PIPELINE),))


def _confine(parent: int) -> None:
    die_with_parent(parent)
    with contextlib.suppress(OSError):
        os.nice(_POLITENESS)


if __name__ == "__main__":
    sys.exit(main())
