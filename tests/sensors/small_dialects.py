"""Two small dialects in the manner of formats to come, to prove that the seam takes them as it is.

One has a state topic before a description, with a subscription made on the way;
the other numbers its messages, carries data inside its own envelopes by alias,
asks for rebirth, and has deadlines of its own.
"""

from __future__ import annotations

from gateway.errors import MalformedAnnouncement
from gateway.mqtt.message import Message
from gateway.sensors import document
from gateway.sensors.dialect import (
    Event,
    FrameCarried,
    PublishAsked,
    Report,
    SensorAppeared,
    SensorLost,
    StateReported,
    Subscription,
    UnwatchAsked,
    WatchAsked,
)
from gateway.sensors.sensor import Sensor, Stream

STATES = {
    "ready": Report.ONLINE,
    "init": Report.UNKNOWN,
    "lost": Report.OFFLINE,
    "sleeping": Report.SLEEPING,
}


class Described:
    """``home/5/<device>/$state`` says that there is a device; its description is then asked for."""

    name = "described"

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.known: set[str] = set()

    def filters(self) -> tuple[Subscription, ...]:
        return (Subscription("home/5/+/$state"),)

    def receive(self, message: Message, now_s: float) -> tuple[Event, ...]:
        _, _, device, leaf = message.topic.split("/")
        description = f"home/5/{device}/$description"
        if leaf == "$state":
            return self._state(device, message.payload.decode(), description)
        properties = document.as_object(document.read_object(message.payload).get("properties"), "properties")
        streams = {name: Stream(name, f"home/5/{device}/{name}") for name in properties}
        self.known.add(device)
        report = STATES[self.states[device]]
        return (
            SensorAppeared(Sensor(device, self.name, streams)),
            StateReported(device, report, "its description came"),
        )

    def _state(self, device: str, state: str, description: str) -> tuple[Event, ...]:
        if not state:
            self.forget(device)
            return (SensorLost(device, "its state was removed"), UnwatchAsked(description))
        if state not in STATES:
            raise MalformedAnnouncement(f"state {state!r} is not known")
        self.states[device] = state
        if device not in self.known:
            return (WatchAsked(Subscription(description)),)
        return (StateReported(device, STATES[state], f"it says {state}"),)

    def forget(self, sensor_id: str) -> None:
        self.known.discard(sensor_id)
        self.states.pop(sensor_id, None)

    def connected(self, now_s: float) -> tuple[Event, ...]:
        return ()

    def disconnected(self, now_s: float) -> tuple[Event, ...]:
        return ()

    def handle_timer(self, now_s: float) -> tuple[Event, ...]:
        return ()

    def next_wakeup_s(self) -> float | None:
        return None


class Numbered:
    """``spB/<kind>/<device>`` with ``{"seq": n, "names": {...}}`` or ``{"seq": n, "values": {alias: v}}``."""

    name = "numbered"
    patience_s = 2.0

    def __init__(self) -> None:
        self.aliases: dict[str, dict[str, str]] = {}
        self.next_seq: dict[str, int] = {}
        self.missed_s: dict[str, float] = {}

    def filters(self) -> tuple[Subscription, ...]:
        return (Subscription("spB/+/+", qos=0, latest_only=False),)

    def receive(self, message: Message, now_s: float) -> tuple[Event, ...]:
        _, kind, device = message.topic.split("/")
        found = document.read_object(message.payload)
        seq = document.integer(found, "seq", high=255)
        if kind == "BIRTH":
            names = document.as_object(found.get("names"), "names")
            self.aliases[device] = {alias: document.words(names, alias) for alias in names}
            self.next_seq[device] = (seq + 1) % 256
            self.missed_s.pop(device, None)
            streams = {name: Stream(name, "") for name in self.aliases[device].values()}
            return (
                SensorAppeared(Sensor(device, self.name, streams)),
                StateReported(device, Report.ONLINE, "born"),
            )
        if device not in self.aliases:
            return (self._rebirth(device),)
        if seq != self.next_seq[device]:
            self.missed_s.setdefault(device, now_s + self.patience_s)
            return ()
        self.next_seq[device] = (seq + 1) % 256
        values = document.as_object(found.get("values"), "values")
        return tuple(
            FrameCarried(device, self.aliases[device][alias], str(value).encode())
            for alias, value in values.items()
        )

    def _rebirth(self, device: str) -> PublishAsked:
        return PublishAsked(f"spB/CMD/{device}", b"rebirth")

    def forget(self, sensor_id: str) -> None:
        self.aliases.pop(sensor_id, None)

    def connected(self, now_s: float) -> tuple[Event, ...]:
        return (PublishAsked("spB/STATE/host", b"online", qos=1, retain=True),)

    def disconnected(self, now_s: float) -> tuple[Event, ...]:
        self.aliases.clear()
        self.missed_s.clear()
        return ()

    def handle_timer(self, now_s: float) -> tuple[Event, ...]:
        late = [device for device, due_s in self.missed_s.items() if due_s <= now_s]
        for device in late:
            del self.missed_s[device]
        return tuple(self._rebirth(device) for device in late)

    def next_wakeup_s(self) -> float | None:
        return min(self.missed_s.values(), default=None)
