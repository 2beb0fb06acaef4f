"""Every request is counted once, by words that are ours."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import WrongShape
from gateway.operations.metrics import Metrics
from gateway.serving.door_count import DoorCount, outcome_of


def test_requests_are_counted_by_how_their_block_was_left() -> None:
    metrics = Metrics()
    count = DoorCount("http", ("infer", "index"), metrics.door_requests)
    with count.request("infer"):
        pass
    with count.request("infer") as request:
        request.failed("refused.shape")
    for error in (WrongShape("no"), asyncio.CancelledError(), OSError("gone")):
        with pytest.raises(type(error)), count.request("infer"):
            raise error
    assert dict(metrics.door_requests.values()) == {
        ("http", "infer", "done"): 1,
        ("http", "infer", "refused.shape"): 2,
        ("http", "infer", "cancelled"): 1,
        ("http", "infer", "bug"): 1,
    }


def test_nobody_outside_makes_a_new_series() -> None:
    metrics = Metrics()
    count = DoorCount("http", ("infer",), metrics.door_requests)
    for name in ("../../etc", "", "INFER"):
        count.ended(name, outcome_of(None))
    assert dict(metrics.door_requests.values()) == {("http", "other", "done"): 3}
