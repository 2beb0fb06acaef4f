"""Whatever loads gives way to lanes that serve, however far those give way to the front end."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.configuration.settings import InferenceSettings
from gateway.inference import lane, proof
from gateway.inference.polite import politely
from gateway.operations.gentle import GENTLE


def own() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


@pytest.mark.parametrize("before", [0, 12, 17])
@pytest.mark.parametrize("politeness", [0, 5, 15, 19])
def test_a_load_never_has_more_weight_than_whoever_waits_for_it(before: int, politeness: int) -> None:
    def work() -> tuple[int, int, int]:
        was = os.nice(before)
        return was, politely(own, politeness, threads=1), own()

    with ThreadPoolExecutor(1) as pool:
        was, loading, after = pool.submit(work).result()
    assert loading == max(was, politeness)
    assert after == was


def test_loads_and_proofs_give_way_further_than_lanes_do_unless_told_otherwise() -> None:
    assert InferenceSettings().niceness < proof._POLITE <= lane.POLITE < GENTLE
