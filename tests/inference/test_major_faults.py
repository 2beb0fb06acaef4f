"""No request waits for the disk: a model's pages are there before it serves, and cannot be driven out.

The model reads rows of a large table where they lie in its file, so that a page
which is not in memory costs a run a trip to the disk: the control shows it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.frames.declaration import Declaration
from gateway.inference.batching import BatchLimits
from gateway.inference.lane import _Channel
from gateway.inference.limits import PoolLimits, SchedulerLimits
from gateway.inference.request import InferRequest, RequestState
from gateway.inference.scheduler import Scheduler
from gateway.inference.wire import encode
from gateway.operations.restart import RestartLimits
from tests import tflite_writer
from tests.inference.bench_of_lanes import PLUGINS, ROOT, Seen, payload, request, serving
from tests.inference.model_folders import spec, write
from tests.inference.test_scheduler import Answers, run
from tests.plugins.trouble_steps import SLOW

ROWS, COLUMNS = 4096, 1024
ASKED = tuple(range(63, ROWS, 257))
DECLARED = Declaration(media="application/vnd.gateway.tensor", dtype="int32", shape=(1,)).to_json()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tflite_writer.lookup(tmp_path / "m.tflite", ROWS, COLUMNS)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    x = {"name": "x", "dtype": "int32", "shape": [1]}
    y = {"name": "y", "dtype": "float32", "shape": [1, COLUMNS]}
    return write(tmp_path, path, [x], [y])


def evict(folder: Path) -> None:
    """Drive out every page of the model file that nothing holds."""
    with (folder / "m.tflite").open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


RUN = """
import resource
import sys
from pathlib import Path

from gateway.inference.loaded import LoadedModel
from gateway.inference.wire import Splitter
from gateway.inference.worker_loop import _run
from tests.inference.model_folders import member, spec
from tests.inference.test_major_faults import ASKED, evict, index

folder = Path(sys.argv[1])
model = LoadedModel.load(spec(folder))
model.warm_up()
if sys.argv[2] == "lazy":
    model.source.close()
evict(folder)
told = Splitter()
count = 0
before = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
for row in ASKED:
    asked = member(index(row), media="application/vnd.gateway.tensor", dtype="int32", shape=(1,))
    ((head, _),) = told.feed(_run(model, 0, [asked]))
    assert head["members"][0][0]["tensors"][0]["data"][0] == row
    count += head["faults"]
print(resource.getrusage(resource.RUSAGE_SELF).ru_majflt - before, count)
"""


def index(row: int) -> bytes:
    """Return the payload that asks for a row."""
    return np.array([row], np.int32).tobytes()


def faults(folder: Path, how: str) -> tuple[int, int]:
    """Return the waits that the kernel counted while rows were asked for, and those that the worker told."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(folder), how], check=True, capture_output=True, text=True
    )
    counted, told = map(int, done.stdout.split())
    return counted, told


def needs_a_disk(folder: Path) -> int:
    counted, told = faults(folder, "lazy")
    if counted == 0:
        pytest.skip("pages of this file system cannot be driven out")
    return told


def test_without_the_mapping_runs_wait_for_the_disk_and_with_it_they_do_not(table: Path) -> None:
    assert needs_a_disk(table) > 0
    assert faults(table, "kept") == (0, 0)


def test_a_lane_loaded_from_a_cold_cache_answers_without_a_trip_to_the_disk(table: Path) -> None:
    needs_a_disk(table)

    async def test() -> None:
        evict(table)
        seen, answers = await asked(table, ASKED)
        assert answers == [float(row) for row in ASKED]
        assert seen.faults == []

    run(test())


async def asked(folder: Path, rows: Sequence[int]) -> tuple[Seen, list[float]]:
    """Serve the model with one lane, evict its file, and ask for rows of the table."""
    seen = Seen()
    limits = SchedulerLimits(BatchLimits(8, 256), PoolLimits(10.0, 60.0, RestartLimits(0.01, 0.1, 5, 60.0)))
    scheduler = Scheduler(spec(folder), lanes=1, limits=limits, observer=seen)
    await scheduler.start()
    try:
        evict(folder)
        answers = Answers()
        for row in rows:
            now_s = time.monotonic()
            wanted = InferRequest(folder.name, "main", f"s{row}", index(row), DECLARED, now_s, now_s + 30.0)
            scheduler.submit(wanted, answers, row)
        outcomes = await answers.all_of(len(rows))
        assert {outcome.state for outcome in outcomes.values()} == {RequestState.DONE}
        (lane,) = scheduler.pool.lanes
        assert lane.facts is not None
        assert lane.facts.mapped
        predictions: list[Any] = [outcomes[row].prediction for row in rows]
        return seen, [prediction["tensors"][0]["data"][0] for prediction in predictions]
    finally:
        await scheduler.close()


def test_what_a_worker_counts_reaches_the_observer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{ROOT}")

    async def test() -> None:
        async with serving("motion-int8") as (dataplane, scheduler, seen):
            answers = Answers()
            dataplane.submit(request(payload(SLOW)), answers, "one")
            (lane,) = scheduler.pool.lanes
            head = {"t": "done", "n": 0, "started": 0.0, "ended": 1.0, "faults": 3}
            _Channel(lane).data_received(encode({**head, "members": [[None, None, 0, {}, []]]}))
            await answers.all_of(1)
            assert seen.faults == [3]

    run(test())
