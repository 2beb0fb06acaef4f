"""Results of frames that were taken before the wire to the broker was cut."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.broker import Broker
from tests.plugins.trouble_steps import SLOW
from tests.proxy import Proxy
from tests.system.pictures import window
from tests.system.running import LIMIT_S, Client, Daemon, subscribed, until
from tests.system.slow_watch import CONFIG, PYTHONPATH, TOPIC

IDS = [f"slow-{number}" for number in range(8)]


class Wire:
    """A proxy on an event loop of its own thread."""

    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop) -> None:
        self._proxy = proxy
        self._loop = loop

    @property
    def url(self) -> str:
        """Address for ``mqtt.url``."""
        return self._proxy.url

    def cut(self) -> None:
        """Reset every connection and refuse new ones."""
        asyncio.run_coroutine_threadsafe(self._proxy.stop(), self._loop).result(LIMIT_S)

    def mend(self) -> None:
        """Let connections through again."""
        asyncio.run_coroutine_threadsafe(self._proxy.start(), self._loop).result(LIMIT_S)


@contextlib.contextmanager
def _wire(port: int) -> Iterator[Wire]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="wire")
    thread.start()
    wire = Wire(Proxy(port), loop)
    try:
        wire.mend()
        yield wire
        wire.cut()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(LIMIT_S)
        loop.close()


def _stream(daemon: Daemon) -> tuple[int, int]:
    """Return how many frames were taken and how many had a result."""
    sensor = daemon.sensor("watch")
    assert sensor is not None
    (stream,) = sensor["streams"]
    return stream["frames"], stream["results"]


def _results_so_far(client: Client) -> list[str]:
    client.publish("gw/test/results/mark", b"{}")
    found = iter(client.result, {})
    return [result["frame"]["id"] for result in found]


def test_results_made_while_the_wire_is_cut_wait_and_come_once_it_is_mended(
    tmp_path: Path, broker: Broker, client: Client
) -> None:
    client.subscribe("gw/test/results/#")
    with (
        _wire(broker.port) as wire,
        Daemon(tmp_path, CONFIG, wire.url, PYTHONPATH=PYTHONPATH, TROUBLE_SLOW_S="0.6") as daemon,
    ):
        daemon.ready()
        subscribed(broker, TOPIC)
        for number, frame_id in enumerate(IDS):
            client.publish(TOPIC, window(number, first=SLOW), id=frame_id)
        until(lambda: _stream(daemon)[0] == len(IDS), "all taken")
        wire.cut()
        daemon.wait_event("mqtt_state", connection="data", state="offline")
        until(lambda: _stream(daemon)[1] == len(IDS), "all have a result")
        before = _results_so_far(client)
        assert len(before) < len(IDS)  # some were made while nobody could hear of them
        wire.mend()
        daemon.wait_event("mqtt_state", 2, connection="data", state="online")
        seen = list(before)
        while set(seen) != set(IDS):
            seen.append(client.result()["frame"]["id"])
        assert list(dict.fromkeys(seen)) == IDS  # in order; one on its way at the cut may come twice
        assert daemon.drops() == {}
        assert daemon.stop() == 0
