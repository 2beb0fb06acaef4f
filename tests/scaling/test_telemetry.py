"""Samples come at their times from a thread; the event loop waits for none, and nothing old is told anew."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, ClassVar

import pytest

from gateway.errors import Draining
from gateway.operations.log import log
from gateway.scaling.sample import HOST, DeviceMemory, Sample, Source
from gateway.scaling.telemetry import Telemetry

HOST_MEMORY = DeviceMemory(HOST, Source.MEMINFO, "no GPU", 100, 50)
GPU_MEMORY = DeviceMemory("gpu0", Source.NVML, "its own", 100, 50)
FOREVER_S = 3600.0


class Script:
    """Gives the samples that the test lets it give, one for each permit."""

    made: ClassVar[list[Script]] = []

    def __init__(self, *memories: dict[str, DeviceMemory] | Exception, permits: int = 0) -> None:
        self.memories = list(memories)
        self.permits = threading.Semaphore(permits)
        self.times: list[float] = []
        self.asked = threading.Semaphore(0)
        self.closed = threading.Event()
        self.made.append(self)

    def read(self, at_s: float) -> Sample:
        self.times.append(at_s)
        self.asked.release()
        self.permits.acquire()
        memory = self.memories.pop(0) if self.memories else {HOST: HOST_MEMORY}
        if isinstance(memory, Exception):
            raise memory
        troubles = () if "gpu0" in memory else ("NVML does not answer",)
        return Sample(at_s, memory, troubles=troubles)

    def close(self) -> None:
        self.closed.set()


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    """Let every reading end that a test left hanging."""
    yield
    while Script.made:
        script = Script.made.pop()
        script.permits.release(100)


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    logged: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(log, "event", lambda name, **fields: logged.append((name, fields)))
    return logged


def _run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def test_there_is_no_sample_before_the_first_and_then_the_newest() -> None:
    async def test() -> None:
        script = Script()
        async with Telemetry(script, lambda: FOREVER_S) as telemetry:
            assert telemetry.latest() is None
            script.permits.release()
            sample = await telemetry.next_sample()
            assert telemetry.latest() is sample
            assert sample.memory[HOST].available_bytes == 50

    _run(test)


def test_a_reading_that_hangs_holds_up_neither_the_loop_nor_the_end() -> None:
    script = Script(permits=1)

    async def test() -> None:
        async with Telemetry(script, lambda: 0.001) as telemetry:
            first = await telemetry.next_sample()
            await asyncio.to_thread(script.asked.acquire)
            await asyncio.to_thread(script.asked.acquire)  # it hangs now in the second reading
            for _ in range(100):
                await asyncio.sleep(0)
            assert telemetry.latest() is first

    _run(test)
    assert not script.closed.is_set()
    script.permits.release()
    assert script.closed.wait(60)


def test_every_waiter_gets_the_same_sample_and_one_that_gives_up_disturbs_none() -> None:
    async def test() -> None:
        script = Script()
        async with Telemetry(script, lambda: FOREVER_S) as telemetry:
            waiters = [asyncio.ensure_future(telemetry.next_sample()) for _ in range(3)]
            await asyncio.sleep(0)
            waiters[0].cancel()
            script.permits.release()
            second, third = await asyncio.gather(*waiters[1:])
            assert second is third

    _run(test)


def test_who_waits_when_it_ends_is_told_so() -> None:
    async def test() -> None:
        script = Script()
        telemetry = Telemetry(script, lambda: FOREVER_S)
        async with telemetry:
            waiter = asyncio.ensure_future(telemetry.next_sample())
            await asyncio.sleep(0)
        with pytest.raises(Draining):
            await waiter
        with pytest.raises(Draining):
            await telemetry.next_sample()
        script.permits.release(2)

    _run(test)


def test_a_sample_can_be_had_at_once_and_the_others_keep_their_times() -> None:
    async def test() -> None:
        script = Script(permits=10)
        async with Telemetry(script, lambda: FOREVER_S) as telemetry:
            await telemetry.next_sample()
            for _ in range(3):
                telemetry.hurry()
                await telemetry.next_sample()
            assert len(script.times) == 4

    _run(test)


@pytest.mark.parametrize(
    ("due_s", "now_s", "expected_s"),
    [(10.0, 10.1, 15.0), (10.0, 14.9, 15.0), (10.0, 27.0, 30.0), (15.0, 11.0, 15.0)],
)
def test_times_are_fixed_and_those_that_passed_are_left_out(
    due_s: float, now_s: float, expected_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.scaling.telemetry.time.monotonic", lambda: now_s)
    assert Telemetry(Script(), lambda: 5.0)._next_s(due_s) == expected_s


def test_one_reading_that_breaks_does_not_end_the_others(events: list[tuple[str, dict[str, Any]]]) -> None:
    async def test() -> None:
        script = Script(RuntimeError("broken"), permits=9)
        async with Telemetry(script, lambda: 0.001) as telemetry:
            await telemetry.next_sample()
            assert len(script.times) >= 2

    _run(test)
    assert events[0][0] == "task_failed"


def test_a_change_of_source_and_a_trouble_are_logged_when_they_come_and_no_more(
    events: list[tuple[str, dict[str, Any]]],
) -> None:
    both, alone = {HOST: HOST_MEMORY, "gpu0": GPU_MEMORY}, {HOST: HOST_MEMORY}

    async def test() -> None:
        script = Script(both, both, alone, alone, both)
        async with Telemetry(script, lambda: 0.001) as telemetry:
            for _ in range(5):
                script.permits.release()
                await telemetry.next_sample()

    _run(test)
    told = [(name, fields.get("device"), fields.get("was"), fields.get("source")) for name, fields in events]
    assert told == [
        ("memory_source_changed", "gpu0", "none", "nvml"),
        ("memory_source_changed", HOST, "none", "meminfo"),
        ("memory_source_changed", "gpu0", "nvml", "none"),
        ("telemetry_trouble", None, None, None),
        ("memory_source_changed", "gpu0", "none", "nvml"),
    ]
    assert events[2][1]["reason"] == "NVML does not answer"


def test_a_listener_hears_every_sample() -> None:
    async def test() -> None:
        heard: list[Sample] = []
        script = Script()
        telemetry = Telemetry(script, lambda: 0.001)
        telemetry.listen(heard.append)
        async with telemetry:
            for _ in range(4):
                script.permits.release()
                assert await telemetry.next_sample() is heard[-1]
        assert len(heard) == 4

    _run(test)
