"""A worker is told at its own start that its orphans are ours; where they are not, models load once more."""

from __future__ import annotations

import asyncio
import ctypes
import os
from typing import Any

import pytest

from gateway.inference import body
from tests.inference import model_folders
from tests.inference.bench_of_lanes import PLUGINS, ROOT
from tests.inference.test_division import pool_of
from tests.inference.test_scheduler import run

_SET, _GET = 36, 37


@pytest.fixture(autouse=True)
def _plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{ROOT}")


def _adopt(*, on: bool) -> None:
    ctypes.CDLL(None).prctl(_SET, int(on), 0, 0, 0)


def _adopts() -> bool:
    answer = ctypes.c_int()
    ctypes.CDLL(None).prctl(_GET, ctypes.byref(answer), 0, 0, 0)
    return bool(answer.value)


def test_orphans_are_adopted_before_the_first_worker_starts_which_old_kernels_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[bool] = []
    really = asyncio.create_subprocess_exec

    async def start(*arguments: Any, **options: Any) -> object:
        seen.append(_adopts())
        return await really(*arguments, **options)

    async def test() -> None:
        monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
        _adopt(on=False)
        async with pool_of(model_folders.spec("motion-int8"), 1):
            assert seen == [True]

    run(test())


def test_where_a_new_lane_becomes_another_ones_child_the_model_is_loaded_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        monkeypatch.setattr(body, "adopt_orphans", lambda: None)
        _adopt(on=False)
        async with pool_of(model_folders.spec("motion-int8"), 2) as (pool, owner):
            assert [lane.body.loaded for lane in pool.lanes] == [False, False]
            for lane in pool.lanes:
                await lane.canary(10.0)
            assert owner.lost == []

    run(test())
