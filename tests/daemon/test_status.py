"""The gauges that the status page's house is read for."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any, cast

from gateway.daemon.status import _Gauges
from gateway.scaling.lane_memory import process_memory


def _memory(*pids: int) -> float:
    pool = SimpleNamespace(lanes=[SimpleNamespace(pid=pid) for pid in pids])
    house = SimpleNamespace(dataplane=SimpleNamespace(serving={"m": SimpleNamespace(pool=pool)}, beside={}))
    ((labels, value),) = _Gauges(cast("Any", house), cast("Any", None)).memory()
    assert labels == ("m",)
    return value


def test_a_process_that_is_shared_by_lanes_is_counted_once() -> None:
    alone = process_memory(os.getpid())
    assert alone is not None
    assert 0.5 * alone.pss_bytes < _memory(os.getpid(), os.getpid(), os.getpid()) < 1.5 * alone.pss_bytes


def test_lanes_that_have_gone_take_no_memory() -> None:
    assert _memory(2**22 + 1) == 0
