"""Drives discovery from the two connections, and binds the streams that it admits to pipelines.

Announcements and states come on the control connection and wait in a backlog
that is worked off in small slices, so that thousands of them never hold up a
frame. Frames come on the data connection and go straight to their intake.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType

from gateway.configuration.settings import Settings
from gateway.daemon.intake import Intake, IntakePorts, carried_message
from gateway.daemon.route import Route, route
from gateway.mqtt.connection import Connection
from gateway.mqtt.link import Link
from gateway.mqtt.message import Message
from gateway.mqtt.subscriptions import RETAINED_NEVER
from gateway.operations.log import log
from gateway.sensors.actions import (
    Actions,
    Bind,
    PresenceChanged,
    Refused,
    SensorNoted,
    Unbind,
    Unwatch,
    Watch,
)
from gateway.sensors.admission import Fits
from gateway.sensors.backlog import Backlog
from gateway.sensors.dialect import FrameCarried, PublishAsked, Subscription
from gateway.sensors.dialects import Identity
from gateway.sensors.discovery import Discovery
from gateway.sensors.presence import Presence
from gateway.sensors.status import SensorStatus

_SLICE = 4
_LEAST_PAUSE_S = 0.25  # presence is told within this time; nothing here turns faster


class Sensing:
    """Sensors of one running gateway; an asynchronous resource.

    Attributes:
        intakes: The bound streams by (sensor id, stream name).
    """

    def __init__(
        self, settings: Settings, identity: Identity, link: Link, ports: IntakePorts, fits: Fits | None = None
    ) -> None:
        self.intakes: dict[tuple[str, str], Intake] = {}
        self._settings = settings
        self._identity = identity
        self._link = link
        self._ports = ports
        self._discovery = Discovery(settings, identity, fits)
        self._backlog = Backlog()
        self._digesting = False
        self._handlers: dict[tuple[str, str], Callable[[Message], None]] = {}
        self._watched: dict[str, Connection] = {}
        self._sensors: dict[str, str] = {}  # by frame topic
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._stopped = False

    async def __aenter__(self) -> Sensing:
        """Take in declared sensors and begin to listen."""
        self._do(self._discovery.start(time.monotonic()))
        for wanted in self._discovery.subscriptions():
            self._watch(wanted)
        if self._link.control.connected:
            self.connection_changed(online=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take no more frames and announcements. Idempotent."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for watched, connection in self._watched.items():
            connection.unsubscribe(watched, self._hear)
        for key, handler in self._handlers.items():
            self._link.data.unsubscribe(self.intakes[key].stream.topic, handler)
        self._watched.clear()
        self._handlers.clear()

    def connection_changed(self, *, online: bool) -> None:
        """Note that the control connection stands, or no longer does."""
        now_s = time.monotonic()
        if online:
            self._do(self._discovery.connection_restored(now_s))
        else:
            self._do(self._discovery.connection_lost(now_s))

    def reconfigure(self, settings: Settings) -> None:
        """Use other settings from the next message on."""
        self._settings = settings
        self._do(self._discovery.reconfigure(settings, time.monotonic()))
        for (sensor, stream), intake in self.intakes.items():
            names = [old.pipeline for old in intake.routes if old.pipeline in settings.pipelines]
            intake.rebind(intake.stream, [self._route(sensor, stream, name) for name in names])

    def snapshot(self) -> tuple[SensorStatus, ...]:
        """Return all sensors as people are shown them."""
        return self._discovery.snapshot().sensors

    def sensor_of(self, topic: str) -> str:
        """Return the sensor that a frame topic belongs to; empty if none."""
        return self._sensors.get(topic, "")

    def _hear(self, message: Message) -> None:
        if self._stopped:
            return
        if not self._backlog.offer(message, latest_only=self._discovery.latest_only(message.topic)):
            self._ports.metrics.announcements_refused.add(1, "sensor.flood")
            log.event("announcement_refused", topic=message.topic, label="sensor.flood")
        if not self._digesting:
            self._digesting = True
            self._loop.call_soon(self._digest)

    def _digest(self) -> None:
        """Work off a slice; the loop looks at its sockets before the next one."""
        try:
            for message in self._backlog.take(_SLICE):
                self._do(self._discovery.receive(message, time.monotonic()))
        finally:
            self._digesting = bool(len(self._backlog)) and not self._stopped
            if self._digesting:
                self._loop.call_soon(self._digest)

    def _do(self, actions: Actions) -> None:
        """Carry out what discovery asks for."""
        for action in actions:
            match action:
                case Bind():
                    self._bind(action)
                case Unbind(sensor_id, stream, topic):
                    self._unbind((sensor_id, stream), topic)
                case Watch(wanted, qos):
                    self._watch(Subscription(wanted, qos))
                case Unwatch(unwanted):
                    if connection := self._watched.pop(unwanted, None):
                        connection.unsubscribe(unwanted, self._hear)
                case FrameCarried(sensor_id, stream, payload, declaration):
                    if intake := self.intakes.get((sensor_id, stream)):
                        intake.take(carried_message(stream, payload, declaration, time.monotonic()))
                case _:
                    self._tell(action)
        self._arm()

    def _tell(self, action: PresenceChanged | SensorNoted | Refused | PublishAsked) -> None:
        """Log, count or publish what discovery has to say."""
        match action:
            case PresenceChanged():
                self._tell_presence(action)
            case SensorNoted(sensor_id, kind, note):
                log.event("sensor_noted", sensor=sensor_id, kind=kind, note=note)
            case Refused(topic, error):
                self._ports.metrics.announcements_refused.add(1, error.label)
                log.event("announcement_refused", topic=topic, label=error.label, error=error)
            case PublishAsked(topic, payload, qos, retain):
                self._link.control.publish(topic, payload, qos, retain)

    def _watch(self, wanted: Subscription) -> None:
        if wanted.filter in self._watched or self._stopped:
            return
        # Learned topics carry frames: a persistent session would have the broker store them.
        connection = self._link.control if wanted.qos else self._link.data
        self._watched[wanted.filter] = connection
        connection.subscribe(wanted.filter, wanted.qos, self._hear)

    def _bind(self, bind: Bind) -> None:
        key = (bind.sensor.id, bind.stream.name)
        routes = [self._route(*key, name) for name in bind.pipelines]
        intake = self.intakes.get(key)
        if intake is None:
            intake = self.intakes[key] = Intake(bind.sensor.id, bind.stream, routes, self._ports)
        else:
            self._unbind(key, intake.stream.topic)
            self.intakes[key] = intake
            intake.rebind(bind.stream, routes)
        if not bind.stream.topic or self._stopped:
            return
        handler = self._handlers[key] = partial(self._take, intake)
        self._sensors[bind.stream.topic] = bind.sensor.id
        qos = bind.stream.qos
        self._link.data.subscribe(
            bind.stream.topic, qos, handler, retain_handling=RETAINED_NEVER, manual=bool(qos)
        )

    def _unbind(self, key: tuple[str, str], topic: str) -> None:
        self.intakes.pop(key, None)
        self._sensors.pop(topic, None)
        if handler := self._handlers.pop(key, None):
            self._link.data.unsubscribe(topic, handler)

    def _take(self, intake: Intake, message: Message) -> None:
        if self._stopped:
            return
        intake.take(message)
        if not message.retain:
            actions = self._discovery.frame_arrived(intake.sensor, intake.stream.name, message.received_s)
            if actions:
                self._do(actions)

    def _route(self, sensor: str, stream: str, pipeline: str) -> Route:
        return route(self._settings, self._identity.id, sensor, stream, pipeline)

    def _tell_presence(self, change: PresenceChanged) -> None:
        """Log a change of presence and publish it, retained; a sensor that is gone is cleared."""
        log.event(
            "sensor_presence",
            sensor=change.sensor_id,
            presence=change.new.value,
            was=change.old.value,
            reason=change.reason,
        )
        topic = f"{self._settings.mqtt.topic_prefix}/{self._identity.id}/sensor/{change.sensor_id}"
        if change.new is Presence.GONE:
            self._ports.metrics.forget_sensor(change.sensor_id)
            self._link.control.publish(topic, b"", 1, retain=True)
            return
        sensor = change.sensor
        said = {
            "id": change.sensor_id,
            "name": sensor.name if sensor else "",
            "kind": sensor.kind if sensor else "",
            "presence": change.new.value,
            "was": change.old.value,
            "reason": change.reason,
            "at": round(time.time(), 3),
        }
        self._link.control.publish(topic, json.dumps(said).encode(), 1, retain=True)

    def _arm(self) -> None:
        if self._stopped:
            return
        due_s = self._discovery.next_wakeup_s()
        if self._timer is not None:
            if due_s is not None and self._timer.when() <= due_s:
                return  # an early look costs less than moving the alarm at every frame
            self._timer.cancel()
            self._timer = None
        if due_s is not None:
            at_s = max(due_s, self._loop.time() + _LEAST_PAUSE_S)
            self._timer = self._loop.call_at(at_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        try:
            self._do(self._discovery.handle_timer(time.monotonic()))
        finally:
            self._arm()
