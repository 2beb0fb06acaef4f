"""The GPU owner as a place for lanes: one process at most, started when a lane needs it, for all models."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from gateway.errors import WorkerCrashed
from gateway.inference.body import Body, ProcessBody
from gateway.inference.confine import needs_devices
from gateway.inference.limits import PoolLimits
from gateway.inference.loaded import LoadSpec
from gateway.inference.owner_life import OwnerLife

_SETTLE_S: Final = 1.0

# Told how far a load is: model, what it does, for how many seconds it has done so.
OnProgress = Callable[[str, str, float], None]


def _silent(_model: str, _what: str, _seconds: float) -> None:
    pass


class GpuOwner:
    """Keeps one process for every lane that needs a GPU. Close it after the pools that use it."""

    def __init__(self, on_progress: OnProgress = _silent) -> None:
        """Start nothing yet.

        Args:
            on_progress: Told about twice a second how far each load is; called in the event loop.
        """
        self.on_progress = on_progress
        self._life: OwnerLife | None = None
        self._starting = asyncio.Lock()
        self._is_closed = False

    @property
    def pid(self) -> int:
        """Process id of the owner; 0 where there is none."""
        return self._life.pid if self._life is not None and self._life.takes_lanes else 0

    def body(self, spec: LoadSpec, limits: PoolLimits) -> Body:
        """Return what a new lane lives in: a thread of the owner if it needs a GPU, else a process."""
        if needs_devices(spec.options.providers, spec.options.delegates):
            return OwnerBody(self, spec, limits)
        return ProcessBody()

    async def enter(self, body: OwnerBody) -> tuple[OwnerLife, int]:
        """Take a lane into the owner, starting one if there is none; two never live at once.

        Raises:
            OSError: It cannot be started.
            WorkerCrashed: The gateway is stopping.

        Cancel-safe: what was started is ended.
        """
        async with self._starting:
            if self._is_closed:
                raise WorkerCrashed("the gateway is stopping")
            if self._life is None or not self._life.takes_lanes:
                if self._life is not None:
                    await self._life.close()
                self._life = await OwnerLife.start()
            return self._life, self._life.enter(body)

    async def close(self) -> None:
        """End the process. Idempotent."""
        self._is_closed = True
        async with self._starting:
            if self._life is not None:
                await self._life.close()


class OwnerBody:
    """A thread of the GPU owner."""

    loaded = False
    kin: socket.socket | None = None

    def __init__(self, owner: GpuOwner, spec: LoadSpec, limits: PoolLimits) -> None:
        """Begin nothing yet.

        Args:
            owner: Whose thread it will be.
            spec: What the lane will load.
            limits: How long a lane that nobody waits for may go on, before it counts as hung.
        """
        self._owner = owner
        self._spec = spec
        self._limits = limits
        self._life: OwnerLife | None = None
        self._number = 0
        self._is_left = self._has_loaded = self._is_spared = False
        loop = asyncio.get_running_loop()
        self._turn: asyncio.Future[str] = loop.create_future()
        self._ended: asyncio.Future[str] = loop.create_future()

    @property
    def pid(self) -> int:
        """Process id of the owner; 0 before it was begun."""
        return self._life.pid if self._life else 0

    @property
    def is_spared(self) -> bool:
        """Whether the owner ended for another lane's fault."""
        return self._is_spared

    @property
    def fate(self) -> object | None:
        """The life of the owner in which it lives."""
        return self._life

    async def begin(self, fds: Sequence[int]) -> None:
        """Have the owner start a lane, and wait until it may load: other loads come first.

        Raises:
            OSError: The owner cannot be started.
            WorkerCrashed: It has ended, or will take no more.

        Cancel-safe as long as ``leave`` and ``ended`` follow.
        """
        self._life, self._number = await self._owner.enter(self)
        order = {"t": "lane", "n": self._number, "spec": replace(self._spec, pipelines=()).to_json()}
        try:
            self._life.order(self._number, order, fds)
        except ValueError as error:
            raise WorkerCrashed(f"the order to the GPU owner cannot be sent: {error}") from error
        await asyncio.wait({self._turn})
        if self._turn.result():
            raise WorkerCrashed(f"the worker {self._turn.result()}")

    def kill(self) -> None:
        """End the lane, and with it the owner: a thread that hangs cannot be ended alone."""
        if self._life is not None:
            self._life.end(self._number)

    def leave(self) -> None:
        """Let the lane end when its call returns; the owner ends where that never comes."""
        self._is_left = True
        if self._life is not None:
            limit_s = self._limits.run_timeout_s if self._has_loaded else self._limits.load_timeout_s
            self._life.leave(self._number, limit_s)

    def quiet(self) -> None:
        """Forget what the owner wrote; the lane is ready."""
        self._has_loaded = True
        if self._life is not None:
            self._life.quiet()

    async def ended(self) -> str:
        """Wait until the lane has ended; return how.

        One that was left may go on until its call returns, and is not waited for much longer.
        """
        if self._life is None:
            return ""
        await asyncio.wait({self._ended}, timeout=_SETTLE_S if self._is_left else None)
        if not self._life.takes_lanes:  # it ends as a whole, and may say why
            await asyncio.wait({self._ended})
        return (
            self._ended.result() if self._ended.done() else "goes on in the GPU owner until its call returns"
        )

    def turn_came(self) -> None:
        """Let ``begin`` return."""
        if not self._turn.done():
            self._turn.set_result("")

    def progressed(self, what: str, seconds: float) -> None:
        """Pass on how far the load is."""
        self._owner.on_progress(self._spec.name, what, seconds)

    def lane_ended(self, how: str, *, is_spared: bool) -> None:
        """Note the end."""
        self._is_spared = is_spared
        if not self._turn.done():
            self._turn.set_result(how)
        if not self._ended.done():
            self._ended.set_result(how)
