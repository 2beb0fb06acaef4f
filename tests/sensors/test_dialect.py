"""The seam for dialects: formats with descriptions, sequence numbers and aliases fit in unchanged."""

from __future__ import annotations

from gateway.configuration.settings import AdmissionRule
from gateway.sensors.actions import Action, Bind, PresenceChanged, Refused, Unwatch, Watch
from gateway.sensors.dialect import Dialect, FrameCarried, PublishAsked
from gateway.sensors.dialects import Identity
from gateway.sensors.discovery import Discovery
from gateway.sensors.presence import Presence
from tests.sensors.examples import ALLOW_ALL, message, settings
from tests.sensors.small_dialects import Described, Numbered


def discovery(*dialects: Dialect, rule: AdmissionRule = ALLOW_ALL) -> Discovery:
    made = Discovery(settings(rule), Identity("jetson-1", 1), extra=dialects)
    made.connection_restored(0.0)
    return made


def told(actions: tuple[Action, ...]) -> list[Presence]:
    return [action.new for action in actions if isinstance(action, PresenceChanged)]


def test_a_description_is_watched_for_once_a_state_was_seen() -> None:
    house = discovery(Described())
    assert house.receive(message("home/5/car/$state", b"ready"), 0.0) == (
        Watch("home/5/car/$description", 1),
    )
    assert house.receive(message("home/5/car/$state", b"init"), 0.0) == ()
    house.receive(message("home/5/car/$state", b"ready"), 0.0)
    actions = house.receive(message("home/5/car/$description", {"properties": {"speed": {}}}), 1.0)
    assert [action.stream.topic for action in actions if isinstance(action, Bind)] == ["home/5/car/speed"]
    assert told(actions) == [Presence.ANNOUNCED, Presence.ONLINE]


def test_every_word_of_a_state_topic_has_its_presence() -> None:
    house = discovery(Described())
    house.receive(message("home/5/car/$state", b"ready"), 0.0)
    house.receive(message("home/5/car/$description", {"properties": {"speed": {}}}), 1.0)
    seen = []
    for word in (b"init", b"ready", b"sleeping", b"lost"):
        seen += told(house.receive(message("home/5/car/$state", word), 2.0))
    assert seen == [Presence.UNKNOWN, Presence.ONLINE, Presence.STALE, Presence.OFFLINE]


def test_a_removed_state_takes_the_sensor_and_its_subscription() -> None:
    house = discovery(Described())
    house.receive(message("home/5/car/$state", b"ready"), 0.0)
    house.receive(message("home/5/car/$description", {"properties": {"speed": {}}}), 1.0)
    actions = house.receive(message("home/5/car/$state", b""), 2.0)
    assert Unwatch("home/5/car/$description") in actions
    assert told(actions) == [Presence.GONE]
    assert house.receive(message("home/5/car/$description", {}), 3.0) == ()


def test_frames_inside_envelopes_are_handed_on_under_their_stream() -> None:
    house = discovery(Numbered())
    actions = house.receive(message("spB/BIRTH/edge", {"seq": 254, "names": {"1": "x", "2": "y"}}), 0.0)
    assert {action.stream.name: action.stream.topic for action in actions if isinstance(action, Bind)} == {
        "x": "",
        "y": "",
    }
    assert house.receive(message("spB/DATA/edge", {"seq": 255, "values": {"1": 4, "2": 5}}), 1.0) == (
        FrameCarried("edge", "x", b"4"),
        FrameCarried("edge", "y", b"5"),
    )
    assert house.receive(message("spB/DATA/edge", {"seq": 0, "values": {"1": 6}}), 2.0) == (
        FrameCarried("edge", "x", b"6"),
    )


def test_frames_of_a_sensor_that_is_not_admitted_go_nowhere() -> None:
    house = discovery(Numbered(), rule=AdmissionRule(action="pending"))
    house.receive(message("spB/BIRTH/edge", {"seq": 0, "names": {"1": "x"}}), 0.0)
    assert house.receive(message("spB/DATA/edge", {"seq": 1, "values": {"1": 4}}), 1.0) == ()


def test_a_gap_that_nobody_mends_ends_in_a_request_for_rebirth() -> None:
    house = discovery(Numbered())
    rebirth = PublishAsked("spB/CMD/edge", b"rebirth")
    assert house.receive(message("spB/DATA/edge", {"seq": 7}), 0.0) == (rebirth,)
    house.receive(message("spB/BIRTH/edge", {"seq": 0, "names": {"1": "x"}}), 0.0)
    assert house.receive(message("spB/DATA/edge", {"seq": 2, "values": {}}), 5.0) == ()
    assert house.next_wakeup_s() == 7.0
    assert house.handle_timer(6.9) == ()
    assert house.handle_timer(7.0) == (rebirth,)


def test_numbered_messages_do_not_take_each_others_place_in_the_backlog() -> None:
    house = discovery(Numbered(), Described())
    assert not house.latest_only("spB/DATA/edge")
    assert house.latest_only("home/5/car/$state")


def test_a_dialect_speaks_at_each_connection_and_forgets_its_sessions_with_it() -> None:
    numbered = Numbered()
    house = discovery(numbered)
    house.receive(message("spB/BIRTH/edge", {"seq": 0, "names": {"1": "x"}}), 0.0)
    assert told(house.connection_lost(1.0)) == [Presence.UNKNOWN]
    assert numbered.aliases == {}
    assert PublishAsked("spB/STATE/host", b"online", qos=1, retain=True) in house.connection_restored(2.0)


def test_what_a_dialect_refuses_is_counted() -> None:
    house = discovery(Described(), Numbered())
    (refused,) = house.receive(message("home/5/car/$state", b"odd"), 0.0)
    assert isinstance(refused, Refused)
    house.receive(message("spB/DATA/edge", b"\xff"), 0.0)
    assert house.snapshot().refused == {"sensor.malformed": 2}
