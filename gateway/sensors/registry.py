"""The one place that holds sensors: claims merged, admission applied, bindings kept, floods bounded.

Every source of sensors makes claims; the registry says what follows from them.
Rules:

1. One id is one sensor. The configuration outranks every dialect; of dialects
   the one named first outranks the others. A lower claim on a held id is
   refused, unless marks show the same device: then it adds what the higher
   leaves open, but never streams.
2. Two devices with one id: the higher epoch keeps it, and it is told.
3. Two ids with one mark are one device behind two dialects: both stay, but a
   topic that the higher one binds is not bound twice.
4. Bounded: when full, a newcomer that the rules admit takes the place of the
   longest waiting one that they do not; everybody else is refused.
5. What the rules said of a sensor is said again when they change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gateway.configuration.settings import DeclaredSensor, SensorSettings
from gateway.errors import MalformedAnnouncement, SensorCollision, SensorDenied, SensorRefused, TooManySensors
from gateway.sensors.actions import Bind, Refused, SensorNoted, Unbind
from gateway.sensors.admission import Admission, AdmissionRules, Verdict
from gateway.sensors.declared import declared_sensor
from gateway.sensors.identity import is_sensor_id
from gateway.sensors.marks import Marks
from gateway.sensors.sensor import DECLARED, LEARNED, Sensor


@dataclass(frozen=True, slots=True)
class Kept:
    """A sensor is kept, or kept differently.

    Attributes:
        sensor: As it is now.
        admitted: Whether it may run models.
        declared: Whether the configuration names it: it is never forgotten.
        announced: Whether its own word, not a change of rules, led here.
    """

    sensor: Sensor
    admitted: bool
    declared: bool
    announced: bool


@dataclass(frozen=True, slots=True)
class Dropped:
    """A sensor is kept no longer."""

    sensor_id: str
    reason: str


Change = Kept | Dropped | Bind | Unbind | SensorNoted | Refused


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one sensor.

    Attributes:
        sensor: The merged claims.
        claims: Claims by dialect.
        verdict: What admission said.
        bound: Bindings by stream.
        alias_of: A higher sensor that is the same device; empty if none.
    """

    sensor: Sensor
    claims: dict[str, Sensor]
    verdict: Verdict
    bound: dict[str, Bind]
    alias_of: str = ""


class Registry:
    """All sensors.

    Args:
        settings: Limits and declared sensors.
        rules: Admission.
        dialects: Names of the dialects, the most trusted first.
    """

    def __init__(self, settings: SensorSettings, rules: AdmissionRules, dialects: Sequence[str]) -> None:
        self._settings = settings
        self._rules = rules
        self._ranks = {name: rank for rank, name in enumerate((DECLARED, *dialects, LEARNED))}
        self._entries: dict[str, Entry] = {}
        self._waiting: dict[str, None] = {}
        self._marks = Marks()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, sensor_id: str) -> bool:
        return sensor_id in self._entries

    def get(self, sensor_id: str) -> Entry | None:
        """Return what is known of a sensor; None if it is not kept."""
        return self._entries.get(sensor_id)

    def entries(self) -> Iterator[Entry]:
        """Yield what is known, the longest known first."""
        yield from self._entries.values()

    def start(self) -> tuple[Change, ...]:
        """Take the declared sensors in."""
        changes: list[Change] = []
        for sensor_id, declared in self._settings.declared.items():
            changes += self.claim(declared_sensor(sensor_id, declared))
        return tuple(changes)

    def claim(self, sensor: Sensor) -> tuple[Change, ...]:
        """Take what one dialect, or the configuration, says of a sensor.

        Raises:
            SensorRefused: One of its leaves; nothing was changed.
        """
        if not is_sensor_id(sensor.id):
            raise MalformedAnnouncement(f"{sensor.id[:80]!r} is no sensor id")
        discovery = self._settings.discovery
        if sensor.dialect != DECLARED and len(sensor.streams) > discovery.max_streams:
            raise TooManySensors(f"{sensor.id}: more than {discovery.max_streams} streams")
        known = self._entries.get(sensor.id)
        if known is None:
            return self._taken_in(sensor)
        if known.claims.get(sensor.dialect) == sensor:
            return ()
        claims, notes = self._merged(known, sensor)
        return (*notes, *self._settle(sensor.id, claims, announced=sensor.dialect != DECLARED))

    def withdraw(self, sensor_id: str, dialect: str, reason: str) -> tuple[Change, ...]:
        """Take one claim back; the sensor goes with its last."""
        known = self._entries.get(sensor_id)
        if known is None or dialect not in known.claims:
            return ()
        claims = {name: claim for name, claim in known.claims.items() if name != dialect}
        if not claims:
            return self.drop(sensor_id, reason)
        return self._settle(sensor_id, claims, announced=False)

    def drop(self, sensor_id: str, reason: str) -> tuple[Change, ...]:
        """Forget a sensor whoever claims it."""
        known = self._entries.pop(sensor_id, None)
        if known is None:
            return ()
        self._waiting.pop(sensor_id, None)
        siblings = self._marks.remove(sensor_id, known.sensor.identifiers)
        unbinds = [Unbind(sensor_id, name, bind.stream.topic) for name, bind in known.bound.items()]
        changes: list[Change] = [*unbinds, Dropped(sensor_id, reason)]
        for sibling in siblings:
            changes += self._settle(sibling, self._entries[sibling].claims, announced=False, spread=False)
        return tuple(changes)

    def reconfigure(self, settings: SensorSettings, rules: AdmissionRules) -> tuple[Change, ...]:
        """Take new settings, and return what differs because of them."""
        before = self._settings.declared
        self._settings = settings
        self._rules = rules
        changes: list[Change] = []
        for sensor_id in before:
            if sensor_id not in settings.declared:
                changes += self.withdraw(sensor_id, DECLARED, "no longer declared")
        for sensor_id, declared in settings.declared.items():
            changes += self._declared_anew(sensor_id, declared)
        for sensor_id in sorted(self._entries, key=self._standing):
            changes += self._settle(sensor_id, self._entries[sensor_id].claims, announced=False, spread=False)
        while len(self._entries) > settings.discovery.max_sensors and self._waiting:
            changes += self.drop(next(iter(self._waiting)), "there is room for fewer sensors")
        return tuple(changes)

    def _declared_anew(self, sensor_id: str, declared: DeclaredSensor) -> tuple[Change, ...]:
        sensor = declared_sensor(sensor_id, declared)
        known = self._entries.get(sensor_id)
        if known is None:
            return self._taken_in(sensor)
        if known.claims.get(DECLARED) == sensor:
            return ()
        return self._settle(sensor_id, known.claims | {DECLARED: sensor}, announced=False)

    def _taken_in(self, sensor: Sensor) -> tuple[Change, ...]:
        changes: tuple[Change, ...] = ()
        if sensor.dialect != DECLARED and len(self._entries) >= self._settings.discovery.max_sensors:
            admitted = self._rules.decide(sensor).admission is Admission.ADMITTED
            if not admitted or not self._waiting:
                raise TooManySensors(f"{sensor.id}: {len(self._entries)} sensors are kept and no more")
            changes = self.drop(next(iter(self._waiting)), "an admitted sensor took its place")
        announced = sensor.dialect != DECLARED
        return (*changes, *self._settle(sensor.id, {sensor.dialect: sensor}, announced=announced))

    def _merged(self, known: Entry, sensor: Sensor) -> tuple[dict[str, Sensor], list[Change]]:
        """Return the claims with ``sensor``'s among them, and what is to be told of it."""
        notes: list[Change] = []
        held = known.claims.get(sensor.dialect)
        if held is not None:
            if _weaker(held, sensor):
                raise SensorCollision(
                    f"{sensor.id}: another device holds this id with epoch {held.epoch}", sensor=sensor.id
                )
            if _parted(held, sensor):
                note = f"another device took this id over, with epoch {sensor.epoch} after {held.epoch}"
                notes.append(SensorNoted(sensor.id, "collision", note))
            return known.claims | {sensor.dialect: sensor}, notes
        claims = dict(known.claims)
        for name, claim in known.claims.items():
            if DECLARED in (name, sensor.dialect) or set(claim.identifiers) & set(sensor.identifiers):
                continue
            if self._rank(name) < self._rank(sensor.dialect):
                raise SensorCollision(
                    f"{sensor.id}: {name} holds this id for another device", sensor=sensor.id
                )
            del claims[name]
            notes.append(SensorNoted(sensor.id, "collision", f"{sensor.dialect} took this id from {name}"))
        claims[sensor.dialect] = sensor
        return claims, notes

    def _settle(
        self, sensor_id: str, claims: dict[str, Sensor], *, announced: bool, spread: bool = True
    ) -> tuple[Change, ...]:
        """Work out what the claims on one id lead to, and return what differs from before."""
        before = self._entries.get(sensor_id)
        sensor = _merge(sorted(claims.values(), key=lambda claim: self._rank(claim.dialect)))
        siblings: set[str] = set()
        if before is not None and before.sensor.identifiers != sensor.identifiers:
            siblings = self._marks.remove(sensor_id, before.sensor.identifiers)
        siblings |= self._marks.add(sensor_id, sensor.identifiers)
        verdict = self._verdict(sensor)
        alias_of = self._alias_of(sensor)
        bound = self._bindings(sensor, verdict, alias_of)
        entry = Entry(sensor, claims, verdict, bound, alias_of)
        self._entries[sensor_id] = entry
        if verdict.admission is Admission.ADMITTED:
            self._waiting.pop(sensor_id, None)
        else:
            self._waiting.setdefault(sensor_id)
        changes = list(_differences(before, entry, announced=announced))
        if spread and changes:
            for sibling in sorted(siblings):
                changes += self._settle(sibling, self._entries[sibling].claims, announced=False, spread=False)
        return tuple(changes)

    def _verdict(self, sensor: Sensor) -> Verdict:
        declared = self._settings.declared.get(sensor.id)
        if declared is not None and sensor.dialect == DECLARED:
            return self._rules.declared(sensor, declared.pipelines)
        return self._rules.decide(sensor)

    def _alias_of(self, sensor: Sensor) -> str:
        siblings = self._marks.siblings(sensor.id, sensor.identifiers)
        best = min((self._standing(other) for other in siblings), default=None)
        return best[1] if best is not None and best < (self._rank(sensor.dialect), sensor.id) else ""

    def _bindings(self, sensor: Sensor, verdict: Verdict, alias_of: str) -> dict[str, Bind]:
        taken: set[str] = set()
        if alias_of:
            taken = {bind.stream.topic for bind in self._entries[alias_of].bound.values()}
        return {
            name: Bind(sensor, sensor.streams[name], pipelines)
            for name, pipelines in verdict.pipelines.items()
            if not sensor.streams[name].topic or sensor.streams[name].topic not in taken
        }

    def _standing(self, sensor_id: str) -> tuple[int, str]:
        """Return a key that puts the higher of two sensors first."""
        return self._rank(self._entries[sensor_id].sensor.dialect), sensor_id

    def _rank(self, dialect: str) -> int:
        return self._ranks.get(dialect, len(self._ranks))


def _differences(before: Entry | None, now: Entry, *, announced: bool) -> Iterator[Change]:
    sensor = now.sensor
    old = before.bound if before is not None else {}
    for name, bind in old.items():
        if name not in now.bound:
            yield Unbind(sensor.id, name, bind.stream.topic)
    admitted = now.verdict.admission is Admission.ADMITTED
    if before is None or (before.sensor, before.verdict, before.bound) != (sensor, now.verdict, now.bound):
        yield Kept(sensor, admitted, DECLARED in now.claims, announced)
    for name, bind in now.bound.items():
        was = old.get(name)
        if was is None or (was.stream, was.pipelines) != (bind.stream, bind.pipelines):
            if was is not None:
                yield Unbind(sensor.id, name, was.stream.topic)
            yield bind
    if before is None or before.verdict.admission is not now.verdict.admission:
        yield SensorNoted(sensor.id, now.verdict.admission.value, now.verdict.reason)
        if now.verdict.admission is Admission.DENIED:
            refusal: SensorRefused = SensorDenied(f"{sensor.id}: {now.verdict.reason}", sensor=sensor.id)
            yield Refused("", refusal)
    if now.alias_of and (before is None or before.alias_of != now.alias_of):
        yield SensorNoted(sensor.id, "alias", f"the same device as {now.alias_of}")


def _merge(claims: list[Sensor]) -> Sensor:
    """Return the highest claim, with what it leaves open taken from the others."""
    sensor = claims[0]
    for claim in claims[1:]:
        sensor = replace(
            sensor,
            name=sensor.name or claim.name,
            kind=sensor.kind or claim.kind,
            labels={**claim.labels, **sensor.labels},
            identifiers=tuple(dict.fromkeys(sensor.identifiers + claim.identifiers)),
            availability=sensor.availability if sensor.availability.sources else claim.availability,
            expire_s=sensor.expire_s or claim.expire_s,
            notes=(*sensor.notes, f"also known through {claim.dialect}"),
        )
    return sensor


def _weaker(held: Sensor, newcomer: Sensor) -> bool:
    """Return whether a second claim of one dialect on an id comes from an older device."""
    if set(held.identifiers) & set(newcomer.identifiers):
        return False  # the same device: its clock may start anew
    if _parted(held, newcomer):
        return newcomer.epoch <= held.epoch
    return newcomer.epoch < held.epoch


def _parted(held: Sensor, newcomer: Sensor) -> bool:
    """Return whether the marks of two claims show two devices."""
    return bool(held.identifiers and newcomer.identifiers) and not set(held.identifiers) & set(
        newcomer.identifiers
    )
