"""Blobs over a real mosquitto: pulled by the source, answered by the responder, and what liars achieve."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.configuration.settings import MqttSettings
from gateway.errors import FetchFailed, FetchRefused
from gateway.mqtt.connection import Connection
from gateway.mqtt.message import Message, PublishProperties
from gateway.mqtt.state import ConnectionOptions
from gateway.updates.release import CHUNK_BYTES, Blob
from gateway.updates.transport.folder import FolderSource
from gateway.updates.transport.mqtt import MqttSource, PullLimits
from gateway.updates.transport.responder import BlobResponder, Served, ServeLimits
from tests.broker import Broker
from tests.mqtt.watch import settings_for
from tests.ports import free_port
from tests.updates.transport.blobs import noise, part_of, put

DATA = noise(3 * CHUNK_BYTES + 777)
PATIENT = PullLimits(answer_s=5)
HASTY = PullLimits(answer_s=0.2, tries=2)
Answerer = Callable[[Connection, Message], None]


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as running:
        yield running


@pytest.fixture
def blob(tmp_path: Path) -> Blob:
    return put(tmp_path, DATA)


def soon() -> float:
    return time.monotonic() + 20


class _Party(threading.Thread):
    """Somebody else at the broker, on a loop of its own."""

    def __init__(self, work: Callable[[asyncio.Event], object]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self.up = threading.Event()

    def run(self) -> None:
        self._loop.run_until_complete(self._work(self._over))  # type: ignore[arg-type]
        self._loop.close()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self.join(20)
        assert not self.is_alive()


@contextmanager
def party(work: Callable[[asyncio.Event, threading.Event], object]) -> Iterator[None]:
    running = _Party(lambda stop: work(stop, running.up))
    running.start()
    assert running.up.wait(20)
    try:
        yield
    finally:
        running.end()


@contextmanager
def responder(settings: MqttSettings, folder: Path, limits: ServeLimits | None = None) -> Iterator[Served]:
    """Serve a folder as ``gateway serve-blobs`` does."""
    counts: list[Served] = []

    async def work(stop: asyncio.Event, up: threading.Event) -> None:
        connection = Connection(settings, ConnectionOptions("responder", clean=True))
        serving = BlobResponder(FolderSource(folder), connection, "gw", limits)
        counts.append(serving.served)
        async with connection:
            await connection.wait_settled(soon())
            task = asyncio.ensure_future(serving.serve())
            up.set()
            await stop.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    with party(work):
        yield counts[0]


@contextmanager
def liar(settings: MqttSettings, answer: Answerer) -> Iterator[None]:
    """Let somebody else answer who does not follow the rules."""

    async def work(stop: asyncio.Event, up: threading.Event) -> None:
        connection = Connection(settings, ConnectionOptions("liar", clean=True))
        connection.subscribe("gw/blob/+/get", 0, lambda message: answer(connection, message))
        async with connection:
            await connection.wait_settled(soon())
            up.set()
            await stop.wait()

    with party(work):
        yield


def take(source: MqttSource, blob: Blob, *wanted: int) -> dict[int, bytes]:
    return dict(source.chunks(blob, wanted, soon()))


def test_chunks_come_through_the_broker_piece_by_piece(broker: Broker, tmp_path: Path, blob: Blob) -> None:
    settings = settings_for(broker.url)
    with responder(settings, tmp_path) as served, closing(MqttSource(settings, "gw", PATIENT)) as source:
        assert take(source, blob, 1) == {1: part_of(DATA, 1)}
        assert take(source, blob, 0, 1, 2, 3) == {index: part_of(DATA, index) for index in range(4)}
    assert served.answer_bytes == CHUNK_BYTES + len(DATA)


def test_the_last_piece_may_be_short(broker: Broker, tmp_path: Path) -> None:
    settings, tiny = settings_for(broker.url), put(tmp_path, b"tiny")
    with responder(settings, tmp_path), closing(MqttSource(settings, "gw", PATIENT)) as source:
        assert take(source, tiny, 0) == {0: b"tiny"}


def test_it_works_through_a_crash_of_the_broker(broker: Broker, tmp_path: Path, blob: Blob) -> None:
    settings = settings_for(broker.url)
    limits = PullLimits(answer_s=0.3, tries=60)
    with responder(settings, tmp_path), closing(MqttSource(settings, "gw", limits)) as source:
        stream = source.chunks(blob, [0, 1, 2, 3], soon())
        got = dict([next(stream)])
        broker.kill()
        broker.start()
        got.update(stream)
    assert got == {index: part_of(DATA, index) for index in range(4)}


def test_nobody_who_answers_is_a_failure(broker: Broker, tmp_path: Path, blob: Blob) -> None:
    settings = settings_for(broker.url)
    with (
        closing(MqttSource(settings, "gw", HASTY)) as source,
        pytest.raises(FetchFailed, match="nobody answers"),
    ):
        take(source, blob, 0)
    with (
        responder(settings, tmp_path / "blobs") as served,
        closing(MqttSource(settings, "gw", HASTY)) as source,
    ):
        with pytest.raises(FetchFailed, match="nobody answers"):
            take(source, blob, 0)
        assert served.answers == 0


def test_no_broker_is_a_failure(blob: Blob) -> None:
    settings = settings_for(f"mqtt://127.0.0.1:{free_port()}", connect_timeout_s=0.3)
    with closing(MqttSource(settings, "gw")) as source, pytest.raises(FetchFailed):
        take(source, blob, 0)


def test_the_deadline_ends_it(broker: Broker, blob: Blob) -> None:
    settings = settings_for(broker.url)
    with closing(MqttSource(settings, "gw")) as source, pytest.raises(FetchFailed, match="deadline"):
        dict(source.chunks(blob, [0], time.monotonic() + 0.5))


def test_mqtt_3_is_refused_and_told(broker: Broker, blob: Blob) -> None:
    settings = settings_for(broker.url, version="3.1.1")
    with closing(MqttSource(settings, "gw")) as source, pytest.raises(FetchRefused, match="MQTT 5"):
        take(source, blob, 0)


def test_no_metadata_comes_this_way(broker: Broker) -> None:
    with closing(MqttSource(settings_for(broker.url), "gw")) as source:
        with pytest.raises(FetchRefused) as caught:
            source.read("metadata/timestamp.json", 10, soon())
        assert caught.value.attributes["missing"] == 1


def test_the_name_shows_no_password() -> None:
    settings = replace(MqttSettings(), url="mqtt://ann:secret@broker:1883")
    with closing(MqttSource(settings, "gw")) as source:
        assert "secret" not in source.name


def test_spoofed_pieces_never_pass_for_a_chunk_and_honest_ones_come_next(
    broker: Broker, tmp_path: Path, blob: Blob
) -> None:
    def spoof(connection: Connection, message: Message) -> None:
        same = PublishProperties(correlation=message.correlation)
        connection.publish(message.response_topic, b"\0" * 131_072, properties=same)

    settings = settings_for(broker.url)
    with closing(MqttSource(settings, "gw", PATIENT)) as source:
        with liar(settings, spoof):
            got = take(source, blob, 0, 1)
        assert got == {0: bytes(CHUNK_BYTES), 1: bytes(CHUNK_BYTES)}, "unchecked here; the store refuses it"
        with responder(settings, tmp_path):
            assert take(source, blob, 0) == {0: part_of(DATA, 0)}


def test_answers_to_nothing_that_was_asked_are_overlooked(broker: Broker, tmp_path: Path, blob: Blob) -> None:
    def flood(connection: Connection, message: Message) -> None:
        for correlation in (b"", b"x", message.correlation[:-1], b"\0" * 12, message.correlation + b"\0"):
            extra = PublishProperties(correlation=correlation)
            connection.publish(message.response_topic, b"\0" * 131_072, properties=extra)
        same = PublishProperties(correlation=message.correlation)
        for size in (0, 1, 131_071, 131_073, 200_000):
            connection.publish(message.response_topic, b"\0" * size, properties=same)

    settings = settings_for(broker.url)
    with (
        responder(settings, tmp_path),
        liar(settings, flood),
        closing(MqttSource(settings, "gw", PATIENT)) as source,
    ):
        assert take(source, blob, 0, 3) == {0: part_of(DATA, 0), 3: part_of(DATA, 3)}


@pytest.mark.parametrize("size", [0, 1, 131_071, 131_073])
def test_a_piece_of_another_length_is_no_answer(broker: Broker, blob: Blob, size: int) -> None:
    def wrong(connection: Connection, message: Message) -> None:
        same = PublishProperties(correlation=message.correlation)
        connection.publish(message.response_topic, bytes(size), properties=same)

    settings = settings_for(broker.url)
    with (
        liar(settings, wrong),
        closing(MqttSource(settings, "gw", HASTY)) as source,
        pytest.raises(FetchFailed, match="nobody answers"),
    ):
        take(source, blob, 0)


def test_a_responder_serves_no_link_and_nothing_but_blobs(broker: Broker, tmp_path: Path, blob: Blob) -> None:
    secret = put(tmp_path / "blobs", noise(10, seed=9))  # lies in blobs/blobs/
    (tmp_path / "blobs" / secret.sha256).symlink_to("/etc/passwd")
    passwd = Blob(secret.sha256, 10, ("0" * 64,))
    settings = settings_for(broker.url)
    with responder(settings, tmp_path) as served:
        with (
            closing(MqttSource(settings, "gw", HASTY)) as source,
            pytest.raises(FetchFailed, match="nobody answers"),
        ):
            take(source, passwd, 0)
        # Requests are seen in their order: once this one is answered, those that were given up were seen too.
        with closing(MqttSource(settings, "gw", PATIENT)) as source:
            assert take(source, blob, 0) == {0: part_of(DATA, 0)}
    assert (served.answer_bytes, served.unknown) == (CHUNK_BYTES, HASTY.tries)


def test_a_rate_is_held_to(broker: Broker, tmp_path: Path, blob: Blob) -> None:
    settings = settings_for(broker.url)
    limits = ServeLimits(rate_bytes_s=4 * CHUNK_BYTES)
    began_s = time.monotonic()
    with responder(settings, tmp_path, limits), closing(MqttSource(settings, "gw", PATIENT)) as source:
        assert take(source, blob, 0, 1) == {0: part_of(DATA, 0), 1: part_of(DATA, 1)}
    assert time.monotonic() - began_s > 0.4, "half a second's worth of bytes came at once"


def test_requests_beyond_the_bound_are_dropped_and_come_all_the_same(
    broker: Broker, tmp_path: Path, blob: Blob
) -> None:
    settings = settings_for(broker.url)
    limits = PullLimits(window=8, answer_s=0.2, tries=100)
    with (
        # So slow that the requests of one window are sure to wait for one another.
        responder(settings, tmp_path, ServeLimits(waiting=1, rate_bytes_s=8 * CHUNK_BYTES)) as served,
        closing(MqttSource(settings, "gw", limits)) as source,
    ):
        assert take(source, blob, 0, 1, 2) == {index: part_of(DATA, index) for index in range(3)}
    assert served.dropped > 0
