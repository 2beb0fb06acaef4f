"""Lanes in one owner share a large model's weights: measured by the kernel's proportional share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.inference.loaded import LoadSpec
from tests.inference.bench_of_lanes import PLUGINS, ROOT
from tests.inference.bench_of_owner import housing
from tests.inference.held import held_bytes
from tests.inference.test_division import big_onnx
from tests.inference.test_scheduler import run, until

MIB = 1 << 20


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{ROOT}")


def test_four_lanes_of_a_large_model_take_hardly_more_memory_than_one(tmp_path: Path) -> None:
    async def test() -> None:
        folder = big_onnx(tmp_path / "big")
        async with housing() as house:
            scheduler = await house.serve(LoadSpec("big", str(folder)))
            one = held_bytes(house.owner.pid)
            assert one > 80 * MIB
            scheduler.pool.resize(4)
            await until(lambda: scheduler.pool.ready == 4)
            four = held_bytes(house.owner.pid)
            assert four < 1.1 * one
            # The weights go with the last lane that runs them, though the owner stays for another.
            await house.serve(LoadSpec("small", str(ROOT / "models" / "motion-int8-onnx")))
            await scheduler.close()
            await until(lambda: held_bytes(house.owner.pid) < one - 60 * MIB)

    run(test())
