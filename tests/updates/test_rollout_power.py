"""No power cut changes where a rollout ends: not at any write, and not once more while it recovers."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.updates.release import ReleaseRef
from gateway.updates.state import ModelRecord
from tests.updates.rollout_world import NEW, OLD, OLDER, RULES, SERVES_OLD, Fault, World, run


def scenarios() -> st.SearchStrategy[World]:
    """Boards with an offer and every fault that a release may have."""
    records = st.sampled_from(
        [
            ModelRecord("door"),
            ModelRecord("door", seq=7, active=OLD, floor=1),
            ModelRecord("door", seq=7, active=OLD, previous=OLDER, floor=5),
        ]
    )
    crashes = st.dictionaries(st.sampled_from(["proof", "load", "bake"]), st.sampled_from([0, 1, math.inf]))
    return st.builds(
        World,
        ref=st.just(NEW),
        held=records,
        fault=st.sampled_from(Fault),
        crashes=crashes.filter(lambda found: sum(count for count in found.values() if count < 2) < 2),
        hindrances=st.dictionaries(st.sampled_from(["fetch", "proof", "shadow"]), st.integers(0, 2)),
        shadow_frames=st.sampled_from([0, 50]),
    )


def expected(world: World) -> tuple[ReleaseRef | None, int, set[ReleaseRef]]:
    """Return active, floor and quarantine at the end, from the faults alone."""
    old, floor = world.held.active, world.held.floor
    if NEW.number < floor or world.fault is Fault.NEVER_FETCHED:
        return old, floor, set()
    harmless = world.fault in (Fault.NOWHERE, *([] if world.shadow_frames else [Fault.SHADOW]))
    if harmless and math.inf not in world.crashes.values():
        return NEW, max(floor, NEW.number), set()
    return old, floor, {NEW}


def end(world: World) -> tuple[ReleaseRef | None, int, set[ReleaseRef]]:
    return world.held.active, world.held.floor, world.quarantine


def cut(world: World, *cuts: tuple[int, bool]) -> World:
    """Let the world live with power cut at these writes, before (False) or after (True) they arrive."""
    return run(replace(copy.deepcopy(world), cuts=dict(cuts)), RULES)


@settings(max_examples=60, deadline=None)
@given(scenarios())
def test_power_may_fail_at_every_write(world: World) -> None:
    whole = cut(world)
    assert end(whole) == expected(world)
    for moment in product(range(whole.writes), (False, True)):
        assert end(cut(world, moment)) == expected(world)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(scenarios())
def test_power_may_fail_again_at_every_write_of_the_recovery(world: World) -> None:
    """Three starts in the bake are allowed: one crash of the release itself, and both cuts."""
    for first in product(range(cut(world).writes), (False, True)):
        for second in product(range(first[0] + 1, cut(world, first).writes), (False, True)):
            assert end(cut(world, first, second)) == expected(world)


def test_a_restart_from_every_record_ever_written_leads_to_the_same_end() -> None:
    """A disk may also give back what it held some writes ago."""
    for fault in (Fault.NOWHERE, Fault.PROOF, Fault.BAKE):
        whole = run(World(NEW, SERVES_OLD, fault, shadow_frames=20), RULES)
        assert len(whole.history) >= 3
        for record in whole.history:
            again = World(NEW, record, fault, shadow_frames=20, quarantine=set(whole.quarantine))
            assert end(run(again, RULES)) == end(whole)
