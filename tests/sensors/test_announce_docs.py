"""The device maker's page and schema: executed, and true to what the gateway reads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from queue import Queue

import jsonschema
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway.errors import SensorRefused
from gateway.sensors.actions import Action, Bind, PresenceChanged
from gateway.sensors.announce import Announcements
from gateway.sensors.dialects import Identity
from gateway.sensors.discovery import Discovery
from gateway.sensors.presence import Presence
from gateway.sensors.topic_policy import TopicPolicy
from tests.broker import Broker
from tests.sensors.examples import ALLOW_ALL, CAMERA, message, settings

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "announce.md").read_text()
SCHEMA = json.loads((DOCS / "schemas/announce.schema.json").read_text())
WAIT_S = 20.0


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found.group(1)


def is_read(sent: object) -> bool:
    announcements = Announcements("gw", TopicPolicy("gw", "jetson-1"))
    try:
        announcements.receive(message("gw/announce/cam-7f3a", sent), 0.0)
    except SensorRefused:
        return False
    return True


def test_the_documented_announcement_is_the_one_that_the_tests_read() -> None:
    documented = json.loads(block("json"))
    assert is_read(documented)
    assert {**documented, "streams": None} == {**CAMERA, "streams": None}


@pytest.mark.parametrize(
    "sent",
    [
        CAMERA,
        {"v": 1, "streams": {"a_b": {"topic": "x"}}},
        {**CAMERA, "newer": [1], "state": {"topic": "s", "offline": ["a", "b"]}},
        {**CAMERA, "state": None, "identifiers": ["a"], "labels": {}},
        {**CAMERA, "v": 2},
        {**CAMERA, "id": "Cam"},
        {**CAMERA, "epoch": -1},
        {**CAMERA, "name": 7},
        {**CAMERA, "name": "x" * 2000},
        {**CAMERA, "streams": {}},
        {**CAMERA, "streams": {"A": {"topic": "x"}}},
        {**CAMERA, "streams": {"a": {}}},
        {**CAMERA, "streams": {"a": {"topic": "x/#"}}},
        {**CAMERA, "streams": {"a": {"topic": "$SYS/x"}}},
        {**CAMERA, "streams": {"a": {"topic": "x" * 600}}},
        {**CAMERA, "streams": {"a": {"topic": "x", "shape": [1, "2"]}}},
        {**CAMERA, "streams": {"a": {"topic": "x", "qos": 3}}},
        {**CAMERA, "streams": {"a": {"topic": "x", "channels": 65}}},
        {**CAMERA, "streams": {"a": {"topic": "x", "encoding": "zip"}}},
        {**CAMERA, "streams": {"a": {"topic": "x", "delivery": "some"}}},
        {**CAMERA, "state": {"topic": "s", "online": 1}},
        {**CAMERA, "state": {"expire_s": "soon"}},
        {**CAMERA, "labels": {"a": 1}},
        {**CAMERA, "identifiers": "a"},
        {**CAMERA, "pipeline": []},
        [],
    ],
)
def test_the_schema_and_the_gateway_agree(sent: object) -> None:
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(sent) == is_read(sent)


def test_every_key_of_the_schema_is_documented() -> None:
    stream = SCHEMA["$defs"]["stream"]["properties"]
    for key in [*SCHEMA["properties"], *stream, *SCHEMA["properties"]["state"]["properties"]]:
        assert re.search(rf"`(?:state\.)?{key}`", PAGE), key


def test_the_ten_lines_make_a_sensor_on_a_real_broker() -> None:
    code = block("python")
    assert len(code.splitlines()) == 10
    received: Queue[mqtt.MQTTMessage] = Queue()
    subscribed: Queue[None] = Queue()
    listener = mqtt.Client(CallbackAPIVersion.VERSION2)
    listener.on_message = lambda *event: received.put(event[2])
    listener.on_subscribe = lambda *_: subscribed.put(None)
    house = Discovery(settings(ALLOW_ALL), Identity("jetson-1", 1))
    house.connection_restored(0.0)
    with Broker() as broker:
        listener.connect("127.0.0.1", broker.port)
        listener.loop_start()
        listener.subscribe([("gw/announce/+/state", 1), ("gw/announce/+", 1), ("yard/#", 1)])
        subscribed.get(timeout=WAIT_S)
        names: dict[str, object] = {"host": "127.0.0.1", "port": broker.port, "pictures": [b"\xff\xd8\xff"]}
        exec(compile(code, "docs/announce.md", "exec"), names)  # noqa: S102
        actions: list[Action] = []
        frames = []
        for _ in range(3):
            sent = received.get(timeout=WAIT_S)
            if sent.topic.startswith("yard/"):
                frames.append(sent.payload)
            actions += house.receive(message(sent.topic, bytes(sent.payload), retain=False), 1.0)
        client = names["client"]
        assert isinstance(client, mqtt.Client)
        client.disconnect()
        client.loop_stop()
        listener.disconnect()
        listener.loop_stop()
    assert frames == [b"\xff\xd8\xff"]
    assert [action.stream.topic for action in actions if isinstance(action, Bind)] == ["yard/cam-7f3a/frame"]
    presences = [action.new for action in actions if isinstance(action, PresenceChanged)]
    assert presences == [Presence.ANNOUNCED, Presence.ONLINE]
