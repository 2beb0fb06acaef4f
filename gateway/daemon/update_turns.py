"""Attends to rollouts that wait for something of the house: an offer, a turn, a window, their mates."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from gateway.daemon.model_rollout import ModelRollout
from gateway.daemon.rollout_ports import RolloutPorts
from gateway.daemon.update_board import UpdateBoard
from gateway.errors import BakeFailed, GatewayError, NotReady
from gateway.mqtt.wait import set_by
from gateway.operations.build import VERSION
from gateway.operations.log import log
from gateway.updates.manifest import read_manifest
from gateway.updates.rollout_events import ActiveBad, Failed, Offered, SwitchAllowed, TurnCame, Withdrawn
from gateway.updates.selection import compatible
from gateway.updates.state import Phase

_LONGEST_WAIT_S = 3600.0


def _nobody() -> None:
    """Stand in for who is told."""


class Turns:
    """The attendant of all rollouts of one board.

    Attributes:
        on_attended: Told whenever all rollouts were attended to.
    """

    def __init__(self, board: UpdateBoard, ports: RolloutPorts) -> None:
        self.on_attended: Callable[[], None] = _nobody
        self._board = board
        self._ports = ports
        self._wake = asyncio.Event()
        self._due_s = float("inf")

    def ring(self) -> None:
        """Look again soon."""
        self._wake.set()

    async def run(self) -> None:
        """Attend for ever; ends by cancellation."""
        while True:
            wait_s = min(_LONGEST_WAIT_S, max(0.0, self._due_s - time.monotonic()))
            if not await set_by(self._wake, time.monotonic() + wait_s):
                for rollout in self._board.rollouts.values():
                    rollout.reoffer = True  # time alone may have changed what the assignment means
            self._wake.clear()
            self._due_s = float("inf")
            await self._attend()

    async def offer_all(self, *, asked: bool) -> None:
        """Offer every model what is wished for it now."""
        for rollout in list(self._board.rollouts.values()):
            await self._offer(rollout, asked=asked)

    async def _attend(self) -> None:
        for rollout in list(self._board.rollouts.values()):
            if rollout.fell:
                rollout.fell = False
                await self._take_mates_back(rollout)
            await self._give_way(rollout)
            if rollout.reoffer:
                await self._offer(rollout, asked=False)
            selection = self._board.selection(rollout.model)
            if selection is not None and selection.wait_s:
                self._look_in(selection.wait_s)
        await self._give_turn()
        await self._allow_switches()
        self.on_attended()

    async def _offer(self, rollout: ModelRollout, *, asked: bool) -> None:
        if not rollout.asked or rollout.owes:
            return  # what is wished is not known yet, or nothing can be decided now
        await rollout.feed_found(lambda: self._offered(rollout, asked=asked))

    async def _offered(self, rollout: ModelRollout, *, asked: bool) -> Offered | Withdrawn | None:
        """Return what is to be said of the newest wish; None if the disk does not say enough."""
        rollout.reoffer = False
        offer = rollout.offer
        selection = self._board.selection(rollout.model)
        if offer is None or selection is None or not selection.may_fetch or self._board.paused:
            return Withdrawn()
        now_s, updates = int(time.time()), self._board.settings
        try:
            quarantined = await asyncio.to_thread(
                self._ports.store.quarantined, rollout.model, offer.ref, now_s, updates.quarantine_s
            )
            least = await asyncio.to_thread(self._least_release, rollout)
        except GatewayError as error:
            log.event("store_failed", what="quarantine", error=error)
            return None
        return Offered(
            offer.ref,
            now_s,
            shadow_frames=offer.wish.shadow_frames,
            min_release=least,
            allow_downgrade=offer.wish.allow_downgrade,
            incompatible=compatible(offer.release, VERSION, self._board.hardware),
            quarantined=quarantined or "",
            asked=asked,
        )

    def _least_release(self, rollout: ModelRollout) -> int:
        """Return the author's own floor as the releases state it that served here: an old one knows none."""
        record, store = rollout.record, self._ports.store
        served = {ref.number for ref in (record.active, record.previous) if ref is not None}
        least = rollout.offer.release.min_release if rollout.offer else 0
        for number in served | ({record.floor} if record.floor else set()):
            with contextlib.suppress(GatewayError):  # what was removed or is damaged says nothing
                least = max(least, read_manifest(store.manifest(rollout.model, number)).min_release)
        return least

    async def _give_way(self, rollout: ModelRollout) -> None:
        """Fall back from a release whose workers died for good; in a bake, its watch does."""
        record, version = rollout.record, self._ports.catalog.versions.get(rollout.model)
        if record.active is None or record.phase is Phase.BAKING or version is None:
            return
        if version.watch.lost_because and version.plan.spec.folder == rollout.folder:
            reason = f"its workers died: {version.watch.lost_because}"
            await rollout.feed(ActiveBad(record.active, NotReady.label, reason, int(time.time())))

    async def _give_turn(self) -> None:
        """Let the next release be validated once none is: a board has one set of cores for it."""
        rollouts = list(self._board.rollouts.values())
        if any(r.record.phase is Phase.VALIDATING and not r.awaits_turn for r in rollouts):
            return
        for rollout in rollouts:
            candidate = rollout.record.candidate
            if rollout.awaits_turn and candidate is not None:
                await rollout.feed(TurnCame(candidate))
                return

    async def _allow_switches(self) -> None:
        """Let releases take over whose window is open and whose mates are as far as they are."""
        for rollout in list(self._board.rollouts.values()):
            if not rollout.awaits_switch or self._board.paused:
                continue
            selection = self._board.selection(rollout.model)
            if selection is None or not selection.may_switch:
                continue
            mates = self._board.mates(rollout.model)
            if not all(mate.awaits_switch or mate.is_as_wished for mate in mates):
                continue
            if any(self._ports.is_unloaded(mate.model) for mate in mates):
                continue  # a switch would load it
            waiting = [(mate, mate.record.candidate) for mate in mates if mate.awaits_switch]
            for mate, candidate in waiting:
                if candidate is not None:
                    await mate.feed(SwitchAllowed(candidate, int(time.time())))

    async def _take_mates_back(self, fallen: ModelRollout) -> None:
        """Send back whoever switched with a release that fell: a set serves together or not at all."""
        for mate in self._board.mates(fallen.model):
            candidate = mate.record.candidate
            if mate is not fallen and mate.record.phase is Phase.BAKING and candidate is not None:
                reason = f"model {fallen.model}, which switches together with it, was sent back"
                await mate.feed(Failed(candidate, BakeFailed.label, reason, int(time.time())))

    def _look_in(self, wait_s: float) -> None:
        self._due_s = min(self._due_s, time.monotonic() + wait_s)
