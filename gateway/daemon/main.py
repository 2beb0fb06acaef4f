"""The process: puts the rooms together in order, handles signals, takes them apart in reverse order.

Start: log, status door, models, broker, sensors. Stop: sensors, models (their
requests finish), broker (the last state is told), status door, log.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.configuration.load import LoadedSettings, load
from gateway.configuration.overrides import overridden
from gateway.daemon.house import House
from gateway.errors import ConfigError, GatewayError
from gateway.operations.build import VERSION
from gateway.operations.collector import CollectorPauses, settle_collector
from gateway.operations.libraries import capture
from gateway.operations.listen_fds import take_over
from gateway.operations.log import log
from gateway.operations.malloc import keep_large_buffers
from gateway.operations.notifier import Notifier

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_CONFIG = 78
_SOCKETS = ("http", "control")
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main(path: str, overrides: Sequence[str] = ()) -> int:
    """Run the gateway until it is told to stop; return the exit code.

    Args:
        path: The configuration file.
        overrides: ``dotted.key=value`` settings that win over the file, now and at every reload.
    """
    started_s = time.monotonic()
    manager = Notifier.of(os.environ, os.getpid())
    handed = take_over(os.environ, os.getpid(), _SOCKETS)
    try:
        loaded = read(path, overrides)
    except ConfigError as error:
        manager.stopping(f"The configuration is refused: {error}")
        sys.stderr.write(f"{error}\n")
        return EXIT_CONFIG
    keep_large_buffers()
    log.configure(loaded.settings.log)
    log.start()
    capture(log)
    log.event("starting", version=VERSION, pid=os.getpid(), config=path)
    for socket in handed.refused:
        log.event("socket_refused", name=socket.name, fd=socket.fd, why=socket.why)

    async def serve() -> int:
        return await _Run(House(loaded, manager, handed), manager, path, overrides, started_s).serve()

    try:
        return asyncio.run(serve())
    finally:
        log.close()


def read(path: str, overrides: Sequence[str]) -> LoadedSettings:
    """Read the file and lay the overrides over it.

    Raises:
        ConfigError: The file or an override is wrong.
    """
    return overridden(load(path), overrides)


@dataclass(frozen=True, slots=True)
class _Run:
    """One life of the process, from the first room to the last."""

    house: House
    manager: Notifier
    path: str
    overrides: Sequence[str]
    started_s: float

    async def serve(self) -> int:
        """Live until told to stop; return the exit code."""
        loop = asyncio.get_running_loop()
        stop: asyncio.Future[str] = loop.create_future()
        reload = asyncio.Event()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, _ask_to_stop, stop, signal.Signals(number).name)
        loop.add_signal_handler(signal.SIGHUP, reload.set)
        running = loop.create_task(self._live(reload), name="gateway.live")
        waited: set[asyncio.Future[Any]] = {running, stop}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        reason = stop.result() if stop.done() else "it failed"
        self.manager.stopping(f"Stopping: {reason}")
        log.event("stopping", reason=reason)
        stopping_s = time.monotonic()
        code = EXIT_OK
        if running.done():
            code = _exit_code(running.exception(), self.path)
        else:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        await self.house.close()
        log.event("stopped", after_s=round(time.monotonic() - stopping_s, 3))
        return code

    async def _live(self, reload: asyncio.Event) -> None:
        await self._open()
        settle_collector()
        pauses = CollectorPauses(self.house.metrics.collector_pause)
        models, pipelines = self.house.counts()
        after_s = round(time.monotonic() - self.started_s, 3)
        self.manager.ready(self.house.pulse.words())
        log.event("ready", after_s=after_s, models=models, pipelines=pipelines)
        watch = asyncio.ensure_future(self.house.watch())
        pauses.start()
        try:
            while True:
                wait = asyncio.ensure_future(reload.wait())
                done, _ = await asyncio.wait({wait, watch}, return_when=asyncio.FIRST_COMPLETED)
                if watch in done:
                    wait.cancel()
                    await watch  # a part that runs for ever ended: raise what it raised
                    return
                reload.clear()
                await self._reload()
        finally:
            pauses.stop()
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _open(self) -> None:
        extending = asyncio.ensure_future(self.house.pulse.extend_start())
        try:
            await self.house.open()
        finally:
            extending.cancel()
            await asyncio.gather(extending, return_exceptions=True)

    async def _reload(self) -> None:
        """Go over to what the file says now; a file that is wrong changes nothing."""
        self.manager.reloading(f"Reloading {self.path}")
        try:
            loaded = await asyncio.to_thread(read, self.path, self.overrides)
            difference = await self.house.change(loaded)
        except GatewayError as error:
            issues = (
                [str(issue) for issue in error.issues] if isinstance(error, ConfigError) else [error.message]
            )
            log.event("config_refused", file=self.path, issues=issues)
            self.house.metrics.config_reloads.add(1, "refused")
            self.house.pulse.note = f"; the last reload was refused: {'; '.join(issues)}"
        else:
            self.house.metrics.config_reloads.add(1, "applied")
            log.event("config_reloaded", file=str(Path(self.path)), **difference)
            self.house.pulse.note = ""
        self.manager.ready(self.house.pulse.words())


def _ask_to_stop(stop: asyncio.Future[str], name: str) -> None:
    if not stop.done():
        stop.set_result(name)


def _exit_code(error: BaseException | None, path: str) -> int:
    if isinstance(error, ConfigError):
        log.event("config_refused", file=path, issues=[str(issue) for issue in error.issues])
        return EXIT_CONFIG
    log.event("task_failed", task="gateway", error=error)
    return EXIT_FAILURE
