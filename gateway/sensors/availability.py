"""State messages of sensors, weighed to one report each: who is watched where, and what was said last.

One topic may speak for many sensors (a bridge's own state), and one sensor may
have many topics. What a topic said last is kept, as the broker repeats a kept
message for new subscriptions only, and a sensor that comes later shares one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.errors import Malformed, MalformedAnnouncement
from gateway.sensors.dialect import Report
from gateway.sensors.sensor import Availability, AvailabilityMode, StateSource


@dataclass(frozen=True, slots=True)
class Watching:
    """What changed in the topics to be watched.

    Attributes:
        watch: Topics now wanted.
        unwatch: Topics no longer wanted.
        report: What is known of the sensor already; None if nothing.
    """

    watch: tuple[str, ...] = ()
    unwatch: tuple[str, ...] = ()
    report: Report | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What a state message meant.

    Attributes:
        reports: Sensors and what is now said of each.
        refused: Why some sensors' templates could not read it.
    """

    reports: tuple[tuple[str, Report], ...] = ()
    refused: tuple[MalformedAnnouncement, ...] = ()


@dataclass(slots=True)
class _Watched:
    availability: Availability
    said: dict[int, Report] = field(default_factory=dict)


class StateMessages:
    """All state topics, and what is known from them."""

    def __init__(self) -> None:
        self._sensors: dict[str, _Watched] = {}
        self._topics: dict[str, dict[str, None]] = {}
        self._last: dict[str, bytes] = {}

    def __contains__(self, topic: str) -> bool:
        return topic in self._topics

    def watch(self, sensor_id: str, availability: Availability) -> Watching:
        """Watch a sensor by these sources, instead of those before."""
        known = self._sensors.get(sensor_id)
        if known is not None and known.availability == availability:
            return Watching()
        before = {source.topic for source in known.availability.sources} if known is not None else set()
        after = dict.fromkeys(source.topic for source in availability.sources)
        watch = tuple(topic for topic in after if topic not in self._topics)
        for topic in after:
            self._topics.setdefault(topic, {})[sensor_id] = None
        unwatch = self._leave(sensor_id, before - after.keys())
        if not availability.sources:
            self._sensors.pop(sensor_id, None)
            return Watching(watch, unwatch)
        watched = self._sensors[sensor_id] = _Watched(availability)
        report = None
        for topic in after:
            if topic in self._last:
                try:
                    report = _weigh(watched, topic, self._last[topic]) or report
                except MalformedAnnouncement:
                    continue  # was refused and counted when it came
        return Watching(watch, unwatch, report)

    def remove(self, sensor_id: str) -> tuple[str, ...]:
        """Watch a sensor no longer, and return the topics that nobody wants now."""
        known = self._sensors.pop(sensor_id, None)
        if known is None:
            return ()
        return self._leave(sensor_id, {source.topic for source in known.availability.sources})

    def receive(self, topic: str, payload: bytes) -> Heard:
        """Read one message on a watched topic, for every sensor that it speaks for."""
        self._last[topic] = payload
        reports = []
        refused = []
        for sensor_id in self._topics.get(topic, ()):
            try:
                report = _weigh(self._sensors[sensor_id], topic, payload)
            except MalformedAnnouncement as error:
                refused.append(error)
                continue
            if report is not None:
                reports.append((sensor_id, report))
        return Heard(tuple(reports), tuple(refused))

    def disconnected(self) -> None:
        """Forget what was said: it will be said again, or is no longer true."""
        self._last.clear()
        for watched in self._sensors.values():
            watched.said.clear()

    def _leave(self, sensor_id: str, topics: set[str]) -> tuple[str, ...]:
        left = []
        for topic in sorted(topics):
            sensors = self._topics[topic]
            del sensors[sensor_id]
            if not sensors:
                del self._topics[topic]
                self._last.pop(topic, None)
                left.append(topic)
        return tuple(left)


def _weigh(watched: _Watched, topic: str, payload: bytes) -> Report | None:
    """Return what is said of a sensor once ``payload`` is known; None if still nothing."""
    latest = None
    for index, source in enumerate(watched.availability.sources):
        if source.topic != topic:
            continue
        said = _said(source, payload)
        if said is not None:
            watched.said[index] = latest = said
    if latest is None or watched.availability.mode is AvailabilityMode.LATEST:
        return latest
    said_by_all = len(watched.said) == len(watched.availability.sources)
    reports = set(watched.said.values())
    if watched.availability.mode is AvailabilityMode.ANY:
        order = (Report.ONLINE, Report.SLEEPING)
        last = Report.OFFLINE
    else:
        order = (Report.OFFLINE, Report.SLEEPING)
        last = Report.ONLINE
    for report in order:
        if report in reports:
            return report
    return last if said_by_all else None


def _said(source: StateSource, payload: bytes) -> Report | None:
    try:
        text = source.template.text(payload) if source.template is not None else payload.decode("utf-8")
    except Malformed as error:
        raise MalformedAnnouncement(f"state on {source.topic[:80]!r}: {error.message}") from None
    except UnicodeDecodeError:
        raise MalformedAnnouncement(f"state on {source.topic[:80]!r}: no text") from None
    if text in source.online:
        return Report.ONLINE
    if text in source.offline:
        return Report.OFFLINE
    return Report.SLEEPING if text in source.sleeping else None
