"""The next assignment: what one change begins, what it keeps, and what no author may do by accident."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PublishRefused
from gateway.updates.assignment import Assignment, Window, Wish
from gateway.updates.assignment_json import assignment_bytes, read_assignment
from gateway.updates.publishing.assigning import WITHDRAWN, Change, changed

KNOWN = {"door": (1, 2, 3), "window": (7,)}
EMPTY = Assignment("hall", 0)


def assigned(change: Change, last: Assignment = EMPTY) -> Assignment:
    return changed(last, change, KNOWN)


def test_a_first_release_goes_to_all_boards_at_once() -> None:
    assert assigned(Change({"door": 2})) == Assignment("hall", 1, {"door": Wish(2, seed="1")})


def test_options_alone_change_every_model_and_keep_the_rest() -> None:
    both = assigned(Change({"door": 2, "window": 7}, percent=10))
    raised = assigned(Change(percent=50), both)
    assert raised.models == {name: replace(wish, percent=50) for name, wish in both.models.items()}
    one = assigned(Change({"door": None}, paused=True), raised)
    assert [one.models[name].paused for name in ("door", "window")] == [True, False]


def test_the_seed_stays_with_a_release_and_changes_with_the_next() -> None:
    first = assigned(Change({"door": 1}, percent=10))
    raised = assigned(Change({"door": 1}, percent=50), first)
    after = assigned(Change({"door": 2}, percent=10), raised)
    assert [each.models["door"].seed for each in (first, raised, after)] == ["1", "1", "3"]


def test_models_that_begin_together_fall_into_the_same_buckets() -> None:
    both = assigned(Change({"door": 1, "window": 7}, sets=(("door", "window"),)))
    assert both.models["door"].seed == both.models["window"].seed
    assert both.sets == (("door", "window"),)


def test_a_new_release_begins_its_own_way_under_the_same_policy() -> None:
    window = Window(60, 120)
    policy = Change(
        {"door": 1}, canary=("a",), window=window, shadow_frames=9, shadow_agreement=0.5, bake_s=3.0
    )
    first = assigned(policy)
    slow = assigned(Change(percent=1, paused=True, not_before=5, seed="x"), first)
    after = assigned(Change({"door": 2}), slow).models["door"]
    assert (after.percent, after.paused, after.not_before, after.allow_downgrade) == (100, False, 0, False)
    assert (after.canary, after.window, after.shadow_frames, after.shadow_agreement, after.bake_s) == (
        ("a",),
        window,
        9,
        0.5,
        3.0,
    )


def test_going_back_must_be_said_and_is_forgotten_with_the_next_release() -> None:
    first = assigned(Change({"door": 2}))
    with pytest.raises(PublishRefused, match="older than 2"):
        assigned(Change({"door": 1}), first)
    back = assigned(Change({"door": 1}, allow_downgrade=True), first)
    assert back.models["door"].allow_downgrade
    assert not assigned(Change({"door": 3}), back).models["door"].allow_downgrade


@pytest.mark.parametrize("change", [Change({"door": 9}), Change({"cellar": 1}), Change({"door": None})])
def test_what_was_never_added_cannot_be_assigned(change: Change) -> None:
    with pytest.raises(PublishRefused):
        assigned(change)


def test_a_model_that_is_withdrawn_leaves_its_set() -> None:
    both = assigned(Change({"door": 1, "window": 7}, sets=(("door", "window"),)))
    left = assigned(Change({"window": WITHDRAWN}), both)
    assert (set(left.models), left.sets) == ({"door"}, ())
    with pytest.raises(PublishRefused):
        assigned(Change({"window": WITHDRAWN}), left)


OPTIONS = st.builds(
    Change,
    releases=st.dictionaries(st.sampled_from(("door", "window")), st.sampled_from((0, 1, 2, 3, 7, None))),
    percent=st.none() | st.floats(0, 100),
    seed=st.none() | st.sampled_from(("", "s")),
    canary=st.none() | st.just(("a", "b")),
    not_before=st.none() | st.integers(0, 1 << 40),
    window=st.none() | st.just(Window(0, 0)),
    paused=st.none() | st.booleans(),
    shadow_frames=st.none() | st.integers(0, 100),
    shadow_agreement=st.none() | st.floats(0, 1),
    bake_s=st.none() | st.floats(0, 1000),
    allow_downgrade=st.none() | st.booleans(),
)


@given(st.lists(OPTIONS, max_size=6))
def test_whatever_changes_follow_each_other_the_version_rises_and_boards_can_read_it(
    changes: list[Change],
) -> None:
    last = EMPTY
    for change in changes:
        try:
            new = assigned(change, last)
        except PublishRefused:
            continue
        assert new.version == last.version + 1
        for model, wish in new.models.items():
            assert wish.release in KNOWN[model]
            before = last.models.get(model)
            assert before is None or wish.release >= before.release or wish.allow_downgrade
        assert read_assignment(assignment_bytes(new)) == new
        last = new
