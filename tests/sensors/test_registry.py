"""The registry: claims, collisions, aliases, floods, and a model of its bindings."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.configuration.settings import (
    AdmissionRule,
    DeclaredSensor,
    DiscoverySettings,
    SensorSettings,
    StreamSettings,
)
from gateway.errors import MalformedAnnouncement, SensorCollision, SensorRefused, TooManySensors
from gateway.sensors.actions import Bind, Refused, SensorNoted, Unbind
from gateway.sensors.admission import Admission, AdmissionRules
from gateway.sensors.registry import Change, Dropped, Kept, Registry
from gateway.sensors.sensor import LEARNED, Availability, Sensor, StateSource, Stream
from tests.sensors.examples import ALLOW_ALL, sensor

PIPELINES = ("person-detect", "shake")
DIALECTS = ("announce", "homeassistant")
DOOR = DeclaredSensor(streams={"frame": StreamSettings(topic="yard/door")}, pipelines=("person-detect",))


def registry(
    *rules: AdmissionRule,
    max_sensors: int = 100,
    max_streams: int = 4,
    declared: dict[str, DeclaredSensor] | None = None,
) -> Registry:
    return Registry(
        sensor_settings(max_sensors, max_streams, declared), AdmissionRules(rules, PIPELINES), DIALECTS
    )


def sensor_settings(
    max_sensors: int = 100, max_streams: int = 4, declared: dict[str, DeclaredSensor] | None = None
) -> SensorSettings:
    discovery = DiscoverySettings(max_sensors=max_sensors, max_streams=max_streams)
    return SensorSettings(discovery=discovery, declared=declared or {})


def kinds(changes: tuple[Change, ...]) -> list[str]:
    return [type(change).__name__ for change in changes]


def bound(kept: Registry, id: str) -> dict[str, tuple[str, ...]]:
    entry = kept.get(id)
    assert entry is not None
    return {name: bind.pipelines for name, bind in entry.bound.items()}


def test_an_admitted_sensor_is_bound() -> None:
    kept = registry(ALLOW_ALL)
    cam = sensor()
    assert kept.claim(cam) == (
        Kept(cam, admitted=True, declared=False, announced=True),
        Bind(cam, cam.streams["frame"], ("person-detect",)),
        SensorNoted("cam", "admitted", "1 of 1 streams"),
    )
    assert kept.claim(cam) == ()
    assert len(kept) == 1


def test_a_pending_sensor_is_kept_and_not_bound() -> None:
    kept = registry()
    cam = sensor()
    assert kept.claim(cam) == (
        Kept(cam, admitted=False, declared=False, announced=True),
        SensorNoted("cam", "pending", "no admission rule matches"),
    )


def test_a_denied_sensor_is_kept_and_counted_as_refused() -> None:
    kept = registry(AdmissionRule(action="deny"))
    refused = [change for change in kept.claim(sensor()) if isinstance(change, Refused)]
    assert [change.error.label for change in refused] == ["sensor.denied"]
    assert kept.claim(sensor()) == ()


def test_another_topic_binds_the_stream_anew() -> None:
    kept = registry(ALLOW_ALL)
    kept.claim(sensor())
    moved = sensor(topic="yard/elsewhere")
    changes = kept.claim(moved)
    assert kinds(changes) == ["Kept", "Unbind", "Bind"]
    assert Unbind("cam", "frame", "yard/cam/frame") in changes


def test_another_name_binds_nothing_anew() -> None:
    kept = registry(ALLOW_ALL)
    kept.claim(sensor())
    assert kinds(kept.claim(sensor(name="Door"))) == ["Kept"]


def test_a_stream_that_is_gone_is_unbound() -> None:
    kept = registry(ALLOW_ALL)
    two = {"frame": Stream("frame", "a"), "imu": Stream("imu", "b")}
    kept.claim(sensor(streams=two))
    changes = kept.claim(sensor(streams={"imu": two["imu"]}))
    assert changes[0] == Unbind("cam", "frame", "a")


def test_the_last_claim_taken_back_drops_the_sensor() -> None:
    kept = registry(ALLOW_ALL)
    kept.claim(sensor())
    assert kept.withdraw("cam", "homeassistant", "x") == ()
    changes = kept.withdraw("cam", "announce", "taken back")
    assert changes == (Unbind("cam", "frame", "yard/cam/frame"), Dropped("cam", "taken back"))
    assert kept.withdraw("cam", "announce", "x") == kept.drop("cam", "x") == ()
    assert "cam" not in kept


def test_an_id_outside_the_grammar_is_refused() -> None:
    with pytest.raises(MalformedAnnouncement):
        registry().claim(sensor("Cam/../x"))


def test_too_many_streams_are_refused() -> None:
    streams = {f"s{number}": Stream(f"s{number}", f"t/{number}") for number in range(5)}
    with pytest.raises(TooManySensors):
        registry().claim(sensor(streams=streams))


def test_a_flood_is_refused_once_the_registry_is_full() -> None:
    kept = registry(max_sensors=3)
    for number in range(3):
        kept.claim(sensor(f"cam-{number}"))
    with pytest.raises(TooManySensors):
        kept.claim(sensor("cam-3"))
    assert len(kept) == 3
    assert kinds(kept.claim(sensor("cam-1", name="still heard"))) == ["Kept"]


def test_a_flood_of_waiting_sensors_does_not_keep_an_admitted_one_out() -> None:
    kept = registry(AdmissionRule(action="allow", id="good-*", pipelines=("shake",)), max_sensors=2)
    kept.claim(sensor("junk-1"))
    kept.claim(sensor("junk-2"))
    changes = kept.claim(sensor("good-1"))
    assert changes[0] == Dropped("junk-1", "an admitted sensor took its place")
    kept.claim(sensor("good-2"))
    with pytest.raises(TooManySensors):
        kept.claim(sensor("good-3"))
    assert {entry.sensor.id for entry in kept.entries()} == {"good-1", "good-2"}


def test_declared_sensors_have_room_even_when_full() -> None:
    kept = registry(max_sensors=1, declared={"door": DOOR, "gate": DOOR})
    changes = kept.start()
    assert bound(kept, "door") == bound(kept, "gate") == {"frame": ("person-detect",)}
    assert all(change.declared for change in changes if isinstance(change, Kept))


def test_the_device_with_the_higher_epoch_keeps_the_id() -> None:
    kept = registry(ALLOW_ALL)
    kept.claim(sensor(epoch=100, identifiers=("mac:1",)))
    with pytest.raises(SensorCollision):
        kept.claim(sensor(epoch=99, identifiers=("mac:2",)))
    with pytest.raises(SensorCollision):
        kept.claim(sensor(epoch=100, identifiers=("mac:2",)))
    changes = kept.claim(sensor(epoch=101, identifiers=("mac:2",), topic="new/place"))
    assert changes[0] == SensorNoted(
        "cam", "collision", "another device took this id over, with epoch 101 after 100"
    )
    entry = kept.get("cam")
    assert entry is not None
    assert entry.sensor.streams["frame"].topic == "new/place"


def test_an_older_epoch_without_marks_is_another_device() -> None:
    kept = registry()
    kept.claim(sensor(epoch=100))
    with pytest.raises(SensorCollision):
        kept.claim(sensor(epoch=1))


def test_the_same_device_may_start_its_clock_anew() -> None:
    kept = registry()
    kept.claim(sensor(epoch=100, identifiers=("mac:1",)))
    assert kinds(kept.claim(sensor(epoch=1, identifiers=("mac:1",)))) == ["Kept"]


def test_a_less_trusted_dialect_does_not_take_an_id_over() -> None:
    kept = registry()
    kept.claim(sensor())
    with pytest.raises(SensorCollision):
        kept.claim(sensor(dialect="homeassistant"))


def test_a_more_trusted_dialect_takes_an_id_over_and_it_is_told() -> None:
    kept = registry()
    kept.claim(sensor(dialect="homeassistant", topic="ha/topic"))
    changes = kept.claim(sensor())
    assert changes[0] == SensorNoted("cam", "collision", "announce took this id from homeassistant")
    assert kept.withdraw("cam", "homeassistant", "x") == ()


def test_one_device_under_one_id_adds_what_the_higher_claim_leaves_open_but_no_streams() -> None:
    kept = registry(ALLOW_ALL)
    kept.claim(sensor(identifiers=("mac:1",)))
    availability = Availability((StateSource("ha/state", ("online",), ("offline",)),))
    other = sensor(
        dialect="homeassistant",
        identifiers=("mac:1", "id:x"),
        name="Door",
        availability=availability,
        streams={"other": Stream("other", "ha/other")},
    )
    kept.claim(other)
    entry = kept.get("cam")
    assert entry is not None
    assert (entry.sensor.dialect, entry.sensor.name) == ("announce", "Door")
    assert entry.sensor.availability == availability
    assert list(entry.sensor.streams) == ["frame"]
    assert entry.sensor.notes == ("also known through homeassistant",)
    kept.withdraw("cam", "announce", "taken back")
    entry = kept.get("cam")
    assert entry is not None
    assert list(entry.sensor.streams) == ["other"]


def test_the_configuration_outranks_every_announcement_of_the_same_id() -> None:
    kept = registry(declared={"door": DOOR})
    kept.start()
    kept.claim(sensor("door", topic="evil/topic", identifiers=("mac:1",)))
    entry = kept.get("door")
    assert entry is not None
    assert entry.sensor.streams["frame"].topic == "yard/door"
    assert entry.sensor.identifiers == ("mac:1",)
    assert kinds(kept.withdraw("door", "announce", "x")) == ["Kept"]
    assert "door" in kept


def test_one_device_behind_two_dialects_is_noted_and_no_topic_is_bound_twice() -> None:
    kept = registry(ALLOW_ALL)
    streams = {"frame": Stream("frame", "yard/cam/frame"), "heat": Stream("heat", "ha/heat")}
    kept.claim(sensor("ha-cam", dialect="homeassistant", identifiers=("mac:1",), streams=streams))
    assert set(bound(kept, "ha-cam")) == {"frame", "heat"}
    changes = kept.claim(sensor(identifiers=("mac:1",)))
    assert Unbind("ha-cam", "frame", "yard/cam/frame") in changes
    assert SensorNoted("ha-cam", "alias", "the same device as cam") in changes
    assert (set(bound(kept, "cam")), set(bound(kept, "ha-cam"))) == ({"frame"}, {"heat"})
    changes = kept.withdraw("cam", "announce", "taken back")
    assert set(bound(kept, "ha-cam")) == {"frame", "heat"}
    entry = kept.get("ha-cam")
    assert entry is not None
    assert entry.alias_of == ""


def test_a_reload_of_rules_changes_bindings_and_nothing_else() -> None:
    kept = registry(ALLOW_ALL)
    kept.claim(sensor("a"))
    kept.claim(sensor("b"))
    only_a = [AdmissionRule(action="allow", id="a", pipelines=("shake",))]
    changes = kept.reconfigure(sensor_settings(), AdmissionRules(only_a, PIPELINES))
    assert bound(kept, "a") == {"frame": ("shake",)}
    assert bound(kept, "b") == {}
    assert Unbind("b", "frame", "yard/b/frame") in changes
    assert kept.reconfigure(sensor_settings(), AdmissionRules(only_a, PIPELINES)) == ()


def test_a_reload_of_declared_sensors_is_a_difference() -> None:
    kept = registry(declared={"door": DOOR, "gate": DOOR})
    kept.start()
    moved = replace(DOOR, streams={"frame": StreamSettings(topic="yard/moved")})
    settings = sensor_settings(declared={"gate": moved, "new": DOOR})
    changes = kept.reconfigure(settings, AdmissionRules((), PIPELINES))
    assert Dropped("door", "no longer declared") in changes
    assert Unbind("gate", "frame", "yard/door") in changes
    assert {entry.sensor.id for entry in kept.entries()} == {"gate", "new"}


def test_a_reload_with_less_room_drops_those_that_wait() -> None:
    kept = registry(AdmissionRule(action="allow", id="good", pipelines=("shake",)))
    for name in ("junk-1", "good", "junk-2"):
        kept.claim(sensor(name))
    rules = AdmissionRules([AdmissionRule(action="allow", id="good", pipelines=("shake",))], PIPELINES)
    kept.reconfigure(sensor_settings(max_sensors=1), rules)
    assert [entry.sensor.id for entry in kept.entries()] == ["good"]


IDS = st.sampled_from(["a", "b", "good-1", "good-2", "door"])
NAMES = st.sampled_from([*DIALECTS, LEARNED])
TOPICS = st.sampled_from(["t/1", "t/2"])
MARKS = st.sampled_from([(), ("mac:1",), ("mac:2",), ("mac:1", "id:x")])
RULES = st.sampled_from(
    [
        (),
        (ALLOW_ALL,),
        (AdmissionRule(action="allow", id="good-*", pipelines=("shake",)),),
        (AdmissionRule(action="deny", topic="t/1"), ALLOW_ALL),
    ]
)


class RegistryMachine(RuleBasedStateMachine):
    """Applies changes as a shell would: bindings and sensors must always agree with the registry's own."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = registry(max_sensors=3)
        self.binds: dict[tuple[str, str], Bind] = {}
        self.sensors: dict[str, Kept] = {}

    def carry_out(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            match change:
                case Bind(sensor, stream):
                    assert (sensor.id, stream.name) not in self.binds
                    self.binds[sensor.id, stream.name] = change
                case Unbind(sensor_id, stream, topic):
                    assert self.binds.pop((sensor_id, stream)).stream.topic == topic
                case Kept(sensor):
                    self.sensors[sensor.id] = change
                case Dropped(sensor_id):
                    del self.sensors[sensor_id]

    @rule(id=IDS, dialect=NAMES, topic=TOPICS, marks=MARKS, epoch=st.integers(0, 2))
    def claim(self, id: str, dialect: str, topic: str, marks: tuple[str, ...], epoch: int) -> None:
        before = list(self.registry.entries())
        claimed = sensor(id, dialect, topic, identifiers=marks, epoch=epoch)
        try:
            self.carry_out(self.registry.claim(claimed))
        except SensorRefused:
            assert list(self.registry.entries()) == before
            return
        assert self.registry.claim(claimed) == ()

    @rule(id=IDS, dialect=NAMES)
    def withdraw(self, id: str, dialect: str) -> None:
        self.carry_out(self.registry.withdraw(id, dialect, "x"))

    @rule(id=IDS)
    def drop(self, id: str) -> None:
        self.carry_out(self.registry.drop(id, "x"))

    @rule(rules=RULES, declared=st.booleans(), max_sensors=st.integers(1, 4))
    def reload(self, rules: tuple[AdmissionRule, ...], declared: bool, max_sensors: int) -> None:
        settings = sensor_settings(max_sensors, declared={"door": DOOR} if declared else {})
        made = AdmissionRules(rules, PIPELINES)
        self.carry_out(self.registry.reconfigure(settings, made))
        assert self.registry.reconfigure(settings, made) == ()

    @invariant()
    def the_shell_holds_what_the_registry_holds(self) -> None:
        entries = {entry.sensor.id: entry for entry in self.registry.entries()}
        assert set(self.sensors) == set(entries)
        held = {
            (entry.sensor.id, name): (bind.stream, bind.pipelines)
            for entry in entries.values()
            for name, bind in entry.bound.items()
        }
        assert {key: (bind.stream, bind.pipelines) for key, bind in self.binds.items()} == held

    @invariant()
    def only_admitted_sensors_are_bound_and_learned_ones_never(self) -> None:
        for entry in self.registry.entries():
            assert entry.sensor == self.sensors[entry.sensor.id].sensor
            admitted = entry.verdict.admission is Admission.ADMITTED
            assert admitted == self.sensors[entry.sensor.id].admitted
            if not admitted or entry.sensor.dialect == LEARNED:
                assert not entry.bound

    @invariant()
    def one_device_is_not_bound_twice_to_one_topic(self) -> None:
        for entry in self.registry.entries():
            higher = self.registry.get(entry.alias_of) if entry.alias_of else None
            if higher is not None:
                mine = {bind.stream.topic for bind in entry.bound.values()}
                assert not mine & {bind.stream.topic for bind in higher.bound.values()}

    @invariant()
    def marks_are_kept_of_no_one_else(self) -> None:
        known = {entry.sensor.id for entry in self.registry.entries()}
        assert all(set(ids) <= known for ids in self.registry._marks._ids.values())
        assert set(self.registry._waiting) <= known


TestRegistryMachine = RegistryMachine.TestCase
TestRegistryMachine.settings = hypothesis_settings(max_examples=60, stateful_step_count=30)


def test_a_claim_may_come_from_a_dialect_that_nobody_ranked() -> None:
    kept = registry()
    kept.claim(sensor(dialect="homie"))
    assert isinstance(kept.get("cam").sensor, Sensor)  # type: ignore[union-attr]
