"""Plays the three sensors over MQTT in one process: ``python -m gateway.demo.simulator URL VERSION PREFIX``.

Each sensor has a connection, a will and a pace of its own. Several times a
second the numbers of frames sent so far go to standard output, one JSON object
a line. On standard input ``hold`` means: no frames for now, and say who holds;
``go`` means: go on. Its end means: no more frames, one last line, but stay
connected. SIGTERM means: say goodbye, take the announcements back, end.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence

from gateway.configuration.settings import MqttSettings
from gateway.demo.sensors import LOST, ONLINE, STOPPED, SimulatedSensor, all_sensors
from gateway.errors import GatewayError
from gateway.mqtt.connection import Connection
from gateway.mqtt.handshake import Will
from gateway.mqtt.message import Message
from gateway.mqtt.state import ConnectionEvents, ConnectionOptions, ConnectionState
from gateway.mqtt.wait import set_by

HOLD, GO = b"hold\n", b"go\n"
REPORT_S = 0.2
CONNECT_LIMIT_S = 15.0
GOODBYE_LIMIT_S = 2.0


class Player:
    """One sensor at work.

    Args:
        sensor: What to play.
        settings: Broker and first topic level.
        epoch: Unix time of the start, told in the announcement.

    Attributes:
        sensor: What is played.
        sent: Frames sent so far.
        held: Whether it waits until it may go on.
        going: Cleared to hold it.
    """

    def __init__(self, sensor: SimulatedSensor, settings: MqttSettings, epoch: int) -> None:
        self.sensor = sensor
        self.sent = 0
        self.held = False
        self.going = asyncio.Event()
        self.going.set()
        self._prefix = settings.topic_prefix
        self._state_topic = sensor.state_topic(self._prefix)
        self._announcement = sensor.announcement(self._prefix, epoch)
        self._connection = Connection(
            settings,
            ConnectionOptions(sensor.id, clean=True, will=Will(self._state_topic, LOST.encode())),
            ConnectionEvents(on_state=self._changed),
        )

    async def play(self, stop_frames: asyncio.Event, stop: asyncio.Event) -> None:
        """Announce, send frames until ``stop_frames``, stay until ``stop``, take all back.

        Raises:
            DeadlineExceeded: The broker is not there.

        Cancel-safe: the broker then says the will.
        """
        async with self._connection as connection:
            connection.subscribe(f"{self._prefix}/hello", 0, self._greeted)
            await connection.wait_connected(time.monotonic() + CONNECT_LIMIT_S)
            await self._send_frames(stop_frames)
            await stop.wait()
            connection.publish(self._state_topic, STOPPED.encode(), qos=1, retain=True)
            # Empty retained messages leave nothing of the demo on the broker.
            connection.publish(self.sensor.announce_topic(self._prefix), b"", qos=1, retain=True)
            connection.publish(self._state_topic, b"", qos=1, retain=True)
            await connection.close(GOODBYE_LIMIT_S)

    async def _send_frames(self, stop: asyncio.Event) -> None:
        """Send at the sensor's pace; late frames are sent at once, as a real sensor's buffer would be."""
        started_s = time.monotonic()
        for number in range(sys.maxsize):
            if await set_by(stop, started_s + number / self.sensor.rate_hz):
                return
            started_s += await self._hold()
            if stop.is_set():
                return
            if self._connection.connected:
                payload = self.sensor.payload(number)
                self._connection.publish(self.sensor.topic, payload, qos=self.sensor.qos)
                self.sent += 1

    async def _hold(self) -> float:
        """Wait until it may go on; return the seconds that this took."""
        held_s = time.monotonic()
        self.held = not self.going.is_set()
        await self.going.wait()
        self.held = False
        return time.monotonic() - held_s

    def _changed(self, state: ConnectionState, _reason: str) -> None:
        if state is ConnectionState.ONLINE:
            self._announce()

    def _greeted(self, message: Message) -> None:
        if not message.retain:
            self._announce()

    def _announce(self) -> None:
        self._connection.publish(
            self.sensor.announce_topic(self._prefix), self._announcement, qos=1, retain=True
        )
        self._connection.publish(self._state_topic, ONLINE.encode(), qos=1, retain=True)


def _set_all(*events: asyncio.Event) -> None:
    for event in events:
        event.set()


async def _watch_input(players: Sequence[Player], stop_frames: asyncio.Event) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        for player in players:
            if line == HOLD:
                player.going.clear()
            elif line == GO:
                player.going.set()
    _set_all(stop_frames, *(player.going for player in players))


async def _report(players: Sequence[Player], stop_frames: asyncio.Event) -> None:
    while True:
        last = await set_by(stop_frames, time.monotonic() + REPORT_S)
        counts = {player.sensor.id: player.sent for player in players}
        told = {"sent": counts, "held": [p.sensor.id for p in players if p.held], "last": last}
        print(json.dumps(told), flush=True)  # noqa: T201 - read by the demo
        if last:
            return


async def simulate(settings: MqttSettings) -> None:
    """Play all sensors until SIGTERM.

    Args:
        settings: Broker and first topic level.

    Raises:
        GatewayError: The broker's address is wrong, or nobody is there.
    """
    players = [Player(sensor, settings, int(time.time())) for sensor in all_sensors()]
    stop_frames, stop = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _set_all, stop_frames, stop, *(player.going for player in players))
    watching = loop.create_task(_watch_input(players, stop_frames), name="simulator.input")
    reporting = loop.create_task(_report(players, stop_frames), name="simulator.report")
    try:
        await asyncio.gather(*(player.play(stop_frames, stop) for player in players))
    finally:
        for task in (watching, reporting):
            task.cancel()
        await asyncio.gather(watching, reporting, return_exceptions=True)


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM; return the exit code.

    Args:
        arguments: The broker's address, the protocol version, and the first topic level.
    """
    url, version, prefix = arguments
    settings = MqttSettings(
        url=url, version=version, topic_prefix=prefix, reconnect_min_s=0.1, reconnect_max_s=2.0
    )
    try:
        asyncio.run(simulate(settings))
    except GatewayError as error:
        print(error.message, file=sys.stderr)  # noqa: T201 - kept by the demo
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
