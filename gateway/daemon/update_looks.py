"""Looks at the repository when somebody rings or the time has come, and fetches what rollouts want."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from functools import partial

from gateway.daemon.model_rollout import ModelRollout
from gateway.daemon.offer import Offer
from gateway.daemon.release_work import hindered
from gateway.daemon.rollout_ports import RolloutPorts
from gateway.daemon.update_board import UpdateBoard
from gateway.daemon.update_turns import Turns
from gateway.errors import (
    DiskFull,
    FetchRefused,
    GatewayError,
    ManifestRefused,
    TrustStale,
    UpdateRefused,
)
from gateway.mqtt.wait import set_by
from gateway.operations.log import log
from gateway.operations.tokens import Tokens
from gateway.updates.release import ReleaseRef
from gateway.updates.reported import Trust
from gateway.updates.rollout_events import Fetched, Hindered
from gateway.updates.updater import Refreshed, UpdaterSession
from gateway.updates.updater_wire import UpdaterOptions

_BURST = 3
_PERIOD_S = 10.0
_FIRST_RETRY_S = 5.0
_JITTER = 0.1
_TOLD_PERCENT = 5.0
_TOLD_S = 5.0
# A look ends a fetch that is under way, but not earlier than this.
_UNDISTURBED_S = 5.0
_PERMANENT = (FetchRefused, ManifestRefused)

POLL = "poll"
RETRY = "retry"
START = "start"
WANTED = "wanted"


class Looks:
    """Everything that needs the updater's process.

    Args:
        board: What is known.
        ports: The house.
        turns: Told what is wished.
        options: Returns how the updater is to be started, as configured now.
    """

    def __init__(
        self, board: UpdateBoard, ports: RolloutPorts, turns: Turns, options: Callable[[], UpdaterOptions]
    ) -> None:
        self._board = board
        self._ports = ports
        self._turns = turns
        self._options = options
        self._bell = asyncio.Event()
        self._stir = asyncio.Event()
        self._because = START
        self._asked = False
        self._looking = False
        self._tokens = Tokens(_BURST, _PERIOD_S)
        self._failures = 0
        self._seen: frozenset[str] = frozenset()
        self._told_percent, self._told_s = 0.0, 0.0
        self._undisturbed_s = 0.0
        self._next_s = time.monotonic()

    def ring(self, because: str, *, asked: bool = False) -> None:
        """Look soon: somebody says that there is news.

        Args:
            because: Who says so, for the log.
            asked: True to try at once what waits for its next try.
        """
        self._because = because
        self._asked = self._asked or asked
        self._bell.set()
        self._stir.set()

    def attend(self) -> None:
        """Look soon if a release is to be fetched and nobody is at it; note when one is to be tried again."""
        if not self._looking and any(r.wants is not None for r in self._board.rollouts.values()):
            self.ring(WANTED)
        self._stir.set()

    async def run(self) -> None:
        """Look for ever; ends by cancellation."""
        while True:
            because = await self._next()
            self._looking = True
            try:
                await self._look(because)
            finally:
                self._looking = False
            self.attend()

    async def _next(self) -> str:
        """Wait until it is time to look; return why."""
        while True:
            self._stir.clear()
            if not self._bell.is_set():
                retry_s = self._retry_s(time.monotonic())
                due_s = min(self._next_s, retry_s)
                if await set_by(self._stir, due_s):
                    continue
                if self._because != START:
                    self._because = RETRY if retry_s < self._next_s else POLL
            # Whoever floods the bell gets a look now and then, and nothing else suffers.
            now_s = time.monotonic()
            await asyncio.sleep(self._tokens.next_s(now_s) - now_s)
            if self._tokens.take(time.monotonic() + 1e-3):
                self._bell.clear()
                because, self._because = self._because, POLL
                return because

    def _retry_s(self, now_s: float) -> float:
        """Return when the first release that was hindered may be tried again, monotonic seconds.

        Where the last look failed, the next look has to come first.
        """
        if self._failures:
            return float("inf")
        unix_s = time.time()
        waits = [
            rollout.record.retry_unix_s - unix_s
            for rollout in self._board.rollouts.values()
            if rollout.record.attempts and rollout.record.retry_unix_s
        ]
        return now_s + max(1.0, min(waits)) if waits else float("inf")

    async def _look(self, because: str) -> None:
        asked, self._asked = self._asked, False
        try:
            async with UpdaterSession(self._options(), self._ports.store.lock_fd) as session:
                self._seen = frozenset(self._board.rollouts)
                refreshed = await session.refresh(sorted(self._seen))
                self._believe(refreshed)
                self._plan(None)
                await self._turns.offer_all(asked=asked)
                await self._fetch_all(session)
                self._board.child_peak_bytes = session.peak_rss_bytes or self._board.child_peak_bytes
        except GatewayError as error:
            self._plan(error)
            self._ports.metrics.update_looks.add(1, error.label)
            retry_s = round(self._next_s - time.monotonic(), 1)
            log.event("update_look_failed", because=because, label=error.label, retry_s=retry_s, error=error)
        else:
            self._ports.metrics.update_looks.add(1, "ok")
            self._tell(because)
        self._ports.changed()

    def _plan(self, error: GatewayError | None) -> None:
        """Choose when to look next: soon and ever later after failures."""
        poll_s = self._board.settings.poll_interval_s
        wait_s = poll_s
        if error is None:
            self._failures = 0
            self._board.trouble = ""
        else:
            self._board.trouble = f"{error.label}: {error.message}"
            wait_s = min(poll_s, _FIRST_RETRY_S * 2.0 ** min(self._failures, 16))
            if isinstance(error, TrustStale):
                wait_s = poll_s  # only whoever signs can end it
            self._failures += 1
        self._next_s = time.monotonic() + wait_s * random.uniform(1 - _JITTER, 1 + _JITTER)

    def _believe(self, refreshed: Refreshed) -> None:
        """Take what the repository says."""
        board = self._board
        board.assignment = refreshed.assignment
        board.trust = Trust(dict(refreshed.trust.versions), refreshed.trust.clock)
        board.expires_unix_s = dict(refreshed.trust.expires_unix_s)
        if refreshed.trust.clock != "ok":
            log.event("update_clock_untrusted", assumed=refreshed.trust.clock)
        if refreshed.trust.root_expires_soon:
            log.event("update_root_expires", at=board.expires_unix_s.get("root", 0))
        for words in refreshed.trouble:
            log.event("update_trouble", trouble=words)
        wishes = refreshed.assignment.models if refreshed.assignment else {}
        for name in self._seen & board.rollouts.keys():
            rollout = board.rollouts[name]
            rollout.asked = True
            wish, found = wishes.get(name), refreshed.releases.get(name)
            rollout.offer = None
            if wish is not None and found is not None:
                rollout.offer = Offer(found.release, found.ref, wish)
            elif wish is not None:
                self._refuse(name, wish.release, refreshed.refused.get(name))

    def _refuse(self, model: str, number: int, error: UpdateRefused | None) -> None:
        """Tell that what is assigned cannot even be offered."""
        unsigned = ManifestRefused("it is assigned, but nobody who may has signed it")
        why = error or unsigned
        self._ports.metrics.release_failures.add(1, model, why.label)
        log.event("release_refused", model=model, release=number, code=why.label, reason=why.message)

    async def _fetch_all(self, session: UpdaterSession) -> None:
        """Fetch what rollouts want, one after the other, until nothing is wanted or somebody rings.

        Whoever rings without end does not keep anything from coming, for a fetch goes on where it was.
        """
        self._undisturbed_s = time.monotonic() + _UNDISTURBED_S
        while not (self._bell.is_set() and time.monotonic() >= self._undisturbed_s):
            rollout = next((r for r in self._board.rollouts.values() if r.wants is not None), None)
            if rollout is None or rollout.wants is None:
                return
            if not await self._fetch(session, rollout, rollout.wants):
                return

    async def _fetch(self, session: UpdaterSession, rollout: ModelRollout, ref: ReleaseRef) -> bool:
        """Fetch one release; return False if the session is of no more use."""
        work = asyncio.ensure_future(
            session.fetch(rollout.model, ref.number, partial(self._progressed, rollout))
        )
        bell = asyncio.ensure_future(self._disturbed())
        unwanted = asyncio.ensure_future(rollout.until_unwanted(ref))
        try:
            await asyncio.wait({work, bell, unwanted}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return False
            try:
                got = work.result()
            except DiskFull as error:
                await self._make_room(rollout, ref, error)
            except GatewayError as error:
                await rollout.feed(hindered(ref, error, permanent=isinstance(error, _PERMANENT)))
            else:
                await rollout.feed(Fetched(got) if got == ref else _exchanged(ref))
            return True
        finally:
            for task in (work, bell, unwanted):
                task.cancel()
            await asyncio.gather(work, bell, unwanted, return_exceptions=True)

    async def _disturbed(self) -> None:
        """Return once somebody has rung and the fetch has had its time."""
        await self._bell.wait()
        await asyncio.sleep(self._undisturbed_s - time.monotonic())

    async def _make_room(self, rollout: ModelRollout, ref: ReleaseRef, error: DiskFull) -> None:
        """Remove all that no record needs; what still does not fit waits for its next try."""
        try:
            collected = await asyncio.to_thread(self._ports.store.collect, 0, self._ports.spare())
        except GatewayError as failure:
            log.event("store_failed", what="collection", error=failure)
            collected = None
        if collected is None or not collected.freed_bytes:
            await rollout.feed(hindered(ref, error))

    def _progressed(self, rollout: ModelRollout, done_bytes: int, whole_bytes: int) -> None:
        percent, before = 100.0 * done_bytes / max(whole_bytes, 1), self._told_percent
        rollout.percent = percent
        now_s = time.monotonic()
        if abs(percent - before) >= _TOLD_PERCENT or now_s - self._told_s >= _TOLD_S:
            self._told_percent, self._told_s = percent, now_s
            self._ports.changed()

    def _tell(self, because: str) -> None:
        board = self._board
        log.event(
            "update_looked",
            because=because,
            assignment=board.assignment.version if board.assignment else 0,
            versions=dict(board.trust.versions),
            clock=board.trust.clock,
            peak_bytes=board.child_peak_bytes,
        )


def _exchanged(ref: ReleaseRef) -> Hindered:
    """Return what to say where another release has come than the one that was wished."""
    return hindered(ref, ManifestRefused(f"release {ref.number}: its manifest is another one now"))
