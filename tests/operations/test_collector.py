"""The collector: pauses are observed by generation, and what lives at start-up is never looked at again."""

from __future__ import annotations

import gc
import subprocess
import sys

from gateway.operations.collector import CollectorPauses
from gateway.operations.metrics import Metrics


def counts(metrics: Metrics) -> dict[str, int]:
    """Return how many runs of each generation were observed."""
    return {labels[0]: sum(cell.counts) for labels, cell in metrics.collector_pause.cells()}


def test_every_run_is_observed_by_its_generation_until_it_is_stopped() -> None:
    metrics = Metrics()
    pauses = CollectorPauses(metrics.collector_pause)
    was_enabled, before = gc.isenabled(), list(gc.callbacks)
    gc.disable()  # so that no run of its own falls between
    try:
        gc.collect()
        pauses.start()
        for generation in (0, 0, 0, 1, 2):
            gc.collect(generation)
        pauses.stop()
        gc.collect()
    finally:
        if was_enabled:
            gc.enable()
    assert counts(metrics) == {"0": 3, "1": 1, "2": 1}
    assert all(cell.sum > 0 for _, cell in metrics.collector_pause.cells())
    assert gc.callbacks == before


def test_a_settled_process_looks_neither_at_what_lived_at_the_start_nor_often() -> None:
    code = """
import gc
kept = [[number] for number in range(100_000)]
from gateway.operations.collector import settle_collector
ring = []
ring.append(ring)
del ring
settle_collector()
assert gc.get_freeze_count() > 100_000, gc.get_freeze_count()
assert len(gc.get_objects()) < 1_000, len(gc.get_objects())
assert gc.get_threshold()[0] >= 1_000
assert gc.isenabled()
seen = []
gc.callbacks.append(lambda phase, info: seen.append((phase, info["collected"])))
for _ in range(3_000):
    ring = []
    ring.append(ring)
assert sum(collected for phase, collected in seen if phase == "stop") >= 1_000, seen
"""
    subprocess.run([sys.executable, "-c", code], check=True)
