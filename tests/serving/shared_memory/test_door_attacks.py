"""Clients of the memory door that mean no good: every packet gets an answer or an end, and nothing leaks."""

from __future__ import annotations

import array
import asyncio
import fcntl
import json
import os
import random
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.error_words import leaves
from gateway.serving.shared_memory.client import MemoryClient, call_tail
from gateway.serving.shared_memory.door_words import MAX_PACKET_BYTES
from gateway.serving.shared_memory.packets import Closer
from gateway.serving.shared_memory.sealed import NEEDED_SEALS
from tests.serving.shared_memory.small_models import Bench, maps, open_files, serve

LABELS = {"bug", *(leaf.label for leaf in leaves())}
SHARE = {"do": "share", "call": 1, "region": "t-r"}


class Attacker:
    """A client that sends what it likes."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(30)
        self.sock.connect(path)
        assert self.answer()["do"] == "hello"

    def __enter__(self) -> Attacker:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, packet: bytes, fds: Sequence[int] = ()) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([packet], rights)

    def answer(self) -> dict[str, Any]:
        """Return the next answer; {} for the end."""
        try:
            packet = self.sock.recv(MAX_PACKET_BYTES)
        except ConnectionResetError:
            return {}
        found: dict[str, Any] = json.loads(packet) if packet else {}
        return found

    def ask(self, head: dict[str, Any], fds: Sequence[int] = ()) -> dict[str, Any]:
        self.send(json.dumps(head).encode(), fds)
        return self.answer()


def memory(size: int = 4096, seals: int = NEEDED_SEALS) -> int:
    """Return sealed memory; the caller closes it."""
    fd = os.memfd_create("t-attack", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    if size:
        os.posix_fallocate(fd, 0, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def label(said: dict[str, Any]) -> str:
    """Return the label of an error."""
    found: str = said["error"]["label"]
    return found


async def settled(bench: Bench, before: list[str]) -> None:
    """Wait until the door holds no more than it did."""

    def clean() -> bool:
        return not bench.door._connections and open_files() == before

    await bench.until(clean)
    assert bench.door.regions == 0
    assert maps() == 0


def _descriptor(chance: random.Random, folder: str) -> int:
    """Return some descriptor, good or bad."""
    match chance.randrange(40):
        case 0:
            return os.open("/dev/zero", os.O_RDWR)
        case 1:
            return socket.socket(socket.AF_UNIX).detach()
        case 2:
            return os.open(f"{folder}/plain", os.O_RDWR | os.O_CREAT)
        case 3:
            return memory(4096, chance.choice((fcntl.F_SEAL_GROW, fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_SEAL)))
        case 4:
            return memory(0)
        case 5:
            return os.open(folder, os.O_PATH)
        case _:
            return memory(
                4096 * chance.randrange(1, 4), NEEDED_SEALS | chance.choice((0, fcntl.F_SEAL_WRITE))
            )


def _packet(chance: random.Random) -> bytes:
    """Return some packet, from noise to nearly right."""
    kind = chance.randrange(40)
    if kind == 0:
        return chance.randbytes(chance.randrange(1, 200))
    if kind == 1:
        return chance.choice((b"[", b"{", b'{"a":')) * chance.choice((1, 10, 5000))
    region = chance.choice(("t-a",) * 8 + ("t-b",) * 8 + ("", "x" * 300, "\n", "@inputs"))
    part = {
        "region": region,
        "offset": chance.choice((0, 0, 64, 64, 64, 4095, 4096, 2**53 - 1, -1)),
        "byte_size": chance.choice((0, 1, 64, 64, 64, 64, 4096, 2**53 - 1)),
    }
    tensor = {
        "name": chance.choice(("A", "IN", "IN", "IN", "TEXT", "")),
        "datatype": chance.choice(("INT32", "UINT8", "UINT8", "UINT8", "BYTES", "BOOL", "BF16", "int", "")),
        "shape": chance.choice(([1], [16], [64], [16], [64], [-1], [2**31, 2], [0], [1] * 40, "x", None)),
        **part,
    }
    head: dict[str, Any] = {
        "do": chance.choice(
            ("share", "share", "infer", "infer", "infer", "release", "describe", "cancel", "x")
        ),
        "call": chance.choice((1, 2, 3, 2**53, -1, "1", None, True)) if kind < 4 else chance.randrange(1, 50),
    }
    if head["do"] == "infer" or kind == 5:
        model = chance.choice(("add", "mean", "echo", "hold", "broken", "none"))
        into = {**part, "byte_size": 64} if chance.random() < 0.8 else part
        inputs = [tensor] * chance.choice((1, 1, 1, 1, 0, 2))
        head |= {"model": model, "inputs": inputs, "into": into}
        head["timeout_us"] = chance.choice((1, 1000, 2**53 - 1))
    elif head["do"] == "describe":
        head["model"] = chance.choice(("add", "none"))
    elif head["do"] != "cancel":
        head["region"] = region
    for key in list(head):
        if chance.random() < 0.03:
            head[key] = chance.choice((None, [], {}, 1e300, "\ud800", -5))
    return json.dumps(head).encode()


def _attack(path: str, folder: str) -> dict[str, int]:
    """Send two thousand packets over many connections; count what came back."""
    chance = random.Random(5)
    seen = {"packets": 0, "errors": 0, "answers": 0, "ends": 0}
    while seen["packets"] < 2000:
        with Attacker(path) as attacker:
            attacker.sock.settimeout(0.002)
            asked_broken = False  # an answer may be that of an earlier packet
            for _ in range(chance.randrange(1, 60)):
                packet = _packet(chance)
                asked_broken = asked_broken or b'"broken"' in packet
                counts = (1, 1, 1, 1, 1, 0, 2, 5) if b'"share"' in packet else (0,) * 20 + (1, 3)
                fds = [_descriptor(chance, folder) for _ in range(chance.choice(counts))]
                try:
                    attacker.send(packet, fds)
                    seen["packets"] += 1
                    said = attacker.answer()
                except TimeoutError:
                    continue
                except (BrokenPipeError, ConnectionResetError):
                    said = {}
                finally:
                    for fd in fds:
                        os.close(fd)
                if not said:
                    seen["ends"] += 1
                    break
                if "error" in said:
                    assert label(said) in LABELS
                    assert label(said) != "bug" or asked_broken
                    assert "secret" not in said["error"]["message"]
                seen["errors" if "error" in said else "answers"] += 1
    return seen


@pytest.mark.slow
def test_two_thousand_packets_of_any_kind_get_typed_errors_or_an_end_and_leave_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def run(bench: Bench) -> None:
        before = open_files()
        seen = await bench.ask(lambda path: _attack(path, str(tmp_path)))
        assert min(seen.values()) > 50, seen
        await settled(bench, before)
        assert bench.models.held == 0

        def good(path: str) -> None:
            with MemoryClient(path) as client:
                found = client.infer("add", {"A": np.arange(4, dtype=np.int32), "B": np.ones(4, np.int32)})
                assert found["SUM"].tolist() == [1, 2, 3, 4]

        await bench.ask(good)

    serve(run)
    logged = capfd.readouterr().err
    assert logged.count("task_failed") == logged.count("secret words of a broken model\\n")


def test_descriptors_that_are_no_memory_are_closed_and_end_the_connection(tmp_path: Path) -> None:
    def client(path: str) -> None:
        (tmp_path / "plain").write_bytes(b"x" * 4096)
        fds = [os.open(tmp_path / "plain", os.O_RDWR), os.open("/dev/zero", os.O_RDWR), *os.pipe()]
        fds.append(socket.socket(socket.AF_INET).detach())
        for fd in fds:
            with Attacker(path) as attacker:
                said = attacker.ask(SHARE, [fd])
                assert "no memory of memfd_create" in said["error"]["message"]
                assert attacker.answer() == {}
            os.close(fd)

    async def run(bench: Bench) -> None:
        before = open_files()
        await bench.ask(client)
        await settled(bench, before)

    serve(run)


def test_unsealed_memory_and_the_wrong_number_of_descriptors_are_refused_and_the_next_is_taken() -> None:
    def client(path: str) -> None:
        good, more = memory(), memory()
        unsealed = os.memfd_create("t-attack", os.MFD_ALLOW_SEALING)
        os.posix_fallocate(unsealed, 0, 4096)
        with Attacker(path) as attacker:
            for fds, words in (
                ([unsealed], "F_SEAL_SHRINK"),
                ([], "one descriptor, not 0"),
                ([good, more], "one descriptor, not 2"),
                ([good] * 3, "one descriptor; more came along"),
                ([good] * 200, "one descriptor; more came along"),
            ):
                said = attacker.ask(SHARE, fds)
                assert said["call"] == 1
                assert words in said["error"]["message"]
            said = attacker.ask({"do": "release", "call": 5, "region": "t-r"}, [good])
            assert "with share alone" in said["error"]["message"]
            assert attacker.ask(SHARE, [good]) == {"call": 1, "byte_size": 4096, "writable": True}
        for fd in (good, more, unsealed):
            os.close(fd)

    async def run(bench: Bench) -> None:
        before = open_files()
        await bench.ask(client)
        await settled(bench, before)

    serve(run)


@pytest.mark.parametrize("packet", [b"", b"x", b"{}", b"[]", b'{"call":-1}', b" " * (MAX_PACKET_BYTES + 1)])
def test_who_does_not_speak_the_protocol_is_told_and_let_go(packet: bytes) -> None:
    def client(path: str) -> None:
        good = memory()
        with Attacker(path) as attacker:
            attacker.send(packet, [good])
            said = attacker.answer()
            if packet:
                assert label(said) == "refused.malformed"
                assert "call" not in said
                assert attacker.answer() == {}
        os.close(good)

    async def run(bench: Bench) -> None:
        before = open_files()
        await bench.ask(client)
        await settled(bench, before)

    serve(run)


def test_who_breaks_the_protocol_or_the_connection_in_the_middle_of_calls_leaves_none_of_them() -> None:
    def client(path: str, last: bytes) -> None:
        good = memory()
        attacker = Attacker(path)
        attacker.ask(SHARE, [good])
        os.close(good)
        part = {"region": "t-r", "offset": 0, "byte_size": 64}
        tensor = {"name": "IN", "datatype": "UINT8", "shape": [64], **part}
        for call in range(10):
            head = {"do": "infer", "call": call, "model": "hold", "inputs": [tensor], "into": part}
            attacker.send(json.dumps(head).encode())
        attacker.ask({"do": "describe", "call": 99, "model": "hold"})
        if last:
            attacker.send(last)
            said = [attacker.answer() for _ in range(11)]
            assert [each.get("cancelled") for each in said[1:]] == [True] * 10
            assert attacker.answer() == {}
        attacker.sock.close()

    async def run(bench: Bench) -> None:
        before = open_files()
        for last in (b"nonsense", b""):
            await asyncio.to_thread(client, bench.door.path, last)
            await settled(bench, before)
            assert bench.models.held == 0

    serve(run)


def test_texts_are_looked_at_in_a_copy_that_the_client_cannot_change() -> None:
    async def run(bench: Bench) -> None:
        def client(path: str) -> None:
            with MemoryClient(path) as client:
                region = client.share("t-r", 4096)
                region.view[:8] = struct.pack("<I4s", 4, b"good")
                into = region.part(1024)
                words = {"name": "TEXT", "datatype": "BYTES", "shape": [1], "region": "t-r", "byte_size": 8}
                call = client.send_call(call_tail("echo", [words], into, (), {}))
                assert client.receive(call)["TEXT"].tolist() == [b"good"]
                for lengths in ((5,), (2**32 - 1,), (0, 0, 0)):
                    region.view[:8] = struct.pack("<I", lengths[0]) + b"\0" * 4
                    shape = [len(lengths)]
                    call = client.send_call(call_tail("echo", [{**words, "shape": shape}], into, (), {}))
                    with pytest.raises(Exception, match="TEXT"):
                        client.receive(call)

        await bench.ask(client)

    serve(run)


def test_a_descriptor_that_cannot_be_closed_at_once_keeps_nobody_waiting() -> None:
    """A file of a stranger's own file system may be one: here a thread stands for the stranger."""
    closer = Closer()
    ends = [os.pipe() for _ in range(3)]
    good = memory()
    closer.close([good, *(end for pair in ends for end in pair)])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(good)
    closer.wait(10)
    assert not closer.is_stuck
    for pair in ends:
        for end in pair:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(end)
