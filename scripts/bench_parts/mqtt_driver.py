"""What an MQTT message costs: paho in a thread, paho on the loop, the gateway's connection.

A sender process (plain sockets) paces messages through a real mosquitto; the
receiver's CPU time is read from its own clock, so the sender's and broker's
work is not in it. Prints one JSON object a line. Usage::

    python scripts/bench_parts/mqtt_driver.py [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import struct
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway.configuration.settings import MqttSettings
from gateway.mqtt.connection import Connection
from gateway.mqtt.message import PublishProperties
from gateway.mqtt.state import ConnectionOptions
from gateway.operations.malloc import keep_large_buffers
from tests.broker import Broker

TOPIC = "frames/camera"
STAMP = struct.Struct("!d")


@dataclass(frozen=True)
class Case:
    """One measurement."""

    driver: str
    size: int
    qos: int
    count: int
    rate: int
    properties: int = 0
    malloc: bool = False


@dataclass(frozen=True)
class Figures:
    """What one measurement gave."""

    cpu_us: float
    p50_us: float
    p99_us: float


def length(value: int) -> bytes:
    """Encode a remaining length."""
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def send(port: int, case: Case) -> None:
    """Publish stamped messages at an even pace; runs in a process of its own."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(b"\x10\x13\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x06sender")
        sock.recv(256)
        described = b"".join(
            b"\x26\x00\x05key" + b"%02d" % index + b"\x00\x0612:345" for index in range(case.properties)
        )
        if described:
            described = b"\x03\x00\x0aimage/jpeg" + described
        described = length(len(described)) + described
        topic = struct.pack("!H", len(TOPIC)) + TOPIC.encode()
        due_s = time.monotonic()
        for _ in range(case.count):
            due_s += 1 / case.rate
            time.sleep(max(0.0, due_s - time.monotonic()))
            body = topic + described + STAMP.pack(time.monotonic()) + bytes(case.size - STAMP.size)
            if case.qos:
                mark = len(topic)
                body = body[:mark] + b"\x00\x01" + body[mark:]
            sock.sendall(bytes([0x30 | case.qos << 1]) + length(len(body)) + body)
            if case.qos:
                sock.recv(256)  # the PUBACK
        time.sleep(1)  # the broker drops what it has not read from a closed socket


class Receiver:
    """Counts messages; the first tenth only warms up."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._warm = case.count // 10
        self._cpu_s = 0.0
        self._ages_s: list[float] = []
        self.done: asyncio.Future[Figures] = asyncio.get_running_loop().create_future()

    def take(self, payload: bytes | bytearray) -> None:
        """Note one message."""
        self._ages_s.append(time.monotonic() - STAMP.unpack_from(payload)[0])
        seen = len(self._ages_s)
        if seen == self._warm:
            self._cpu_s = time.process_time()
        if seen == self._case.count:
            cpu_us = (time.process_time() - self._cpu_s) / (seen - self._warm) * 1e6
            ages_us = sorted(age * 1e6 for age in self._ages_s[self._warm :])
            p50_us, p99_us = ages_us[len(ages_us) // 2], ages_us[len(ages_us) * 99 // 100]
            self.done.set_result(Figures(round(cpu_us, 1), round(p50_us), round(p99_us)))


def paho_client(version: MQTTProtocolVersion) -> paho.Client:
    """Make a plain paho client."""
    return paho.Client(CallbackAPIVersion.VERSION2, client_id="receiver", protocol=version)


async def with_thread(port: int, case: Case, receiver: Receiver, version: MQTTProtocolVersion) -> Figures:
    """Receive by paho's own thread, handing each message to the loop."""
    loop = asyncio.get_running_loop()
    client = paho_client(version)
    subscribed = asyncio.Event()

    def on_message(_client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        loop.call_soon_threadsafe(receiver.take, message.payload)

    def on_subscribe(*_: object) -> None:
        loop.call_soon_threadsafe(subscribed.set)

    def on_connect(*_: object) -> None:
        client.subscribe(TOPIC, case.qos)

    client.on_message, client.on_subscribe, client.on_connect = on_message, on_subscribe, on_connect
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        await subscribed.wait()
        return await driven(port, case, receiver)
    finally:
        client.disconnect()
        client.loop_stop()


async def with_reader(port: int, case: Case, receiver: Receiver, version: MQTTProtocolVersion) -> Figures:
    """Receive by paho as it comes, driven by the loop's add_reader."""
    loop = asyncio.get_running_loop()
    client = paho_client(version)
    subscribed = asyncio.Event()

    def on_message(_client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        receiver.take(message.payload)

    def on_subscribe(*_: object) -> None:
        subscribed.set()

    def on_connect(*_: object) -> None:
        client.subscribe(TOPIC, case.qos)

    def watch_writes(_client: paho.Client, _userdata: object, sock: Any) -> None:
        loop.add_writer(sock, client.loop_write)

    def forget_writes(_client: paho.Client, _userdata: object, sock: Any) -> None:
        loop.remove_writer(sock)

    def forget_reads(_client: paho.Client, _userdata: object, sock: Any) -> None:
        loop.remove_reader(sock)

    client.on_message, client.on_subscribe, client.on_connect = on_message, on_subscribe, on_connect
    client.on_socket_register_write = watch_writes
    client.on_socket_unregister_write = forget_writes
    client.on_socket_close = forget_reads
    client.connect("127.0.0.1", port)
    sock: Any = client.socket()
    loop.add_reader(sock, client.loop_read)
    try:
        await subscribed.wait()
        return await driven(port, case, receiver)
    finally:
        client.disconnect()
        client.loop_write()


async def with_gateway(port: int, case: Case, receiver: Receiver, version: str) -> Figures:
    """Receive by the gateway's own connection."""
    settings = MqttSettings(url=f"mqtt://127.0.0.1:{port}", version=version)
    async with Connection(settings, ConnectionOptions("receiver", clean=True)) as connection:
        connection.subscribe(TOPIC, case.qos, lambda message: receiver.take(message.payload))
        await connection.wait_settled(time.monotonic() + 10)
        return await driven(port, case, receiver)


async def with_nothing(port: int, case: Case, receiver: Receiver) -> Figures:
    """Receive by add_reader alone, knowing where each message ends."""
    loop = asyncio.get_running_loop()
    named = struct.pack("!H", len(TOPIC)) + TOPIC.encode()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"\x10\x15\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x08receiver")
        sock.recv(256)
        sock.sendall(b"\x82" + length(4 + len(named)) + b"\x00\x01\x00" + named + b"\x00")
        sock.recv(256)
        sock.setblocking(False)
        head = 1 + len(length(len(named) + 1 + case.size)) + len(named) + 1
        total = head + case.size
        space = memoryview(bytearray(4_000_000))
        have = 0

        def read() -> None:
            nonlocal have
            have += sock.recv_into(space[have:])
            while have >= total:
                receiver.take(bytes(space[head:total]))
                space[: have - total] = space[total:have]
                have -= total

        loop.add_reader(sock.fileno(), read)
        try:
            return await driven(port, case, receiver)
        finally:
            loop.remove_reader(sock.fileno())


async def driven(port: int, case: Case, receiver: Receiver) -> Figures:
    """Run the sender beside the receiver."""
    command = [sys.executable, __file__, "--send", str(port), "--case", json.dumps(asdict(case))]
    sender = subprocess.Popen(command)  # noqa: ASYNC220 - its start is not measured
    try:
        return await asyncio.wait_for(receiver.done, 120)
    finally:
        sender.kill()
        sender.wait()


async def received(case: Case) -> Figures:
    """Measure one case of receiving."""
    with Broker("max_queued_messages 0", "max_inflight_messages 0") as broker:
        receiver = Receiver(case)
        kind, _, version = case.driver.partition(" ")
        number = MQTTProtocolVersion.MQTTv5 if version == "5" else MQTTProtocolVersion.MQTTv311
        if kind == "floor":
            return await with_nothing(broker.port, case, receiver)
        if kind == "thread":
            return await with_thread(broker.port, case, receiver, number)
        if kind == "add_reader":
            return await with_reader(broker.port, case, receiver, number)
        return await with_gateway(broker.port, case, receiver, version)


async def published(count: int, size: int, qos: int) -> dict[str, object]:
    """Measure what publishing costs, twenty messages a turn of the loop."""
    properties = PublishProperties(
        "application/json", {"traceparent": "00-" + "ab" * 26}, b"0123456789abcdef"
    )
    with Broker("max_queued_messages 0") as broker:
        settings = MqttSettings(url=broker.url, outgoing_messages=100_000, outgoing_bytes=1 << 30)
        async with Connection(settings, ConnectionOptions("publisher", clean=True)) as connection:
            await connection.wait_connected(time.monotonic() + 10)
            payload = bytes(size)
            before_s = time.process_time()
            for _ in range(count // 20):
                for _ in range(20):
                    connection.publish("gw/bench/results/camera/cat", payload, qos, properties=properties)
                await asyncio.sleep(0)
            await connection.publish_confirmed("gw/bench/end", b"", time.monotonic() + 60)
            cpu_us = (time.process_time() - before_s) / count * 1e6
    return {"driver": "gateway publish", "size": size, "qos": qos, "cpu_us": round(cpu_us, 1)}


def in_own_process(case: Case) -> dict[str, object]:
    """Measure one case in a fresh process, as malloc's thresholds stay changed."""
    command = [sys.executable, __file__, "--case", json.dumps(asdict(case))]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(answer.stdout))


def run_case(case: Case) -> None:
    """Measure one case here and print it."""
    if case.malloc:
        keep_large_buffers()
    print(json.dumps({**asdict(case), **asdict(asyncio.run(received(case)))}))


def run_all(scale: int) -> None:
    """Measure every case and print each as it is known."""
    drivers = ("thread 3.1.1", "thread 5", "add_reader 3.1.1", "add_reader 5", "gateway 3.1.1", "gateway 5")
    cases: list[Case] = []
    for size, rate in ((200, 2000), (20_000, 1000), (85_000, 600)):
        plain = Case("floor", size, 0, max(200, rate * 2 // scale), rate)
        cases.append(plain)
        for driver in drivers:
            cases.append(replace(plain, driver=driver))
            if size != 20_000:
                cases.append(replace(plain, driver=driver, qos=1))
    described = [replace(case, properties=6) for case in cases if case.driver.endswith(" 5") and not case.qos]
    tuned = [replace(case, malloc=True) for case in cases if case.size == 85_000 and not case.qos]
    large = [
        Case(driver, 1_000_000, 0, 200, 50, malloc=tune) for driver in drivers[3::2] for tune in (False, True)
    ]
    for case in (*cases, *described, *tuned, *large):
        print(json.dumps(in_own_process(case)), flush=True)
    for qos in (0, 1):
        print(json.dumps(asyncio.run(published(4000 // scale, 600, qos))), flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a quarter of the messages")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--send", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case is None:
        run_all(4 if arguments.quick else 1)
    elif arguments.send is not None:
        send(arguments.send, Case(**arguments.case))
    else:
        run_case(Case(**arguments.case))


if __name__ == "__main__":
    main()
