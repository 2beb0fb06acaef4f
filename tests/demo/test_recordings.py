"""The recordings, and the sensors that play them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.accelerometer import ReplayingAccelerometer
from gateway.demo.camera import FRAMES_A_PHOTOGRAPH, HEIGHT, WIDTH, PanningCamera
from gateway.demo.microphone import LoopingMicrophone
from gateway.demo.recordings import PHOTOGRAPHS, Speech, motion, photograph, speech
from gateway.demo.sensors import SimulatedSensor, all_sensors
from gateway.frames.image import decode_jpeg
from gateway.frames.limits import PayloadLimits
from gateway.mqtt.message import Message
from gateway.sensors.announce import Announcements
from gateway.sensors.dialect import SensorAppeared
from gateway.sensors.topic_policy import TopicPolicy

SENSORS = all_sensors()


def test_the_recordings_are_what_their_readme_says() -> None:
    assert [photograph(name).shape for name in ("astronaut", "chelsea", "coffee")] == [
        (512, 512, 3),
        (300, 451, 3),
        (400, 600, 3),
    ]
    heard = speech()
    assert (heard.rate_hz, len(heard.samples)) == (16_000, 214_400)
    watched = motion()
    assert watched.windows.shape == (40, 100, 6)
    assert np.isfinite(watched.windows).all()
    assert np.bincount(watched.classes).tolist() == [10, 10, 10, 10]
    assert watched.labels == ("badminton", "running", "standing", "walking")


@given(st.integers(0, 10_000))
def test_the_camera_never_looks_beyond_a_photograph(number: int) -> None:
    camera = PanningCamera([np.zeros((300, 451, 3), np.uint8), np.zeros((512, 512, 3), np.uint8)])
    index, (left, top, right, bottom) = camera.view(number)
    height, width = ((300, 451), (512, 512))[index]
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert (right - left) / (bottom - top) == pytest.approx(WIDTH / HEIGHT)


def test_the_camera_moves_smoothly_and_rests_where_pictures_change() -> None:
    camera = PanningCamera([photograph(name) for name in PHOTOGRAPHS])
    lefts = [camera.view(number)[1][0] for number in range(FRAMES_A_PHOTOGRAPH)]
    steps = np.abs(np.diff(lefts))
    assert steps.max() < 0.03 * 451
    assert steps.max() > 1.0
    assert steps[0] < 0.2 * steps.max()


def test_the_camera_sends_pictures_of_what_it_sees() -> None:
    camera = PanningCamera([photograph("coffee")])
    image = decode_jpeg(memoryview(camera.frame(7)), PayloadLimits())
    assert image.pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(image.pixels.astype(int) - camera.pixels(7)).mean() < 3


def test_the_microphone_plays_the_recording_over_and_over_without_a_gap() -> None:
    samples = np.arange(3500, dtype=np.int16)
    microphone = LoopingMicrophone(Speech(samples, 10_000))
    heard = np.frombuffer(b"".join(microphone.chunk(number) for number in range(5)), "<i2")
    assert heard.tolist() == [*range(3000), *range(2000)]


def test_the_watch_shows_every_recording_before_it_repeats_one() -> None:
    watch = ReplayingAccelerometer(motion())
    windows = [watch.window(number) for number in range(40)]
    assert len(set(windows)) == 40
    assert watch.window(40) == windows[0]
    assert {watch.truth(number) for number in range(4)} == set(motion().labels)


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.kind)
def test_the_gateway_reads_what_a_sensor_announces(sensor: SimulatedSensor) -> None:
    announced = sensor.announcement("gw", 17)
    reader = Announcements("gw", TopicPolicy("gw", "here"))
    message = Message(sensor.announce_topic("gw"), announced, qos=1, retain=True, received_s=0.0)
    (event,) = reader.receive(message, 0.0)
    assert isinstance(event, SensorAppeared)
    read = event.sensor
    assert (read.id, read.kind, read.name, read.epoch) == (sensor.id, sensor.kind, sensor.name, 17)
    (stream,) = read.streams.values()
    assert (stream.name, stream.topic, stream.qos) == (sensor.stream, sensor.topic, sensor.qos)
    (source,) = read.availability.sources
    assert (source.topic, source.online, source.offline) == (
        sensor.state_topic("gw"),
        ("ready",),
        ("lost", "stopped"),
    )
    assert json.loads(announced)["streams"][sensor.stream]["media"] == stream.declaration.media


def test_no_two_sensors_share_an_id_or_a_topic() -> None:
    assert len({sensor.id for sensor in SENSORS}) == len({sensor.topic for sensor in SENSORS}) == 3
