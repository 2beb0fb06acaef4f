"""Samples of the board at a fixed pace, read in a thread: the event loop sees finished ones only.

Reading takes a millisecond on a healthy board and as long as a driver likes on an
ill one. Nothing waits for a reading that is late: the newest sample just grows old,
and its time says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol

from gateway.errors import Draining
from gateway.operations.log import log
from gateway.scaling.sample import DeviceMemory, Sample
from gateway.scaling.sources import changes


class SampleReader(Protocol):
    """Whoever makes a sample; see ``gateway.scaling.sampler``."""

    def read(self, at_s: float) -> Sample:
        """Return a sample; called in a thread, one call at a time."""
        ...

    def close(self) -> None:
        """Let go of whatever is held. Never waits."""
        ...


class Telemetry:
    """Samples while it is open: ``async with Telemetry(...) as telemetry``. Owns its reader.

    The first sample is taken at once, the others at fixed times after it; times that
    passed during a slow reading are left out.
    """

    def __init__(self, reader: SampleReader, interval_s: Callable[[], float]) -> None:
        """Prepare; nothing is read before it is opened.

        Args:
            reader: Makes the samples; is closed with this.
            interval_s: Returns the time between two samples, as configured now.
        """
        self._reader = reader
        self._interval_s = interval_s
        self._latest: Sample | None = None
        self._waiting: asyncio.Future[Sample] | None = None
        self._listeners: list[Callable[[Sample], None]] = []
        self._wake = threading.Event()
        self._is_over = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._memory: Mapping[str, DeviceMemory] = {}
        self._troubles: tuple[str, ...] = ()

    async def __aenter__(self) -> Telemetry:
        """Begin to read."""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, name="telemetry", daemon=True).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Read no more; a reading under way is not waited for, and who waits gets ``Draining``."""
        self._is_over = True
        self._wake.set()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.set_exception(Draining("telemetry has ended"))
            waiting.exception()  # said once here, so that nobody need hear it

    def latest(self) -> Sample | None:
        """Return the newest sample; None before the first. Never waits."""
        return self._latest

    def listen(self, listener: Callable[[Sample], None]) -> None:
        """Have every sample from now on handed to ``listener``, on the event loop. It must not raise."""
        self._listeners.append(listener)

    async def next_sample(self) -> Sample:
        """Return the next sample when it is there; several may wait for one.

        Raises:
            Draining: Telemetry has ended.

        Cancel-safe: others who wait are not disturbed.
        """
        if self._is_over:
            raise Draining("telemetry has ended")
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._waiting)

    def hurry(self) -> None:
        """Have a sample taken now, besides those at their fixed times."""
        self._wake.set()

    def _run(self) -> None:
        """Read for ever; the thread's whole life."""
        due_s = time.monotonic()
        while not self._is_over:
            sample = self._read()
            if sample is not None:
                assert self._loop is not None
                with contextlib.suppress(RuntimeError):  # the event loop has ended meanwhile
                    self._loop.call_soon_threadsafe(self._take, sample)
            due_s = self._next_s(due_s)
            self._wake.wait(max(0.0, due_s - time.monotonic()))
            self._wake.clear()
        self._reader.close()

    def _next_s(self, due_s: float) -> float:
        """Return the next time to read: fixed steps from the one before, none of them in the past."""
        interval_s, now_s = self._interval_s(), time.monotonic()
        if due_s > now_s:
            return due_s  # this one was hurried
        return due_s + interval_s * (1 + int((now_s - due_s) / interval_s))

    def _read(self) -> Sample | None:
        try:
            return self._reader.read(time.monotonic())
        except Exception as error:  # noqa: BLE001 - one bad reading must not end all later ones
            log.event("task_failed", task="telemetry", error=error)
            return None

    def _take(self, sample: Sample) -> None:
        """Hand a sample on; runs on the event loop."""
        if self._is_over:
            return
        self._latest = sample
        self._say(sample)
        for listener in self._listeners:
            listener(sample)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.set_result(sample)

    def _say(self, sample: Sample) -> None:
        """Log where numbers come from, and what could not be read, whenever that changes."""
        silence = "; ".join(sample.troubles)
        for change in changes(self._memory, sample.memory, silence):
            log.event(
                "memory_source_changed",
                device=change.device,
                source=change.now.value,
                was=change.was.value,
                reason=change.reason,
            )
        self._memory = sample.memory
        if sample.troubles != self._troubles:
            self._troubles = sample.troubles
            for trouble in sample.troubles:
                log.event("telemetry_trouble", trouble=trouble)
