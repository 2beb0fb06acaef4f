"""All of discovery together, driven as the daemon drives it."""

from __future__ import annotations

import gc
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.settings import (
    AdmissionRule,
    DeclaredSensor,
    DiscoverySettings,
    LearnSettings,
    Settings,
    StreamSettings,
)
from gateway.sensors.actions import (
    Action,
    Bind,
    PresenceChanged,
    Refused,
    SensorNoted,
    Unbind,
    Unwatch,
    Watch,
)
from gateway.sensors.dialect import PublishAsked, Subscription
from gateway.sensors.dialects import Identity
from gateway.sensors.discovery import Discovery
from gateway.sensors.presence import Presence
from tests.sensors.examples import ALLOW_ALL, announcement, message, settings

STATE = "gw/announce/cam-7f3a/state"
HALL = DeclaredSensor(
    streams={"pcm": StreamSettings(topic="house/mic")},
    pipelines=("person-detect",),
    state_topic="house/mic/state",
    expire_s=10.0,
)
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)


def discovery(given: Settings | None = None) -> Discovery:
    """Return discovery as it is after start and the first connection."""
    made = Discovery(given or settings(ALLOW_ALL), Identity("jetson-1", 7))
    made.start(0.0)
    made.connection_restored(0.0)
    return made


def told(actions: tuple[Action, ...]) -> list[tuple[str, Presence]]:
    return [(action.sensor_id, action.new) for action in actions if isinstance(action, PresenceChanged)]


def labels(actions: tuple[Action, ...]) -> list[str]:
    return [action.error.label for action in actions if isinstance(action, Refused)]


def test_an_announced_camera_is_bound_watched_and_told() -> None:
    house = discovery()
    actions = house.receive(announcement(), 1.0)
    assert [action.stream.name for action in actions if isinstance(action, Bind)] == ["frame", "imu"]
    assert Watch(STATE, 1) in actions
    assert told(actions) == [("cam-7f3a", Presence.ANNOUNCED)]
    assert house.receive(announcement(), 2.0) == ()


def test_the_gateway_says_hello_at_each_connection() -> None:
    house = Discovery(settings(), Identity("jetson-1", 7))
    hello = PublishAsked("gw/hello", b'{"id":"jetson-1","epoch":7}')
    assert house.connection_restored(0.0) == (hello,)
    house.connection_lost(1.0)
    assert house.connection_restored(2.0) == (hello,)


def test_states_frames_and_silence_move_presence() -> None:
    house = discovery()
    house.receive(announcement(), 0.0)
    assert told(house.receive(message(STATE, b"ready"), 1.0)) == [("cam-7f3a", Presence.ONLINE)]
    assert told(house.receive(message(STATE, b"lost"), 2.0)) == [("cam-7f3a", Presence.OFFLINE)]
    assert told(house.frame_arrived("cam-7f3a", "frame", 3.0)) == [("cam-7f3a", Presence.ONLINE)]
    assert house.frame_arrived("cam-7f3a", "frame", 4.0) == ()
    while (wakeup_s := house.next_wakeup_s()) is not None and wakeup_s < 19.0:
        assert house.handle_timer(wakeup_s) == ()
    assert told(house.handle_timer(19.0)) == [("cam-7f3a", Presence.STALE)]
    assert house.presence("cam-7f3a") is Presence.STALE


def test_a_state_kept_before_the_announcement_is_heard_through_the_new_subscription() -> None:
    house = discovery()
    assert house.receive(message(STATE, b"ready"), 0.0) == ()
    house.receive(announcement(), 1.0)
    assert told(house.receive(message(STATE, b"ready"), 1.0)) == [("cam-7f3a", Presence.ONLINE)]


def test_an_empty_announcement_takes_everything_back() -> None:
    house = discovery()
    house.receive(announcement(), 0.0)
    actions = house.receive(message("gw/announce/cam-7f3a", b""), 1.0)
    assert [action.stream for action in actions if isinstance(action, Unbind)] == ["frame", "imu"]
    assert Unwatch(STATE) in actions
    assert told(actions) == [("cam-7f3a", Presence.GONE)]
    assert house.presence("cam-7f3a") is Presence.GONE
    assert house.snapshot().sensors == ()


def test_a_sensor_that_is_gone_may_announce_itself_again() -> None:
    house = discovery()
    house.receive(announcement(), 0.0)
    house.frame_arrived("cam-7f3a", "frame", 1.0)
    actions: list[tuple[str, Presence]] = []
    unbinds = []
    while (wakeup_s := house.next_wakeup_s()) is not None:
        due = house.handle_timer(wakeup_s)
        actions += told(due)
        unbinds += [action for action in due if isinstance(action, Unbind)]
    assert [state for _, state in actions] == [Presence.STALE, Presence.OFFLINE, Presence.GONE]
    assert len(unbinds) == 2
    assert told(house.receive(announcement(), 1e6)) == [("cam-7f3a", Presence.ANNOUNCED)]


def test_without_the_broker_all_are_unknown_and_with_it_the_states_come_again() -> None:
    house = discovery()
    house.receive(announcement(), 0.0)
    house.receive(message(STATE, b"ready"), 1.0)
    assert told(house.connection_lost(2.0)) == [("cam-7f3a", Presence.UNKNOWN)]
    assert Subscription(STATE) in house.subscriptions()
    house.connection_restored(3.0)
    assert told(house.receive(message(STATE, b"ready"), 3.0)) == [("cam-7f3a", Presence.ONLINE)]


def test_a_pending_sensor_is_neither_watched_nor_followed() -> None:
    house = discovery(settings())
    actions = house.receive(announcement(), 0.0)
    assert actions == (SensorNoted("cam-7f3a", "pending", "no admission rule matches"),)
    assert house.frame_arrived("cam-7f3a", "frame", 1.0) == ()
    assert house.presence("cam-7f3a") is Presence.UNKNOWN
    (shown,) = house.snapshot().sensors
    assert (shown.admission, shown.reason) == ("pending", "no admission rule matches")


def test_a_declared_sensor_is_unknown_until_it_speaks_and_never_forgotten() -> None:
    house = Discovery(settings(sensors={"declared": {"hall": HALL}}), Identity("jetson-1", 7))
    actions = house.start(0.0)
    assert [action.stream.topic for action in actions if isinstance(action, Bind)] == ["house/mic"]
    assert Watch("house/mic/state", 1) in actions
    house.connection_restored(0.0)
    assert house.presence("hall") is Presence.UNKNOWN
    assert told(house.frame_arrived("hall", "pcm", 1.0)) == [("hall", Presence.ONLINE)]
    seen = []
    while (wakeup_s := house.next_wakeup_s()) is not None:
        seen += told(house.handle_timer(wakeup_s))
    assert seen == [("hall", Presence.STALE), ("hall", Presence.OFFLINE)]
    assert house.snapshot().sensors[0].id == "hall"


def test_home_assistant_entities_are_bound_with_their_availability() -> None:
    house = discovery()
    payload = {"stat_t": "k/s", "avty_t": "k/a", "val_tpl": "{{ value_json.t }}", "dev": {"ids": "k"}}
    actions = house.receive(message("homeassistant/sensor/k/t/config", payload), 0.0)
    assert [action.stream.topic for action in actions if isinstance(action, Bind)] == ["k/s"]
    assert told(house.receive(message("k/a", b"online"), 1.0)) == [("k", Presence.ONLINE)]


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"streams": {"frame": {"topic": "#"}}}, "sensor.topic"),
        ({"streams": {"frame": {"topic": "$SYS/broker/load"}}}, "sensor.topic"),
        ({"streams": {"frame": {"topic": "gw/jetson-1/results/a/b"}}}, "sensor.topic"),
        ({"state": {"topic": "+/state"}}, "sensor.topic"),
        ({"v": 2}, "sensor.malformed"),
        ({"name": "x" * 70_000}, "sensor.oversize"),
        ({"streams": {f"s{n}": {"topic": f"t/{n}"} for n in range(99)}}, "sensor.flood"),
    ],
)
def test_a_hostile_announcement_is_refused_and_counted(changes: dict[str, object], label: str) -> None:
    house = discovery()
    assert labels(house.receive(announcement("cam-7f3a", **changes), 0.0)) == [label]
    assert house.snapshot().refused == {label: 1}
    assert house.snapshot().sensors == ()


def test_a_flood_of_announcements_is_refused_and_leaves_nothing_behind() -> None:
    discovering = DiscoverySettings(max_sensors=10)
    house = discovery(settings(ALLOW_ALL, sensors={"discovery": discovering}))
    for number in range(200):
        house.receive(announcement(f"cam-{number}"), 0.0)
    assert house.snapshot().refused == {"sensor.flood": 190}
    assert len(house.snapshot().sensors) == 10
    (announcements, *_) = house._dialects
    assert len(announcements._digests) == 10  # type: ignore[attr-defined]


def test_five_thousand_announcements_cost_less_than_two_seconds_of_the_loop() -> None:
    """The one test here with a clock: this bound is itself what is promised.

    All sensors of a large house announce themselves at once when the broker
    comes back, and the event loop that reads them also passes frames on. It is
    processor time of this thread, so that a busy machine does not count, and
    it leaves room: about a third of the bound is needed at most.
    """
    house = discovery()
    sent = [
        announcement(
            f"cam-{number}",
            streams={"frame": {"topic": f"yard/cam-{number}/frame", "media": "image/jpeg"}},
            state={"topic": f"gw/announce/cam-{number}/state"},
            labels={"mac": f"aa:bb:cc:00:{number >> 8:02x}:{number & 255:02x}"},
        )
        for number in range(5000)
    ]
    gc.collect()
    gc.freeze()  # as the daemon does: what other tests left in memory is not searched for garbage here
    try:
        began_s = time.thread_time()
        bound = sum(isinstance(action, Bind) for one in sent for action in house.receive(one, 0.0))
        took_s = time.thread_time() - began_s
    finally:
        gc.unfreeze()
    assert bound == len(house.snapshot().sensors) == 5000
    assert took_s < 2.0


def test_room_that_becomes_free_goes_to_whoever_announces_itself_again() -> None:
    house = discovery(settings(ALLOW_ALL, sensors={"discovery": DiscoverySettings(max_sensors=1)}))
    house.receive(announcement("cam-1", labels={}), 0.0)
    assert labels(house.receive(announcement("cam-2", labels={}), 0.0)) == ["sensor.flood"]
    house.receive(message("gw/announce/cam-1", b""), 1.0)
    assert told(house.receive(announcement("cam-2", labels={}), 2.0)) == [("cam-2", Presence.ANNOUNCED)]


def test_a_second_device_with_one_id_is_refused_and_the_first_can_still_take_itself_back() -> None:
    house = discovery()
    house.receive(announcement(epoch=5, labels={"mac": "aa:bb:cc:00:00:01"}), 0.0)
    second = announcement(epoch=4, labels={"mac": "aa:bb:cc:00:00:02"})
    assert labels(house.receive(second, 1.0)) == ["sensor.collision"]
    assert told(house.receive(message("gw/announce/cam-7f3a", b""), 2.0)) == [("cam-7f3a", Presence.GONE)]


def test_an_oversize_state_message_is_refused() -> None:
    house = discovery()
    house.receive(announcement(), 0.0)
    assert labels(house.receive(message(STATE, b" " * 70_000), 1.0)) == ["sensor.oversize"]


def test_a_state_that_a_template_cannot_read_is_refused_and_counted() -> None:
    house = discovery()
    payload = {"stat_t": "k/s", "avty": {"t": "k/a", "val_tpl": "{{ value_json.s }}"}}
    house.receive(message("homeassistant/sensor/k/config", payload), 0.0)
    assert labels(house.receive(message("k/a", b"junk"), 1.0)) == ["sensor.malformed"]


def test_overheard_topics_wait_as_pending_until_a_sensor_claims_them() -> None:
    learning = settings(ALLOW_ALL, sensors={"learn": LearnSettings(filters=("yard/#",), max_topics=2)})
    house = discovery(learning)
    assert Subscription("yard/#", qos=0) in house.subscriptions()
    house.receive(message("yard/cam-7f3a/frame", JPEG, retain=False), 0.0)
    (shown,) = house.snapshot().sensors
    assert (shown.admission, shown.streams[0].media) == ("pending", "image/jpeg")
    assert house.receive(message("yard/cam-7f3a/frame", JPEG, retain=False), 1.0) == ()
    house.receive(announcement(), 2.0)
    assert [shown.id for shown in house.snapshot().sensors] == ["cam-7f3a"]
    assert house.receive(message("yard/cam-7f3a/frame", JPEG, retain=False), 3.0) == ()
    house.receive(message("gw/announce/cam-7f3a", b""), 3.5)
    house.receive(message("yard/cam-7f3a/frame", JPEG, retain=False), 4.0)
    assert [shown.dialect for shown in house.snapshot().sensors] == ["learned"]
    house.receive(message("yard/b", JPEG), 4.0)
    assert labels(house.receive(message("yard/c", JPEG), 4.0)) == ["sensor.flood"]


def test_a_large_frame_is_overheard_though_no_announcement_may_be_as_large() -> None:
    house = discovery(settings(sensors={"learn": LearnSettings(filters=("yard/#",))}))
    assert labels(house.receive(message("yard/a", JPEG + bytes(100_000)), 0.0)) == []
    assert len(house.snapshot().sensors) == 1


def test_a_reload_of_rules_binds_unbinds_and_follows() -> None:
    house = discovery(settings())
    house.receive(announcement(), 0.0)
    actions = house.reconfigure(settings(ALLOW_ALL), 1.0)
    assert [action.stream.name for action in actions if isinstance(action, Bind)] == ["frame", "imu"]
    assert told(actions) == [("cam-7f3a", Presence.ANNOUNCED)]
    assert house.reconfigure(settings(ALLOW_ALL), 2.0) == ()
    actions = house.reconfigure(settings(AdmissionRule(action="deny")), 3.0)
    assert told(actions) == [("cam-7f3a", Presence.GONE)]
    assert Unwatch(STATE) in actions
    assert labels(actions) == ["sensor.denied"]
    assert house.presence("cam-7f3a") is Presence.UNKNOWN


def test_a_reload_that_switches_a_dialect_off_drops_its_sensors_and_listens_anew_for_the_others() -> None:
    house = discovery()
    house.receive(announcement(), 0.0)
    house.receive(message("homeassistant/sensor/k/t/config", {"stat_t": "k/s"}), 0.0)
    changed = settings(ALLOW_ALL, sensors={"discovery": DiscoverySettings(homeassistant=False)})
    actions = house.reconfigure(changed, 1.0)
    assert told(actions) == [("k-t", Presence.GONE)]
    assert {action.filter for action in actions if isinstance(action, Unwatch)} >= {
        "gw/announce/+",
        "homeassistant/+/+/config",
    }
    assert not any(wanted.filter.startswith("homeassistant") for wanted in house.subscriptions())
    assert house.receive(announcement(), 2.0) == ()
    back = house.reconfigure(settings(ALLOW_ALL), 3.0)
    assert Watch("homeassistant/+/+/config", 1) in back


def test_a_reload_of_learning_starts_it_anew() -> None:
    house = discovery(settings(sensors={"learn": LearnSettings(filters=("yard/#",))}))
    house.receive(message("yard/a", JPEG), 0.0)
    actions = house.reconfigure(settings(sensors={"learn": LearnSettings(filters=("house/#",))}), 1.0)
    assert [action for action in actions if isinstance(action, Watch | Unwatch)] == [
        Unwatch("yard/#"),
        Watch("house/#", 0),
    ]
    assert house.snapshot().sensors == ()


def test_a_reload_that_moves_results_onto_a_streams_topic_unbinds_it() -> None:
    house = discovery()
    house.receive(announcement(), 0.0)
    given = settings(ALLOW_ALL)
    pipeline = given.pipelines["person-detect"]
    moved = replace(pipeline, publish=replace(pipeline.publish, topic="yard/{sensor}/frame"))
    actions = house.reconfigure(replace(given, pipelines={"person-detect": moved}), 1.0)
    assert Unbind("cam-7f3a", "frame", "yard/cam-7f3a/frame") in actions
    assert not any(isinstance(action, Unbind) and action.stream == "imu" for action in actions)


def test_an_unexpected_topic_is_nothing() -> None:
    assert discovery().receive(message("somewhere/else", b"x"), 0.0) == ()


def test_the_snapshot_says_who_is_where_and_what_it_runs() -> None:
    house = discovery()
    house.receive(announcement(), 0.0)
    house.frame_arrived("cam-7f3a", "frame", 3.0)
    (shown,) = house.snapshot().sensors
    assert (shown.presence, shown.admission, shown.last_seen_s) == ("online", "admitted", 3.0)
    assert [(stream.name, stream.media, stream.pipelines) for stream in shown.streams] == [
        ("frame", "image/jpeg", ("person-detect",)),
        ("imu", "application/vnd.gateway.tensor", ("person-detect",)),
    ]


TOPICS = st.sampled_from(
    [
        "gw/announce/cam-7f3a",
        "gw/announce/cam-2",
        STATE,
        "homeassistant/device/d/config",
        "homeassistant/sensor/d/t/config",
        "yard/x",
    ]
)
PAYLOADS = st.sampled_from(
    [b"", b"ready", b"lost", announcement().payload, b'{"v":1,"streams":{"a":{"topic":"yard/x"}}}']
) | st.binary(max_size=60)


@given(
    st.lists(
        st.tuples(TOPICS, PAYLOADS, st.booleans(), st.sampled_from(["", "application/cbor"])), max_size=12
    )
)
def test_any_messages_in_any_order_give_actions_and_subscriptions_that_agree(
    sent: list[tuple[str, bytes, bool, str]],
) -> None:
    house = discovery(settings(ALLOW_ALL, sensors={"learn": LearnSettings(filters=("yard/#",))}))
    wanted = {subscription.filter for subscription in house.subscriptions()}
    for number, (topic, payload, retain, kind) in enumerate(sent):
        actions = house.receive(message(topic, payload, retain=retain, content_type=kind), float(number))
        for action in actions:
            if isinstance(action, Watch):
                assert action.filter not in wanted
                wanted.add(action.filter)
            elif isinstance(action, Unwatch):
                wanted.remove(action.filter)
    assert {subscription.filter for subscription in house.subscriptions()} == wanted
