"""The watchdog is told of lanes one by one, also where several live in one process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from gateway.daemon.pulse import Pulse
from gateway.inference.lane import Lane, LaneState
from gateway.operations.notifier import Notifier


def _lane(index: int) -> Lane:
    body = SimpleNamespace(pid=77, loaded=False, kin=None, fate=None, is_spared=False)
    return Lane(index, cast("Any", None), cast("Any", body), state=LaneState.READY)


def test_lanes_of_one_process_and_of_the_pool_before_are_told_apart() -> None:
    settings = SimpleNamespace(models={"m": SimpleNamespace(run_timeout_s=1.0)})
    pool = SimpleNamespace(ready_lanes=[_lane(0), _lane(1)], in_service=True)
    serving = {"m": SimpleNamespace(pool=pool)}
    house = SimpleNamespace(settings=settings, dataplane=SimpleNamespace(serving=serving))
    pulse = Pulse(cast("Any", house), Notifier())
    before = {sign.key for sign in pulse._signs()["m"]}
    pool.ready_lanes = [_lane(0), _lane(1)]  # another version of the model, in the same process
    after = {sign.key for sign in pulse._signs()["m"]}
    assert len(before) == len(after) == 2
    assert not before & after
