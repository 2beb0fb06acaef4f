"""Home Assistant discovery messages that several tests share."""

from __future__ import annotations

from gateway.sensors.dialect import Event, SensorAppeared
from gateway.sensors.homeassistant import HomeAssistant
from gateway.sensors.sensor import Sensor
from gateway.sensors.topic_policy import TopicPolicy
from tests.sensors.examples import message

SINGLE = {
    "dev": {
        "ids": "ea334450945afc",
        "name": "Kitchen",
        "mf": "Bla electronics",
        "mdl": "xya",
        "sw": "1.0",
        "sn": "ea334450945afc",
        "hw": "1.0rev2",
    },
    "o": {"name": "bla2mqtt", "sw": "2.1", "url": "https://bla2mqtt.example.com/support"},
    "device_class": "temperature",
    "unit_of_measurement": "°C",
    "value_template": "{{ value_json.temperature}}",
    "unique_id": "temp01ae_t",
    "state_topic": "sensorBedroom/state",
    "qos": 2,
}
DEVICE_FORM = {
    "dev": {"ids": ["garden"], "name": "Garden", "cns": [["mac", "aa:bb:cc:00:11:22"]]},
    "o": {"name": "garden2mqtt"},
    "avty_t": "garden/state",
    "qos": 2,
    "cmps": {
        "cam": {"p": "camera", "uniq_id": "g_cam", "t": "garden/cam", "img_e": "b64"},
        "pic": {"p": "image", "uniq_id": "g_pic", "img_t": "garden/pic", "cont_type": "image/png"},
        "soil": {
            "p": "sensor",
            "uniq_id": "g_soil",
            "stat_t": "garden/s",
            "val_tpl": "{{ value_json.soil | float }}",
            "exp_aft": "90",
        },
        "gate": {"p": "binary_sensor", "uniq_id": "g_gate", "stat_t": "garden/gate", "pl_on": "open"},
        "pump": {"p": "switch", "uniq_id": "g_pump", "cmd_t": "garden/pump"},
        "level": {"p": "number", "uniq_id": "g_level", "stat_t": "garden/level"},
    },
}
DEVICE_TOPIC = "homeassistant/device/garden/config"


def dialect(max_streams: int = 64) -> HomeAssistant:
    return HomeAssistant("homeassistant", TopicPolicy("gw", "jetson-1"), max_streams=max_streams)


def tell(house: HomeAssistant, topic: str, payload: object) -> tuple[Event, ...]:
    return house.receive(message(topic, payload), 0.0)


def read(topic: str, payload: object) -> Sensor:
    (event,) = tell(dialect(), topic, payload)
    assert isinstance(event, SensorAppeared)
    return event.sensor


def with_component(**options: object) -> dict[str, object]:
    return {"dev": {"ids": "d"}, "o": {"name": "x"}, "cmps": {"c": {"p": "sensor", **options}}}
