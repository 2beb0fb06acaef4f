"""Whether each sensor is there: one small state machine per sensor, cheap enough to be told of every frame.

Evidence goes in (announcements, reports, frames, silence, the broker's own
absence), transitions come out. Rules:

1. Live data is the strongest evidence: whatever was reported, who sends is online.
2. Silence counts from the last sign of life. How long is normal is declared
   (``expire_s``) or learned per stream: the median gap times a factor, with a
   floor. A sensor is silent when all of its streams are.
3. Until a cadence is known, silence as long as ``offline_after_s`` is allowed.
   A sensor known from reports alone never goes stale: its will speaks for it.
4. Silent means stale, then offline, then gone. Gone sensors are forgotten here,
   but for permanent ones, which stay offline.
5. Without the broker nothing is known of anyone: all are unknown, and no time
   runs until it is back. The gap of the outage is not learned.
6. Wake-ups are lazy: data only moves a number; a due entry looks at it and goes
   back to sleep. ``next_wakeup_s`` may therefore be early, never late.
"""

from __future__ import annotations

import enum
import heapq
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.configuration.settings import PresenceSettings
from gateway.sensors.cadence import Cadence
from gateway.sensors.dialect import Report

_SLACK = 64


class Presence(enum.Enum):
    """Whether a sensor is there."""

    UNKNOWN = "unknown"
    ANNOUNCED = "announced"
    ONLINE = "online"
    STALE = "stale"
    OFFLINE = "offline"
    GONE = "gone"


class Signal(enum.Enum):
    """Evidence about one sensor."""

    ANNOUNCE = "announced"
    BIRTH = "reported online"
    WILL = "reported offline"
    SLEEP = "reported asleep"
    DATA = "data arrived"
    SILENCE = "silent too long"
    CLOUDED = "nothing can be known"
    REMOVE = "removed"


_U, _A, _ON, _ST, _OFF, _GONE = Presence

TRANSITIONS: dict[Signal, dict[Presence, Presence]] = {
    Signal.ANNOUNCE: {_U: _A, _A: _A, _ON: _ON, _ST: _ST, _OFF: _A},
    Signal.BIRTH: {_U: _ON, _A: _ON, _ON: _ON, _ST: _ON, _OFF: _ON},
    Signal.WILL: {_U: _OFF, _A: _OFF, _ON: _OFF, _ST: _OFF, _OFF: _OFF},
    Signal.SLEEP: {_U: _ST, _A: _ST, _ON: _ST, _ST: _ST, _OFF: _ST},
    Signal.DATA: {_U: _ON, _A: _ON, _ON: _ON, _ST: _ON, _OFF: _ON},
    Signal.SILENCE: {_U: _ST, _A: _A, _ON: _ST, _ST: _OFF, _OFF: _GONE},
    Signal.CLOUDED: {_U: _U, _A: _U, _ON: _U, _ST: _U, _OFF: _U},
    Signal.REMOVE: {_U: _GONE, _A: _GONE, _ON: _GONE, _ST: _GONE, _OFF: _GONE},
}
"""State after each signal; a sensor that is gone gets no more signals."""

SIGNALS = {
    Report.ONLINE: Signal.BIRTH,
    Report.OFFLINE: Signal.WILL,
    Report.SLEEPING: Signal.SLEEP,
    Report.UNKNOWN: Signal.CLOUDED,
}
"""The signal behind each report of a dialect or state source."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of one sensor's presence.

    Attributes:
        sensor_id: The sensor.
        old: State before; never the same as ``new``.
        new: State now.
        reason: One phrase.
    """

    sensor_id: str
    old: Presence
    new: Presence
    reason: str


class _Record:
    """What is kept of one sensor."""

    __slots__ = (
        "armed_s",
        "asleep",
        "cadences",
        "changed_s",
        "expire_s",
        "heard",
        "permanent",
        "sign_s",
        "state",
        "stream_expire_s",
    )

    def __init__(self, now_s: float, *, permanent: bool) -> None:
        self.state = Presence.UNKNOWN
        self.permanent = permanent
        self.cadences: dict[str, Cadence] = {}
        self.expire_s = 0.0
        self.stream_expire_s: Mapping[str, float] = {}
        self.changed_s = now_s
        self.sign_s = now_s
        self.armed_s = math.inf
        self.asleep = False
        self.heard = False


class PresenceTracker:
    """Presence of all sensors. Made while the broker is away: say ``connected`` first.

    Args:
        settings: When silence means what.
    """

    def __init__(self, settings: PresenceSettings) -> None:
        self._settings = settings
        self._records: dict[str, _Record] = {}
        self._due: list[tuple[float, str]] = []
        self._connected = False

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, sensor_id: str) -> bool:
        return sensor_id in self._records

    def state(self, sensor_id: str) -> Presence:
        """Return the state of a sensor; one that is not kept is gone."""
        record = self._records.get(sensor_id)
        return Presence.GONE if record is None else record.state

    def states(self) -> Iterator[tuple[str, Presence]]:
        """Yield every sensor and its state."""
        for sensor_id, record in self._records.items():
            yield sensor_id, record.state

    def last_seen_s(self, sensor_id: str) -> float | None:
        """Return when the sensor's data last arrived on this connection; None if never."""
        record = self._records.get(sensor_id)
        if record is None:
            return None
        seen = [cadence.last_s for cadence in record.cadences.values() if cadence.last_s is not None]
        return max(seen, default=None)

    def add(self, sensor_id: str, now_s: float, *, permanent: bool = False) -> None:
        """Begin to keep a sensor, as unknown; one that is kept already is only made permanent or not."""
        record = self._records.get(sensor_id)
        if record is None:
            self._records[sensor_id] = _Record(now_s, permanent=permanent)
            return
        record.permanent = permanent
        self._arm(sensor_id, record)

    def expect(self, sensor_id: str, expire_s: float, streams: Mapping[str, float]) -> None:
        """Set the declared silences: of the sensor and of each bound stream, 0 to learn it.

        What was learned of streams that are no longer bound is dropped.
        """
        record = self._records[sensor_id]
        record.expire_s = expire_s
        record.stream_expire_s = dict(streams)
        record.cadences = {name: cadence for name, cadence in record.cadences.items() if name in streams}
        self._arm(sensor_id, record)

    def arrived(self, sensor_id: str, stream: str, now_s: float) -> Transition | None:
        """Note live data of a stream. The hot path: constant time, nothing made but on a change."""
        record = self._records.get(sensor_id)
        if record is None or not self._connected:
            return None
        cadence = record.cadences.get(stream)
        if cadence is None:
            if stream not in record.stream_expire_s:
                return None
            cadence = record.cadences[stream] = Cadence()
        learned = cadence.arrived(now_s)
        if record.state is not Presence.ONLINE:
            return self._move(sensor_id, record, Signal.DATA, now_s)
        if learned:
            self._arm(sensor_id, record)
        return None

    def signal(self, sensor_id: str, signal: Signal, now_s: float, reason: str = "") -> Transition | None:
        """Note any other evidence about a sensor; nothing changes for one that is not kept."""
        record = self._records.get(sensor_id)
        if record is None:
            return None
        if not self._connected and signal is not Signal.REMOVE:
            return None
        return self._move(sensor_id, record, signal, now_s, reason)

    def disconnected(self, now_s: float) -> tuple[Transition, ...]:
        """Note that the broker is away: every sensor becomes unknown."""
        changes = [
            self._move(sensor_id, record, Signal.CLOUDED, now_s, "the broker is away")
            for sensor_id, record in self._records.items()
        ]
        self._connected = False
        for record in self._records.values():
            record.armed_s = math.inf
            for cadence in record.cadences.values():
                cadence.broken()
        self._due.clear()
        return tuple(change for change in changes if change is not None)

    def connected(self, now_s: float) -> tuple[Transition, ...]:
        """Note that the broker is there: the never heard are announced, the rest have time to speak."""
        self._connected = True
        changes = []
        for sensor_id, record in self._records.items():
            record.sign_s = now_s
            if record.heard or record.permanent:
                self._arm(sensor_id, record)
            elif record.state is Presence.UNKNOWN:
                changes.append(self._move(sensor_id, record, Signal.ANNOUNCE, now_s, "the broker is there"))
        return tuple(change for change in changes if change is not None)

    def handle_timer(self, now_s: float) -> tuple[Transition, ...]:
        """Return what silence has changed by ``now_s``."""
        changes = []
        while self._due and self._due[0][0] <= now_s:
            due_s, sensor_id = heapq.heappop(self._due)
            record = self._records.get(sensor_id)
            if record is None or record.armed_s != due_s:
                continue
            record.armed_s = math.inf
            if self._deadline_s(record) > now_s:
                self._arm(sensor_id, record)
                continue
            change = self._move(sensor_id, record, Signal.SILENCE, now_s)
            if change is not None:
                changes.append(change)
        return tuple(changes)

    def next_wakeup_s(self) -> float | None:
        """Return the time of the next look at a sensor: perhaps early, never late."""
        while self._due:
            due_s, sensor_id = self._due[0]
            record = self._records.get(sensor_id)
            if record is not None and record.armed_s == due_s:
                return due_s
            heapq.heappop(self._due)
        return None

    def reconfigure(self, settings: PresenceSettings) -> None:
        """Take new times; they hold from the next look on, sooner where they are shorter."""
        self._settings = settings
        for sensor_id, record in self._records.items():
            self._arm(sensor_id, record)

    def _move(
        self, sensor_id: str, record: _Record, signal: Signal, now_s: float, reason: str = ""
    ) -> Transition | None:
        old = record.state
        new = TRANSITIONS[signal][old]
        if signal in (Signal.BIRTH, Signal.DATA):
            record.heard = True
            record.sign_s = now_s
        if signal is not Signal.ANNOUNCE:
            record.asleep = signal is Signal.SLEEP
        if new is not old:
            record.state = new
            record.changed_s = now_s
        if new is Presence.GONE:
            del self._records[sensor_id]
        else:
            self._arm(sensor_id, record)
        return None if new is old else Transition(sensor_id, old, new, reason or signal.value)

    def _arm(self, sensor_id: str, record: _Record) -> None:
        """See to it that the sensor is looked at by its deadline; a look that is due earlier stays."""
        deadline_s = self._deadline_s(record)
        if not deadline_s < record.armed_s:
            return
        record.armed_s = deadline_s
        heapq.heappush(self._due, (deadline_s, sensor_id))
        if len(self._due) > 2 * len(self._records) + _SLACK:
            self._due = [
                (kept.armed_s, name) for name, kept in self._records.items() if kept.armed_s < math.inf
            ]
            heapq.heapify(self._due)

    def _deadline_s(self, record: _Record) -> float:
        if not self._connected:
            return math.inf
        match record.state:
            case Presence.ONLINE | Presence.UNKNOWN:
                return self._silent_at_s(record)
            case Presence.STALE:
                return math.inf if record.asleep else record.changed_s + self._settings.offline_after_s
            case Presence.OFFLINE:
                return math.inf if record.permanent else record.changed_s + self._settings.gone_after_s
            case _:
                return math.inf

    def _silent_at_s(self, record: _Record) -> float:
        """Return when the sensor, if it stays silent, has been silent for too long."""
        if not record.heard:
            return math.inf
        last_s = record.sign_s
        if record.expire_s:
            for cadence in record.cadences.values():
                if cadence.last_s is not None and cadence.last_s > last_s:
                    last_s = cadence.last_s
            return last_s + record.expire_s
        if not record.cadences:
            return math.inf
        settings = self._settings
        silent_at_s = 0.0
        for name, cadence in record.cadences.items():
            allowed_s = record.stream_expire_s.get(name, 0.0)
            if not allowed_s:
                learned_s = cadence.median_s * settings.cadence_factor or settings.offline_after_s
                allowed_s = max(settings.min_stale_s, learned_s)
            silent_at_s = max(silent_at_s, max(cadence.last_s or 0.0, record.sign_s) + allowed_s)
        return silent_at_s
