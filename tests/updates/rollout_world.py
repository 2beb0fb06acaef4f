"""A board in small: a shell that does what the rollout asks, a release with its faults, and power cuts."""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from gateway.updates.release import ReleaseRef
from gateway.updates.rollout import step
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
    Shadow,
    Switch,
    SwitchBack,
    Validate,
)
from gateway.updates.rollout_events import (
    ActiveBad,
    Agreed,
    BakePassed,
    BakeTick,
    Booted,
    Event,
    Failed,
    Fetched,
    Hindered,
    Offered,
    Proven,
    Quarantined,
    SwitchAllowed,
    Switched,
    TurnCame,
)
from gateway.updates.rollout_step import Rules, Step, durable
from gateway.updates.state import ModelRecord, Phase

MOST_STEPS: Final = 400
RULES: Final = Rules(max_boots=3)
OLDER: Final = ReleaseRef(5, "c" * 64)
OLD: Final = ReleaseRef(1, "a" * 64)
NEW: Final = ReleaseRef(2, "b" * 64)
SERVES_OLD: Final = ModelRecord("door", active=OLD, floor=1)


class Fault(enum.Enum):
    """Where a release is at fault."""

    NOWHERE = "nowhere"
    FETCH = "fetch"
    PROOF = "proof"
    SHADOW = "shadow"
    LANES = "lanes"
    SWITCH = "switch"
    BAKE = "bake"
    NEVER_FETCHED = "never fetched"


class ProcessEnded(Exception):
    """Power is cut, or a release takes the process with it."""


@dataclass
class World:
    """What is true outside the daemon, restarts or not.

    Attributes:
        ref: The release that is wished.
        fault: Where it is at fault.
        crashes: How often it still ends the process, by where: ``proof``, ``load`` or ``bake``.
        hindrances: How often a try is still hindered, by where: ``fetch``, ``proof`` or ``shadow``.
        damaged: What can never be loaded.
        cuts: Numbers of the durable writes at which power is cut, with whether the write arrives.
        held: The record on disk.
        quarantine: The quarantine on disk.
        writes: Durable writes so far.
        history: Every record that was written.
        boots: Starts of the process.
        now: Unix seconds.
    """

    ref: ReleaseRef
    held: ModelRecord
    fault: Fault = Fault.NOWHERE
    crashes: dict[str, float] = field(default_factory=dict)
    hindrances: dict[str, int] = field(default_factory=dict)
    damaged: set[ReleaseRef | None] = field(default_factory=set)
    shadow_frames: int = 0
    cuts: dict[int, bool] = field(default_factory=dict)
    quarantine: set[ReleaseRef] = field(default_factory=set)
    writes: int = 0
    history: list[ModelRecord] = field(default_factory=list)
    boots: int = 0
    now: int = 1000
    serving: ReleaseRef | None = None

    def write(self) -> bool:
        """Count a durable write; tell whether it arrives before the power is cut."""
        number, self.writes = self.writes, self.writes + 1
        return self.cuts.get(number, True)

    def cut(self) -> None:
        """End the process if the power is cut at the last write."""
        if self.writes - 1 in self.cuts:
            raise ProcessEnded

    def perhaps_crash(self, where: str) -> None:
        """End the process if the release does so here."""
        if self.crashes.get(where, 0) > 0:
            self.crashes[where] -= 1
            raise ProcessEnded

    def hindered(self, where: str) -> Hindered | None:
        """Return the hindrance that stands in the way here, if any."""
        if self.fault is Fault.NEVER_FETCHED and where == "fetch":
            return Hindered(self.ref, "update.fetch_refused", "404", self.now, 0.5, permanent=True)
        if self.hindrances.get(where, 0) > 0:
            self.hindrances[where] -= 1
            return Hindered(self.ref, "update.fetch", "timeout", self.now, 0.5)
        return None

    def failed(self, where: Fault) -> Failed | None:
        """Return the failure of the release here, if it is at fault here."""
        return Failed(self.ref, "update.x", where.value, self.now) if self.fault is where else None


class Process:
    """One life of the daemon: from boot to rest, or to its end."""

    def __init__(self, world: World, rules: Rules) -> None:
        self.world = world
        self.rules = rules
        self.record = world.held
        self.up = False
        self.events: deque[Event] = deque()
        self.steps = 0

    def live(self) -> None:
        """Boot and go on until nothing is left to do; the wish is offered as the contract says."""
        world = self.world
        self.give(Booted(world.now))
        while True:
            while self.events:
                self.give(self.events.popleft())
            retry = self.record.attempts and self.record.phase is Phase.IDLE
            if retry and world.fault is not Fault.NEVER_FETCHED:
                world.now = max(world.now, self.record.retry_unix_s)
            before = self.record
            self.give(self.offer())
            if not self.events and self.record == before:
                return

    def offer(self) -> Offered:
        """Return the wish as the repository has it."""
        world = self.world
        why = "it failed" if world.ref in world.quarantine else ""
        return Offered(world.ref, world.now, world.shadow_frames, quarantined=why)

    def give(self, event: Event) -> None:
        """Give one event, commit, act."""
        self.steps += 1
        assert self.steps < MOST_STEPS, f"no end: {event}, {self.record}"
        done = step(self.record, event, self.rules)
        self.commit(done)
        for action in done.actions:
            answer = self.act(action)
            if answer is not None:
                self.events.append(answer)
                if isinstance(answer, ActiveBad):
                    break

    def commit(self, done: Step) -> None:
        """Write what must be written, unless the power goes first."""
        before, self.record = self.record, done.record
        changed = durable(done.record) != durable(before)
        assert (done.record.seq == before.seq + 1) == changed
        assert changed or done.record.seq == before.seq
        if changed:
            written = durable(done.record)
            assert written.seq == self.world.held.seq + 1
            assert written.floor >= self.world.held.floor
            if self.world.write():
                self.world.held = written
                self.world.history.append(written)
            self.world.cut()

    def act(self, action: Action) -> Event | None:
        """Carry one action out and return what it answers."""
        match action:
            case Fetch(ref):
                return self.world.hindered("fetch") or self.world.failed(Fault.FETCH) or Fetched(ref)
            case AwaitTurn(ref):
                return TurnCame(ref)
            case Validate() | Shadow() | AwaitSwitch():
                return self.try_out(action)
            case Bake(ref, baked_s, _):
                return self.bake(ref, baked_s)
            case Quarantine(ref, code, _):
                assert code
                if self.world.write():
                    self.world.quarantine.add(ref)
                self.world.cut()
                return Quarantined(ref)
            case Load() | Switch() | SwitchBack():
                return self.serve(action)
            case CancelWork() | Collect() | Refuse():
                return None

    def try_out(self, action: Validate | Shadow | AwaitSwitch) -> Event:
        """Do what must go well before a switch."""
        world, ref = self.world, action.ref
        match action:
            case Validate():
                world.perhaps_crash("proof")
                return world.hindered("proof") or world.failed(Fault.PROOF) or Proven(ref)
            case Shadow():
                return world.hindered("shadow") or world.failed(Fault.SHADOW) or Agreed(ref)
            case AwaitSwitch():
                return world.failed(Fault.LANES) or SwitchAllowed(ref, world.now)

    def serve(self, action: Load | Switch | SwitchBack) -> Event | None:
        """Let something answer, if it can."""
        match action:
            case Load(ref):
                assert not self.up, "loaded twice"
                if ref == self.world.ref:
                    self.world.perhaps_crash("load")
                cannot = ref == self.world.ref and self.world.fault is Fault.SWITCH
                if cannot or ref in self.world.damaged:
                    return ActiveBad(ref, "engine.load", "damaged", self.world.now)
                self.answer(ref)
            case Switch(to, frm):
                assert self.up
                assert self.world.serving == frm
                self.world.perhaps_crash("load")
                failure = self.world.failed(Fault.SWITCH)
                if failure:
                    return failure
                self.answer(to)
                return Switched(to)
            case SwitchBack(to, frm):
                assert not self.up or self.world.serving in (to, frm)
                if to in self.world.damaged:
                    return ActiveBad(to, "engine.load", "damaged", self.world.now)
                self.answer(to)
        return None

    def answer(self, ref: ReleaseRef | None) -> None:
        """Let ``ref`` answer from now on: always what the record calls active."""
        assert ref == self.record.active
        self.up = True
        self.world.serving = ref

    def bake(self, ref: ReleaseRef, baked_s: float) -> Event:
        """Watch for a minute in ticks."""
        assert self.up
        assert self.world.serving == ref
        if baked_s < 30:
            self.events.append(BakeTick(ref, 30.0, 10))
            self.events.append(BakeTick(ref, 30.0, 10))
        self.world.perhaps_crash("bake")
        return self.world.failed(Fault.BAKE) or BakePassed(ref)


def run(world: World, rules: Rules) -> World:
    """Let a board live until it rests, whatever ends its processes; return it as it is then."""
    while True:
        world.boots += 1
        assert world.boots < 12, "the board never comes to rest"
        process = Process(world, rules)
        try:
            process.live()
        except ProcessEnded:
            continue
        assert process.up
        assert world.serving == world.held.active
        return world
