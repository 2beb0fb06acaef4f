"""Carries out the rollout of one model: what the pure core decides is committed first, and then done.

One thing at a time is under way for a model (a proof, a shadow run, a switch, a
bake); its end is the next event. Fetching is done by the supervisor, which has
the updater's process.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.daemon.offer import Offer
from gateway.daemon.release_work import ReleaseWork
from gateway.daemon.rollout_news import FAILURES, RolloutNews
from gateway.daemon.rollout_ports import RolloutPorts
from gateway.errors import GatewayError, IllegalTransition, LostRace, StoreFailed
from gateway.operations.log import log
from gateway.updates import rollout
from gateway.updates.release import ReleaseRef
from gateway.updates.rollout_actions import (
    Action,
    AwaitSwitch,
    AwaitTurn,
    Bake,
    CancelWork,
    Collect,
    Fetch,
    Load,
    Quarantine,
    Refuse,
    SwitchBack,
    Validate,
)
from gateway.updates.rollout_events import ActiveBad, Booted, Event, Quarantined
from gateway.updates.rollout_step import Rules, Step, durable
from gateway.updates.state import ModelRecord, Phase

_COMMIT_AGAIN_S = 2.0
_FALLS = frozenset({"given_up", "rolled_back"})


class ModelRollout:
    """The shell of one model's rollout.

    Attributes:
        record: Where it is.
        offer: What is wished now; None for nothing.
        wants: The release that is to be fetched; None for none.
        awaits_turn: Whether it waits until no other model is being validated.
        awaits_switch: Whether it waits for the window and its mates.
        reoffer: Whether the wish must be offered again.
        fell: Whether a release that served was sent back, until somebody took note.
        percent: How much of the candidate is here.
        failed_release: Which release failed last; 0 for none.
        quarantined: Releases that failed here and are not tried again.
        asked: Whether a look has brought what is wished for it; before, ``offer`` says nothing.
    """

    def __init__(self, record: ModelRecord, rules: Rules, ports: RolloutPorts) -> None:
        self.record = record
        self.offer: Offer | None = None
        self.wants: ReleaseRef | None = None
        self.awaits_turn = False
        self.awaits_switch = False
        self.reoffer = False
        self.fell = False
        self.percent = 0.0
        self.failed_release = 0
        self.quarantined: tuple[int, ...] = ()
        self.asked = False
        self._rules = rules
        self._ports = ports
        self._work = ReleaseWork(record.model, ports, self.feed)
        self._news = RolloutNews(record.model, ports)
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._owed = False
        self._paid = asyncio.Event()
        self._paying: asyncio.Task[None] | None = None
        self._held: list[Event] = []
        self._booting = False
        self._loaded_badly: ActiveBad | None = None
        self._bake_later: Bake | None = None

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.record.model

    @property
    def baked(self) -> bool:
        """Whether its bake has passed and waits for those of its mates."""
        return self._work.baked

    @property
    def owes(self) -> bool:
        """Whether the disk has yet to take what was decided: until then there is nothing to be told."""
        return self._owed

    @property
    def is_as_wished(self) -> bool:
        """Whether what is wished serves."""
        return self.offer is not None and self.record.active == self.offer.ref

    @property
    def folder(self) -> str | None:
        """Folder of the release that serves; None for the configured one."""
        active = self.record.active
        if active is None:
            return None
        return str(self._ports.store.release_folder(self.model, active.number))

    async def boot(self) -> None:
        """Take the start of the process in, before anything serves.

        What should serve is verified; damage leads to what served before.

        Raises:
            GatewayError: The record allows no start: a bug.
        """
        async with self._turn:
            self._booting = True
            await self._boot(rollout.step(self.record, Booted(_now()), self._rules))
            while (bad := self._loaded_badly) is not None:
                self._loaded_badly = None
                await self._take(bad)
            self._booting = False
            with contextlib.suppress(GatewayError):
                await self.look_at_quarantine()

    def resume(self) -> None:
        """Go on with what a restart interrupted, now that everything serves."""
        bake, self._bake_later = self._bake_later, None
        if bake is not None and self.record.phase is Phase.BAKING and self.record.candidate == bake.ref:
            self._start(bake)
        self.reoffer = True

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        await self._work.ended()

    async def look_at_quarantine(self) -> None:
        """Read anew which releases are in quarantine.

        Raises:
            StoreFailed: The disk cannot be read.
        """
        entries = await asyncio.to_thread(self._ports.store.quarantine_entries)
        self.quarantined = tuple(sorted({e.number for e in entries if e.model == self.model}))

    async def feed(self, event: Event) -> None:
        """Take one event: commit what the core decides, and do it.

        Never raises for what the disk or a release does. While the disk owes us a record, only
        ``ActiveBad`` does not wait: what serves badly is replaced at once, and written once it can be.
        Cancel-safe: what was committed is found again.
        """

        async def found() -> Event:
            return event

        await self.feed_found(found, urgent=isinstance(event, ActiveBad))

    async def feed_found(self, find: Callable[[], Awaitable[Event | None]], *, urgent: bool = False) -> None:
        """Take the event that is found once nothing else is being decided: what it says is of that moment.

        Args:
            find: Returns the event; None for nothing to say.
            urgent: Whether it can be taken while the disk owes us a record.
        """
        while True:
            async with self._turn:
                if urgent or not self._owed:
                    event = await find()
                    if event is not None:
                        await self._take_or_read(event)
                    return
            await self._paid.wait()

    async def until_unwanted(self, ref: ReleaseRef) -> None:
        """Return once ``ref`` is to be fetched no longer. Cancel-safe."""
        while self.wants == ref:
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """End what is under way."""
        if self._paying is not None:
            self._paying.cancel()
            await asyncio.gather(self._paying, return_exceptions=True)
        self._work.interrupt()
        await self._work.ended()
        await self._work.drained()

    def interrupt(self) -> None:
        """Let what is under way go no further, in this very turn of the event loop."""
        self._work.interrupt()

    async def _boot(self, step: Step) -> None:
        if step.record.seq == self.record.seq or await self._try_commit(step):
            await self._follow(await self._finish(step))
            return
        self._owe()  # whether the disk has taken it or not: what comes next is written over it
        reason = "the start of the process could not be written down"
        await self._take(ActiveBad(self.record.active, StoreFailed.label, reason, _now()))

    async def _take_or_read(self, event: Event) -> None:
        try:
            await self._take(event)
        except LostRace as error:
            # Nobody but us writes here: a write that nobody waited for has arrived. It counts.
            log.event("store_failed", what=f"record of {self.model}", error=error)
            try:
                self.record = await asyncio.to_thread(self._ports.store.record, self.model)
            except GatewayError as failure:
                log.event("store_failed", what=f"record of {self.model}", error=failure)
                return
            self.reoffer = True
            with contextlib.suppress(LostRace):
                await self._take(event)

    async def _take(self, event: Event) -> None:
        try:
            step = rollout.step(self.record, event, self._rules)
        except IllegalTransition as error:
            log.event("task_failed", task=f"rollout of {self.model}", error=error)
            return
        if step.record.seq != self.record.seq and not self._owed and not await self._try_commit(step):
            if step.urgent or self._booting:
                self._owe()
            else:
                await self._commit(step)
        await self._follow(await self._finish(step))

    async def _commit(self, step: Step) -> None:
        """Ask the disk until it takes the record: what the record says is done only then."""
        done = False
        while not done:
            await asyncio.sleep(_COMMIT_AGAIN_S)
            done = await self._try_commit(step)

    def _owe(self) -> None:
        """Go on without the record on the disk; write it as soon as the disk takes it."""
        if not self._owed:
            self._owed = True
            self._paid.clear()
            loop = asyncio.get_running_loop()
            self._paying = loop.create_task(self._pay(), name=f"record[{self.model}]")

    async def _pay(self) -> None:
        """Write what is owed; then let the events go on that had to wait."""
        while self._owed:
            await asyncio.sleep(_COMMIT_AGAIN_S)
            async with self._turn:
                if not await self._write_owed():
                    continue
                self._owed = False
                held, self._held = self._held, []
                await self._follow(held)
                self._paid.set()

    async def _write_owed(self) -> bool:
        try:
            return await self._try_commit(Step(self.record))
        except LostRace as error:
            # A write that seemed to fail has arrived, or several steps have become one write.
            self.record = replace(self.record, seq=int(error.attributes["seq"]) + 1)
            return False

    async def _try_commit(self, step: Step) -> bool:
        """Write the record of a step; return False if the disk did not take it.

        Raises:
            LostRace: The record on the disk is another one.
        """
        try:
            await asyncio.to_thread(self._ports.store.commit, durable(step.record))
        except LostRace:
            raise
        except GatewayError as error:
            log.event("store_failed", what=f"record of {self.model}", error=error)
            return False
        return True

    async def _follow(self, events: list[Event]) -> None:
        if self._owed:  # what follows builds upon a record that is not on the disk yet
            self._held += events
            events = []
        for event in events:
            await self._take(event)
        self._changed.set()
        self._ports.changed()
        self._ports.consider()

    async def _finish(self, step: Step) -> list[Event]:
        """Take the step's record for true, tell of it, do what it asks for; return what follows at once."""
        before, self.record = self.record, step.record
        if self.record.phase is not Phase.FETCHING:
            self.wants = None
        if self.record.phase not in (Phase.STAGED, Phase.VALIDATING):
            self.awaits_turn = False
        if self.record.phase not in (Phase.READY, Phase.SHADOWING):
            self.awaits_switch = False
        if step.note:
            await self._tell(step, before)
            self.reoffer = self.reoffer or self.record.phase in (Phase.IDLE, Phase.READY)
            self.fell = self.fell or step.note in _FALLS
        follow: list[Event] = []
        for action in step.actions:
            try:
                event = await self._do(action)
            except GatewayError as error:
                log.event("store_failed", what=f"{type(action).__name__} of {self.model}", error=error)
                break
            if event is not None:
                follow.append(event)
        return follow

    async def _do(self, action: Action) -> Event | None:
        """Begin an action, or do it where it is quick; return the event that it is answered by at once.

        Raises:
            GatewayError: The disk did not do it.
        """
        match action:
            case Fetch(ref):
                self.percent = 0.0
                self.wants = ref
            case CancelWork():
                await self._work.cancel()
            case AwaitTurn():
                self.awaits_turn = True
            case AwaitSwitch():
                self.awaits_switch = True
            case Load(ref):
                await self._load(ref)
            case Quarantine(ref, code, reason):
                self.failed_release = ref.number
                store = self._ports.store
                await asyncio.to_thread(store.quarantine, self.model, ref, code, reason, _now())
                await self.look_at_quarantine()
                return Quarantined(ref)
            case SwitchBack(to, _) if self._booting:
                await self._load(to)
            case Bake() if self._booting:
                self._bake_later = action
            case Refuse(ref, code, reason):
                self.failed_release = ref.number if ref else 0
                self._news.refused(ref, self.record, code, reason)
            case Collect():
                await self._collect()
            case _:
                self._start(action)
        return None

    def _start(self, action: Action) -> None:
        """Begin what takes a while."""
        if isinstance(action, Validate):
            self.awaits_turn = False
        offer = self.offer
        wish = offer.wish if offer is not None and offer.ref == self.record.candidate else None
        self._work.begin(action, wish, self.record.reason)

    async def _load(self, ref: ReleaseRef | None) -> None:
        """Verify what is about to serve; the catalogue loads it afterwards."""
        if ref is None:
            return
        try:
            await asyncio.to_thread(self._ports.store.verify, self.model, ref)
        except GatewayError as error:
            self._loaded_badly = ActiveBad(ref, error.label, error.message, _now())

    async def _tell(self, step: Step, before: ModelRecord) -> None:
        about = step.record.candidate or before.candidate or step.record.active
        if step.record.code and step.note in FAILURES:
            self.failed_release = about.number if about else 0
        label = self.offer.release.label if self.offer and self.offer.ref == about else ""
        await self._news.went(step, about, label)

    async def _collect(self) -> None:
        keep = self._ports.settings().updates.keep_releases
        with contextlib.suppress(StoreFailed):  # room is given back at the next chance
            await asyncio.to_thread(self._ports.store.collect, keep, self._ports.spare())


def _now() -> int:
    return int(time.time())
