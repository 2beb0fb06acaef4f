"""The garbage collector of a process that lives long: what start-up made is left alone; pauses are told."""

from __future__ import annotations

import gc
import time
from typing import Final

from gateway.operations.series import Histograms

# A pause grows with the objects that are looked at: 1,000 young ones, 5,000 of the
# middle generation. Requests in flight, of which there may be thousands of objects
# at a time, form no rings and are freed by counting references; so the old
# generation, which may be large, is looked at once for a million objects more.
_YOUNG, _MIDDLE, _OLD = 1_000, 5, 200
_GENERATIONS: Final = ("0", "1", "2")


def settle_collector() -> None:
    """Collect once, then leave everything that lives now out of later collections."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)


class CollectorPauses:
    """Observes how long each run of the collector holds everything else."""

    def __init__(self, pauses: Histograms) -> None:
        """Prepare.

        Args:
            pauses: ``Metrics.collector_pause``; its label is the generation.
        """
        self._cells = [pauses.at(generation) for generation in _GENERATIONS]
        self._began_s = 0.0

    def start(self) -> None:
        """Observe every run from now on."""
        gc.callbacks.append(self._on_run)

    def stop(self) -> None:
        """Observe no more."""
        gc.callbacks.remove(self._on_run)

    def _on_run(self, phase: str, info: dict[str, int]) -> None:
        # The collector never runs inside itself, whatever thread it runs in: one beginning is enough.
        if phase == "start":
            self._began_s = time.perf_counter()
        else:
            self._cells[info["generation"]].observe(time.perf_counter() - self._began_s)
