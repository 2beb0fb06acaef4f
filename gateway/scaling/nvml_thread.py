"""Asks the management library in a thread of its own, and does not wait for it for ever.

A driver may take 700 ms for one call, or never come back. Until it does, nothing
more is asked of it, its last answer is not passed off as a new one, and whoever
asks learns at once that it is silent.
"""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue
from typing import Final

from gateway.operations.log import log
from gateway.scaling.nvml import NvmlProbe
from gateway.scaling.nvml_reading import NvmlReading

LIMIT_S: Final = 0.5
SWITCHED_OFF: Final = "telemetry.nvml is off"
SILENT: Final = "NVML does not answer"


class NvmlThread:
    """A probe that always answers within its limit. To be asked by one thread at a time."""

    def __init__(self, *, enabled: bool = True, limit_s: float = LIMIT_S) -> None:
        self._enabled = enabled
        self._limit_s = limit_s
        self._worker: _Worker | None = None

    def read(self) -> NvmlReading:
        """Return what the library says, or that it is silent, after ``limit_s`` at most. Raises nothing."""
        if not self._enabled:
            return NvmlReading(absent=SWITCHED_OFF)
        worker = self._worker
        if worker is None or worker.pid != os.getpid():  # a thread does not outlive a fork
            worker = self._worker = _Worker()
        return worker.ask(self._limit_s)

    def close(self) -> None:
        """Let the thread end once the driver lets go of it; nobody waits for that."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None


class _Worker:
    """One thread with one question in its hands at most."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._probe = NvmlProbe()
        self._questions: SimpleQueue[bool] = SimpleQueue()
        self._answered = threading.Event()
        self._answered.set()
        self._answer = NvmlReading()
        threading.Thread(target=self._run, name="nvml", daemon=True).start()

    def ask(self, limit_s: float) -> NvmlReading:
        """Return a new answer, or that there is none."""
        if not self._answered.is_set():
            return NvmlReading(trouble=SILENT)  # it still has the last question: do not wait once more
        self._answered.clear()
        self._questions.put(True)
        return self._answer if self._answered.wait(limit_s) else NvmlReading(trouble=SILENT)

    def end(self) -> None:
        """Ask no more."""
        self._questions.put(False)

    def _run(self) -> None:
        while self._questions.get():
            try:
                self._answer = self._probe.read()
            except Exception as error:  # noqa: BLE001 - a binding that breaks must not look like one that hangs
                log.event("task_failed", task="nvml", error=error)
                self._answer = NvmlReading(trouble=f"{type(error).__name__}: {error}")
            self._answered.set()
        self._probe.close()
