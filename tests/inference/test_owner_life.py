"""The life of the GPU owner: begun with its first lane, ended with its last, with nothing left over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.inference.engines.engine import EngineOptions
from gateway.inference.limits import PoolLimits
from gateway.inference.owner import GpuOwner, OwnerBody
from gateway.inference.request import RequestState
from gateway.operations.restart import RestartLimits
from tests.children import children
from tests.inference.bench_of_lanes import PLUGINS, ROOT, payload
from tests.inference.bench_of_owner import FAKE, asked, descriptors, housing, lives, named
from tests.inference.test_scheduler import run, until


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"build_s": 0.2}))
    monkeypatch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{ROOT}")
    monkeypatch.setenv("ORT_FAKE_PROVIDER", str(script))


def owners() -> list[str]:
    """Return the processes of ours that are GPU owners."""
    found: list[str] = []
    for pid in children():
        with contextlib.suppress(FileNotFoundError):
            if b"owner_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def test_the_owner_starts_with_its_first_lane_and_ends_with_its_last() -> None:
    async def test() -> None:
        async with housing() as house:
            assert house.owner.pid == 0
            one, two = await house.serve(named("one")), await house.serve(named("two"))
            pid = house.owner.pid
            await one.close()
            assert house.owner.pid == pid
            assert (await house.dataplane.infer(asked("two", payload()))).state is RequestState.DONE
            await two.close()
            await until(lambda: not lives(pid))
            assert house.owner.pid == 0

    run(test())


def test_a_start_that_is_cancelled_at_any_moment_leaves_nothing() -> None:
    async def test() -> None:
        before = descriptors(os.getpid())
        for turns in (0, 1, 2, 3, 5, 8, 13, 30, 100, 300):
            async with housing() as house:
                starting = asyncio.ensure_future(house.serve(named("model", FAKE), lanes=2))
                for _ in range(turns):
                    await asyncio.sleep(0.001)
                starting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await starting
                pid = house.owner.pid
            assert not lives(pid)
        assert owners() == []
        assert descriptors(os.getpid()) <= before + 1

    run(test())


def test_lanes_that_come_and_go_cost_the_owner_no_descriptor_and_no_thread() -> None:
    async def test() -> None:
        async with housing() as house:
            scheduler = await house.serve(named("stays"))
            pid, counts = house.owner.pid, []
            for _ in range(6):
                scheduler.pool.resize(4)
                await until(lambda: scheduler.pool.ready == 4)
                scheduler.pool.resize(1)
                await until(lambda: len(list(Path(f"/proc/{pid}/task").iterdir())) == 2)
                other = await house.serve(named("goes", EngineOptions(derived="/nonexistent")))
                await other.close()
                await until(lambda: len(list(Path(f"/proc/{pid}/task").iterdir())) == 2)
                counts.append(descriptors(pid))
            assert house.owner.pid == pid
            assert counts[1:] == counts[:1] * 5

    run(test())


def test_the_owner_dies_with_the_front_end() -> None:
    words = (
        "import asyncio, os\n"
        "from tests.inference.bench_of_owner import housing, named\n"
        "async def main():\n"
        "    async with housing() as house:\n"
        "        await house.serve(named('model'))\n"
        "        print(house.owner.pid, flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    child = subprocess.Popen([sys.executable, "-c", words], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        os.kill(pid, signal.SIGTERM)  # what ends the group does not end the owner
        assert lives(pid)
    finally:
        child.kill()
        child.communicate()

    def ended() -> bool:
        with contextlib.suppress(ChildProcessError):  # it is ours now where this process has had workers
            os.waitpid(pid, os.WNOHANG)
        return not lives(pid)

    async def gone() -> None:
        await until(ended)

    run(gone())


def test_only_what_needs_a_device_lives_in_the_owner() -> None:
    async def test() -> None:
        limits = PoolLimits(5.0, 60.0, RestartLimits(0.01, 0.1, 50, 60.0))
        owner = GpuOwner()
        for options, there in (
            (EngineOptions(), False),
            (EngineOptions(providers=("CUDAExecutionProvider", "CPUExecutionProvider")), True),
            (EngineOptions(delegates=("libgpu.so",)), True),
        ):
            assert isinstance(owner.body(named("m", options), limits), OwnerBody) == there
        await owner.close()

    run(test())
