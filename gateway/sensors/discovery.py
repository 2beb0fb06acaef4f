"""All of discovery in one object for the daemon to drive: dialects, registry, presence, learning.

Glue only: it decides nothing that one of its parts could. It never raises for
what comes from outside: refusals are actions like the others. The shell

1. calls ``start`` once, and carries out what comes back, here as everywhere;
2. on every connection subscribes to all ``subscriptions()`` anew, session or
   not, so that kept messages come again, then calls ``connection_restored``;
3. gives messages on those to ``receive`` (through a ``Backlog``, in slices),
   and tells of each live frame by ``frame_arrived``, but not of retained ones;
4. calls ``handle_timer`` at ``next_wakeup_s`` or a little later, at most a few
   times a second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gateway.configuration.settings import Settings
from gateway.errors import OversizeAnnouncement, SensorRefused
from gateway.mqtt.message import Message
from gateway.sensors.actions import Action, Actions, PresenceChanged, Refused
from gateway.sensors.admission import AdmissionRules, Fits
from gateway.sensors.availability import StateMessages
from gateway.sensors.dialect import (
    Dialect,
    Event,
    FrameCarried,
    PublishAsked,
    SensorAppeared,
    SensorChanged,
    SensorLost,
    StateReported,
    Subscription,
    UnwatchAsked,
    WatchAsked,
)
from gateway.sensors.dialects import BUILT_IN, Identity, make_dialects, result_topics
from gateway.sensors.learn import Learner
from gateway.sensors.presence import SIGNALS, Presence, PresenceTracker, Signal, Transition
from gateway.sensors.registry import Change, Dropped, Kept, Registry
from gateway.sensors.routes import Routes
from gateway.sensors.sensor import LEARNED
from gateway.sensors.status import SensorsStatus, sensor_status
from gateway.sensors.topic_policy import TopicPolicy
from gateway.sensors.topic_use import TopicUse


class Discovery:
    """Discovery of sensors.

    Args:
        settings: The whole configuration.
        identity: Who this gateway is.
        fits: Which pipeline can take which stream; any when None.
        extra: Further dialects, less trusted than those built in.
    """

    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        fits: Fits | None = None,
        extra: tuple[Dialect, ...] = (),
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._fits = fits
        self._extra = extra
        self._policy = TopicPolicy(settings.mqtt.topic_prefix, identity.id, result_topics(settings))
        names = (*BUILT_IN, *(dialect.name for dialect in extra))
        self._registry = Registry(settings.sensors, self._rules(), names)
        self._presence = PresenceTracker(settings.sensors.presence)
        self._states = StateMessages()
        self._used = TopicUse()
        self._routes = Routes()
        self._refused: Counter[str] = Counter()
        self._dialects: tuple[Dialect, ...] = ()
        self._install((*make_dialects(settings, identity, self._policy), *extra))
        self._listen()

    def start(self, now_s: float) -> Actions:
        """Take the declared sensors in."""
        return tuple(self._follow(self._registry.start(), now_s))

    def subscriptions(self) -> tuple[Subscription, ...]:
        """Return everything to subscribe to now: standing filters and watched topics."""
        return self._routes.subscriptions()

    def latest_only(self, topic: str) -> bool:
        """Return whether of several waiting messages on a topic only the newest matters."""
        return self._routes.latest_only(topic)

    def receive(self, message: Message, now_s: float) -> Actions:
        """Read one message on any of ``subscriptions()``."""
        readers = self._routes.readers(message.topic)
        watched = message.topic in self._states
        if not readers and not watched:
            return self._overhear(message, now_s)
        limit = self._settings.sensors.discovery.max_announcement_bytes
        if len(message.payload) > limit:
            error = OversizeAnnouncement(f"{len(message.payload)} bytes, at most {limit} are read")
            return (self._refuse(message.topic, error),)
        actions: list[Action] = []
        if watched:
            actions += self._state(message, now_s)
        for dialect in readers:
            try:
                events = dialect.receive(message, now_s)
            except SensorRefused as error:
                actions.append(self._refuse(message.topic, error))
                continue
            actions += self._happen(dialect, events, now_s, message.topic)
        return tuple(actions)

    def frame_arrived(self, sensor_id: str, stream: str, now_s: float) -> Actions:
        """Note one live frame of a bound stream. Cheap: nothing is made unless presence changes."""
        change = self._presence.arrived(sensor_id, stream, now_s)
        return () if change is None else (self._told(change),)

    def connection_restored(self, now_s: float) -> Actions:
        """Note that the broker is there."""
        actions: list[Action] = [self._told(change) for change in self._presence.connected(now_s)]
        for dialect in self._dialects:
            actions += self._happen(dialect, dialect.connected(now_s), now_s)
        return tuple(actions)

    def connection_lost(self, now_s: float) -> Actions:
        """Note that the broker is away: nothing is known of any sensor."""
        self._states.disconnected()
        actions: list[Action] = [self._told(change) for change in self._presence.disconnected(now_s)]
        for dialect in self._dialects:
            actions += self._happen(dialect, dialect.disconnected(now_s), now_s)
        return tuple(actions)

    def handle_timer(self, now_s: float) -> Actions:
        """Do what is due at ``now_s``."""
        actions: list[Action] = []
        for change in self._presence.handle_timer(now_s):
            actions.append(self._told(change))
            if change.new is Presence.GONE:
                actions += self._follow(self._registry.drop(change.sensor_id, change.reason), now_s)
        for dialect in self._dialects:
            wakeup_s = dialect.next_wakeup_s()
            if wakeup_s is not None and wakeup_s <= now_s:
                actions += self._happen(dialect, dialect.handle_timer(now_s), now_s)
        return tuple(actions)

    def next_wakeup_s(self) -> float | None:
        """Return when ``handle_timer`` may have something to do: perhaps early, never late."""
        wakeups = [self._presence.next_wakeup_s(), *(dialect.next_wakeup_s() for dialect in self._dialects)]
        return min((wakeup_s for wakeup_s in wakeups if wakeup_s is not None), default=None)

    def reconfigure(self, settings: Settings, now_s: float) -> Actions:
        """Take a new configuration, and return what differs because of it.

        The topic prefix and the gateway's id are fixed for a run.
        """
        old, self._settings = self._settings.sensors, settings
        new = settings.sensors
        self._policy.reconfigure(result_topics(settings))
        actions: list[Action] = []
        if new.discovery != old.discovery:
            # the new readers have seen nothing: their filters are subscribed to anew, so that
            # the broker repeats what it keeps
            made = (*make_dialects(settings, self._identity, self._policy), *self._extra)
            kept = {dialect.name for dialect in made}
            ended = [dialect.name for dialect in self._dialects if dialect.name not in kept]
            actions += self._install(made)
            for name in ended:
                actions += self._withdraw_all(name, now_s)
        if new.learn != old.learn:
            actions += self._withdraw_all(LEARNED, now_s)
            for wanted in self._learner.filters():
                actions += self._routes.unwatch(wanted)
            actions += self._listen()
        self._presence.reconfigure(new.presence)
        return (*actions, *self._follow(self._registry.reconfigure(new, self._rules()), now_s))

    def presence(self, sensor_id: str) -> Presence:
        """Return the presence of a sensor: unknown while it is not admitted, gone if it is not kept."""
        if sensor_id not in self._registry:
            return Presence.GONE
        return self._presence.state(sensor_id) if sensor_id in self._presence else Presence.UNKNOWN

    def snapshot(self) -> SensorsStatus:
        """Return all that is known, for people."""
        sensors = (
            sensor_status(entry, self.presence(entry.sensor.id), self._presence.last_seen_s(entry.sensor.id))
            for entry in self._registry.entries()
        )
        return SensorsStatus(tuple(sensors), dict(self._refused))

    def _rules(self) -> AdmissionRules:
        return AdmissionRules(
            self._settings.sensors.admission, self._settings.pipelines, self._fits, self._policy
        )

    def _listen(self) -> list[Action]:
        """Begin learning with nothing learned."""
        self._learner = Learner(self._settings.sensors.learn, self._policy, self._used.__contains__)
        return [watch for wanted in self._learner.filters() for watch in self._routes.watch(wanted)]

    def _install(self, made: tuple[Dialect, ...]) -> list[Action]:
        actions: list[Action] = []
        for dialect in self._dialects:
            actions += self._routes.remove(dialect)
        self._dialects = made
        for dialect in made:
            for wanted in dialect.filters():
                actions += self._routes.ask(dialect, wanted)
        return actions

    def _withdraw_all(self, dialect: str, now_s: float) -> list[Action]:
        actions: list[Action] = []
        for entry in tuple(self._registry.entries()):
            changes = self._registry.withdraw(entry.sensor.id, dialect, f"{dialect} is off or changed")
            actions += self._follow(changes, now_s)
        return actions

    def _overhear(self, message: Message, now_s: float) -> Actions:
        try:
            events = self._learner.receive(message, now_s)
        except SensorRefused as error:
            return (self._refuse(message.topic, error),)
        return tuple(self._happen(self._learner, events, now_s)) if events else ()

    def _state(self, message: Message, now_s: float) -> list[Action]:
        heard = self._states.receive(message.topic, message.payload)
        actions: list[Action] = [self._refuse(message.topic, error) for error in heard.refused]
        for sensor_id, report in heard.reports:
            actions += self._signal(sensor_id, SIGNALS[report], now_s)
        return actions

    def _happen(
        self, dialect: Dialect, events: Iterable[Event], now_s: float, topic: str = ""
    ) -> list[Action]:
        """Follow what a dialect says has happened."""
        actions: list[Action] = []
        for event in events:
            match event:
                case SensorAppeared(sensor) | SensorChanged(sensor):
                    try:
                        changes = self._registry.claim(sensor)
                    except SensorRefused as error:
                        entry = self._registry.get(sensor.id)
                        if entry is None or dialect.name not in entry.claims:
                            dialect.forget(sensor.id)
                        actions.append(self._refuse(topic, error))
                        continue
                    actions += self._follow(changes, now_s)
                case SensorLost(sensor_id, reason):
                    actions += self._follow(self._registry.withdraw(sensor_id, dialect.name, reason), now_s)
                case StateReported(sensor_id, report, reason):
                    actions += self._signal(sensor_id, SIGNALS[report], now_s, reason)
                case FrameCarried(sensor_id, stream):
                    actions += self._carried(event, sensor_id, stream, now_s)
                case WatchAsked(wanted):
                    actions += self._routes.ask(dialect, wanted)
                case UnwatchAsked(unwanted):
                    actions += self._routes.unask(dialect, unwanted)
                case PublishAsked():
                    actions.append(event)
        return actions

    def _carried(self, frame: FrameCarried, sensor_id: str, stream: str, now_s: float) -> list[Action]:
        entry = self._registry.get(sensor_id)
        if entry is None or stream not in entry.bound:
            return []
        return [*self.frame_arrived(sensor_id, stream, now_s), frame]

    def _follow(self, changes: Iterable[Change], now_s: float) -> list[Action]:
        """Let presence, state topics and learning follow what the registry decided."""
        actions: list[Action] = []
        for change in changes:
            match change:
                case Kept():
                    actions += self._keep(change, now_s)
                case Dropped(sensor_id, reason):
                    actions += self._leave(sensor_id, reason, now_s)
                    self._used.drop(sensor_id)
                    for dialect in (*self._dialects, self._learner):
                        dialect.forget(sensor_id)
                case Refused(_, error):
                    actions.append(self._refuse("", error))
                case _:
                    actions.append(change)
        return actions

    def _keep(self, kept: Kept, now_s: float) -> list[Action]:
        sensor = kept.sensor
        actions: list[Action] = []
        if sensor.dialect != LEARNED:
            for topic in self._used.set(sensor.id, [stream.topic for stream in sensor.streams.values()]):
                actions += self._happen(self._learner, self._learner.drop(topic), now_s)
        if not kept.admitted:
            return actions + self._leave(sensor.id, "no longer admitted", now_s)
        new = sensor.id not in self._presence
        self._presence.add(sensor.id, now_s, permanent=kept.declared)
        entry = self._registry.get(sensor.id)
        bound = entry.bound.values() if entry is not None else ()
        self._presence.expect(
            sensor.id, sensor.expire_s, {bind.stream.name: bind.stream.expire_s for bind in bound}
        )
        if kept.announced or (new and not kept.declared):
            actions += self._signal(sensor.id, Signal.ANNOUNCE, now_s)
        watching = self._states.watch(sensor.id, sensor.availability)
        for topic in watching.unwatch:
            actions += self._routes.unwatch(_state_topic(topic))
        for topic in watching.watch:
            actions += self._routes.watch(_state_topic(topic))
        if watching.report is not None:
            actions += self._signal(sensor.id, SIGNALS[watching.report], now_s)
        return actions

    def _leave(self, sensor_id: str, reason: str, now_s: float) -> list[Action]:
        """Watch a sensor no longer."""
        actions = self._signal(sensor_id, Signal.REMOVE, now_s, reason)
        for topic in self._states.remove(sensor_id):
            actions += self._routes.unwatch(_state_topic(topic))
        return actions

    def _signal(self, sensor_id: str, signal: Signal, now_s: float, reason: str = "") -> list[Action]:
        change = self._presence.signal(sensor_id, signal, now_s, reason)
        return [] if change is None else [self._told(change)]

    def _told(self, change: Transition) -> PresenceChanged:
        entry = self._registry.get(change.sensor_id)
        sensor = entry.sensor if entry is not None else None
        return PresenceChanged(change.sensor_id, change.old, change.new, change.reason, sensor)

    def _refuse(self, topic: str, error: SensorRefused) -> Refused:
        self._refused[error.label] += 1
        return Refused(topic, error)


def _state_topic(topic: str) -> Subscription:
    return Subscription(topic, qos=1)
