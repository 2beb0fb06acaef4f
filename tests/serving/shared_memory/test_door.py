"""The memory door by its own client: answers, errors, many calls at once, and ends of every kind."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.configuration.serving_settings import AccessSettings
from gateway.errors import (
    AlreadyThere,
    DeadlineExceeded,
    GatewayBug,
    GatewayError,
    Malformed,
    Overloaded,
    RateLimited,
    TooLarge,
    UnknownModel,
    UnknownRegion,
    WrongShape,
)
from gateway.serving.shared_memory.client import MemoryClient, call_tail
from gateway.serving.shared_memory.door import MemoryDoor
from gateway.serving.shared_memory.door_connection import DoorLimits
from tests.serving.serving_models import CLASSIFIER, inferring
from tests.serving.shared_memory.small_models import Bench, parts, serve


def ask(work: Callable[[MemoryClient], Any]) -> None:
    """Run a client beside a door."""

    def client(path: str) -> None:
        with MemoryClient(path) as client:
            work(client)

    async def run(bench: Bench) -> None:
        await bench.ask(client)

    serve(run)


def test_arrays_go_in_and_come_out() -> None:
    def work(client: MemoryClient) -> None:
        left, right = np.arange(1000, dtype=np.int32), np.full(1000, 5, np.int32)
        found = client.infer("add", {"A": left, "B": right}, ["SUM"], id="7")
        assert found["SUM"].tolist() == (left + right).tolist()
        frame = np.random.default_rng(1).integers(0, 256, 600_000, np.uint8)
        assert client.infer("mean", {"IN": frame})["MEAN"][0] == pytest.approx(frame.mean(), rel=1e-4)
        texts = np.array(["plain", b"\x00\xff", "grün", ""], np.object_)
        assert client.infer("echo", {"TEXT": texts})["TEXT"].tolist() == [
            *(b"plain", b"\x00\xff", "grün".encode(), b"")
        ]

    ask(work)


def test_what_lies_in_a_region_is_neither_copied_by_the_client_nor_sent() -> None:
    def work(client: MemoryClient) -> None:
        frames, answers = client.share("t-frames", 8192), client.share("t-answers", 4096)
        left, right = frames.tensor((16,), np.int32, 64), frames.tensor((16,), np.int32, 4096)
        for round_ in range(3):
            left.array[:] = round_
            right.array[:] = range(16)
            call = client.submit("add", {"A": left, "B": right}, answers.part(128, 64))
            assert client.receive(call)["SUM"].tolist() == [round_ + each for each in range(16)]
            assert answers.tensor((16,), np.int32, 128).array[15] == round_ + 15
        client.release(frames)
        with pytest.raises(UnknownRegion, match="Unable to find shared memory region: 't-frames'"):
            client.receive(client.submit("add", {"A": left, "B": right}, answers.part()))

    ask(work)


def test_a_prepared_call_sees_what_lies_in_its_regions_now_and_nothing_of_regions_that_are_gone() -> None:
    def work(client: MemoryClient) -> None:
        frames, answers = client.share("t-frames", 4096), client.share("t-answers", 4096)
        cell = frames.tensor((4,), np.uint8)
        call = client.prepare("mean", {"IN": cell}, answers.part())
        for value in (3, 200, 7):
            cell.array[:] = value
            assert call()["MEAN"].tolist() == [value]
        client.release(frames)
        with pytest.raises(UnknownRegion, match="t-frames"):
            call()
        again = client.share("t-frames", 4096)
        again.tensor((4,), np.uint8).array[:] = 9
        assert call()["MEAN"].tolist() == [9]

    ask(work)


def test_a_client_is_told_what_a_model_takes_and_gives() -> None:
    def work(client: MemoryClient) -> None:
        said = client.describe("add")
        assert said["inputs"][0] == {"name": "A", "datatype": "INT32", "shape": [-1]}
        assert [each["name"] for each in said["outputs"]] == ["SUM"]
        assert client.hello["protocol"] == 1
        with pytest.raises(UnknownModel, match="no model is named 'absent'"):
            client.describe("absent")

    ask(work)


def test_every_error_is_typed_and_harms_no_later_call() -> None:
    def work(client: MemoryClient) -> None:
        memory = client.share("t-memory", 4096)
        eight = memory.tensor((8,), np.int32)
        wrong: list[tuple[type[GatewayError], str, Callable[[], Any]]] = [
            (UnknownModel, "absent", lambda: client.infer("absent", {})),
            (
                WrongShape,
                "8 elements",
                lambda: client.infer("add", {"A": np.zeros(8, "i4"), "B": np.zeros(9, "i4")}),
            ),
            (GatewayBug, "failed where it never should", lambda: client.infer("broken", {})),
            (
                TooLarge,
                "32 bytes; its place in region 't-memory' has 31",
                lambda: _add(client, eight, memory.part(0, 31)),
            ),
            (
                DeadlineExceeded,
                "not let go",
                lambda: client.infer("hold", {"IN": np.zeros(1, "u1")}, timeout_us=1000),
            ),
            (Malformed, "packet", lambda: client.infer("add", {}, nonsense=1)),
            (AlreadyThere, "there already", lambda: client.share("t-memory", 4096)),
        ]
        for kind, words, call in wrong:
            with pytest.raises(kind, match=words) as caught:
                call()
            assert "secret" not in caught.value.message
        assert _add(client, eight, memory.part(1024))["SUM"].tolist() == [0] * 8

    ask(work)


def _add(client: MemoryClient, both: Any, into: Any) -> Any:
    return client.receive(client.submit("add", {"A": both, "B": both}, into))


def test_parts_that_reach_out_of_a_region_are_refused_before_anything_runs() -> None:
    async def run(bench: Bench) -> None:
        def client(path: str) -> None:
            with MemoryClient(path) as client:
                memory = client.share("t-memory", 4096)
                inside = memory.tensor((8,), np.int32)
                other = client.share("t-other", 8192)
                behind = other.tensor((8,), np.int32, 4096)
                for inputs, into in ((behind, inside), (inside, behind)):
                    words = [
                        {
                            "name": name,
                            "datatype": "INT32",
                            "shape": [8],
                            **inputs.words(),
                            "region": "t-memory",
                        }
                        for name in "AB"
                    ]
                    area = {"into": {**into.words(), "region": "t-memory"}}
                    call = client.send_call(call_tail("add", words, into, (), area))
                    with pytest.raises(Malformed, match="Invalid offset for shared memory region"):
                        client.receive(call)

        await bench.ask(client)
        assert bench.models.callers == []

    serve(run)


def test_calls_of_one_client_run_side_by_side_and_are_told_apart() -> None:
    async def run(bench: Bench) -> None:
        def client(path: str) -> list[int]:
            with MemoryClient(path) as client:
                memory = client.share("t-memory", 65_536)
                calls = []
                for number in range(20):
                    cell = memory.tensor((number + 1,), np.uint8, number * 1024)
                    cell.array[:] = 1
                    calls.append(client.submit("hold", {"IN": cell}, memory.part(32_768 + number * 64, 64)))
                one = memory.tensor((4,), np.int32, 30_000)
                assert _add(client, one, memory.part(60_000))["SUM"].tolist() == [0] * 4
                loop.call_soon_threadsafe(bench.models.go.set)
                return [int(client.receive(call)["SUM"][0]) for call in reversed(calls)]

        loop = asyncio.get_running_loop()
        assert await bench.ask(client) == list(range(20, 0, -1))
        assert set(bench.models.callers) == {f"uid:{os.getuid()}"}

    serve(run)


def test_a_call_that_is_cancelled_is_given_up_and_the_others_go_on() -> None:
    async def run(bench: Bench) -> None:
        def client(path: str) -> None:
            with MemoryClient(path) as client:
                memory = client.share("t-memory", 4096)
                cell = memory.tensor((1,), np.uint8)
                kept, given_up = (
                    client.submit("hold", {"IN": cell}, memory.part(64 * n, 64)) for n in (1, 2)
                )
                client.cancel(given_up)
                with pytest.raises(Malformed, match="was cancelled"):
                    client.receive(given_up)
                loop.call_soon_threadsafe(bench.models.go.set)
                assert client.receive(kept)["SUM"].tolist() == [0]
                client.cancel(kept)
                assert client.describe("add")["model"] == "add"

        loop = asyncio.get_running_loop()
        await bench.ask(client)
        assert bench.models.cancelled <= 1

    serve(run)


def test_a_client_that_goes_away_takes_its_calls_and_its_memory_along() -> None:
    async def run(bench: Bench) -> None:
        def client(path: str) -> None:
            with MemoryClient(path) as client:
                memory = client.share("t-memory", 4096)
                for _ in range(5):
                    client.submit("hold", {"IN": memory.tensor((1,), np.uint8)}, memory.part())
                assert all_run.wait(30)

        all_run = threading.Event()
        asked = asyncio.ensure_future(bench.ask(client))
        await bench.until(lambda: bench.models.held == 5)
        all_run.set()
        await asked
        await bench.until(lambda: bench.models.held == 0 and bench.door.regions == 0)
        assert bench.models.cancelled == 5

    serve(run)


def test_a_region_that_is_released_during_a_call_still_takes_its_output() -> None:
    async def run(bench: Bench) -> None:
        def client(path: str) -> None:
            with MemoryClient(path) as client:
                memory = client.share("t-memory", 4096)
                cell = memory.tensor((10,), np.uint8)
                cell.array[:] = 3
                call = client.submit("hold", {"IN": cell}, memory.part(64, 64))
                client.release(memory)
                client._regions["t-memory"] = memory
                loop.call_soon_threadsafe(bench.models.go.set)
                assert client.receive(call)["SUM"].tolist() == [30]

        loop = asyncio.get_running_loop()
        await bench.ask(client)

    serve(run)


def test_as_many_calls_regions_and_clients_are_served_as_the_limits_say() -> None:
    async def run(bench: Bench) -> None:
        def client(path: str) -> None:
            with MemoryClient(path) as first, MemoryClient(path) as second:
                memory = first.share("t-memory", 4096)
                second.share("t-memory", 4096)
                with pytest.raises(TooLarge, match="max_regions"):
                    second.share("t-more", 4096)
                first.release(memory)
                with pytest.raises(TooLarge, match=r"serving\.shared_memory\.max_region_bytes allows 8192"):
                    first.share("t-large", 8193)
                memory = first.share("t-memory", 8192)
                cell = memory.tensor((1,), np.uint8)
                calls = [first.submit("hold", {"IN": cell}, memory.part(64)) for _ in range(3)]
                with pytest.raises(Overloaded, match="2 calls of this client are under way"):
                    first.receive(calls[2])
                with pytest.raises(ConnectionError):
                    MemoryClient(path)
                loop.call_soon_threadsafe(bench.models.go.set)
                assert [first.receive(call)["SUM"].tolist() for call in calls[:2]] == [[0], [0]]

        loop = asyncio.get_running_loop()
        await bench.ask(client)

    serve(run, DoorLimits(connections=2, calls=2), max_regions=2, max_region_bytes=8192)


def test_the_gates_limits_hold_here_too() -> None:
    async def run(bench: Bench) -> None:
        def client(path: str) -> None:
            with MemoryClient(path) as client:
                memory = client.share("t-memory", 4096)
                cell = memory.tensor((1,), np.uint8)
                calls = [client.submit("hold", {"IN": cell}, memory.part(64)) for _ in range(2)]
                with pytest.raises(RateLimited):
                    client.receive(calls[1])
                loop.call_soon_threadsafe(bench.models.go.set)
                client.receive(calls[0])
                client.receive(client.submit("hold", {"IN": cell}, memory.part(64)))

        loop = asyncio.get_running_loop()
        await bench.ask(client)

    serve(run, access=AccessSettings(concurrent=1))


def test_the_socket_is_for_its_owner_and_group_and_holds_packets() -> None:
    async def run(bench: Bench) -> None:
        assert stat.S_IMODE(os.stat(bench.door.path).st_mode) == 0o660  # noqa: PTH116 - of a test
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wrong,
            pytest.raises(OSError, match="wrong type"),
        ):
            wrong.connect(bench.door.path)

    serve(run)


def test_what_is_under_way_when_the_door_closes_is_answered_in_the_time_of_grace() -> None:
    async def run(bench: Bench) -> None:
        def client(path: str) -> list[int]:
            with MemoryClient(path) as client:
                memory = client.share("t-memory", 4096)
                call = client.submit("hold", {"IN": memory.tensor((1,), np.uint8)}, memory.part(64))
                answer = client.receive(call)["SUM"].tolist()
                with pytest.raises(ConnectionError):
                    client.describe("hold")
                return list(answer)

        asked = asyncio.ensure_future(bench.ask(client))
        await bench.models.arrived.wait()
        asyncio.get_running_loop().call_later(0.05, bench.models.go.set)
        await bench.door.__aexit__(None, None, None)
        assert await asked == [0]

    serve(run, DoorLimits(grace_s=30.0))


def test_a_client_that_does_not_read_its_answers_is_read_no_further_and_cut_off() -> None:
    async def run(bench: Bench) -> None:
        def client(path: str) -> int:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
                sock.connect(path)
                sock.settimeout(30)
                for sent in range(5000):
                    try:
                        sock.send(b'{"do":"describe","call":%d,"model":"add"}' % sent)
                    except (BrokenPipeError, ConnectionResetError):
                        return sent
                return 5000

        sent = await bench.ask(client)
        assert 0 < sent < 5000
        await bench.until(lambda: not bench.door._connections)

    serve(run, DoorLimits(answer_s=0.2))


@pytest.mark.slow
def test_a_real_model_gives_the_same_through_the_door_as_without_it(tmp_path: Path) -> None:
    frame = np.random.default_rng(3).normal(size=(1, 3, 224, 224)).astype(np.float32)

    def client(path: str, name: str) -> list[dict[str, Any]]:
        with MemoryClient(path) as client:
            return [client.infer(CLASSIFIER, {name: frame}) for _ in range(3)]

    async def run() -> None:
        from tests.serving.serving_models import array_of, call

        async with inferring(CLASSIFIER) as (models, _, _):
            async with MemoryDoor(str(tmp_path / "door"), parts(models)) as door:
                view = models.view(CLASSIFIER)
                found = await asyncio.to_thread(client, door.path, view.inputs[0].name)
            reply = await models.infer(call(CLASSIFIER, (view.inputs[0].name, frame)))
            for each in found:
                np.testing.assert_array_equal(each[view.outputs[0].name], array_of(reply))

    asyncio.run(asyncio.wait_for(run(), 90))
