"""The rules of ``gateway.scaling.unloading``, over any models and memory."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.scaling.demand import ModelDemand
from gateway.scaling.sample import HOST, DeviceMemory, Source
from gateway.scaling.shrinking import retire
from gateway.scaling.unloading import OnDemand, Stay, make_room, may_go, spare_bytes

_NOW_S = 1000.0
_STAY = Stay(30.0, 1.0)
_MODELS = st.lists(
    st.builds(
        OnDemand,
        model=st.sampled_from("abcdefgh"),
        loaded_s=st.floats(0, _NOW_S),
        used_s=st.floats(0, _NOW_S),
        cost_bytes=st.none() | st.integers(0, 1000),
        in_use=st.booleans(),
    ),
    max_size=8,
    unique_by=lambda each: each.model,
)


@given(_MODELS, st.integers(0, 5000), st.integers(-1000, 5000))
@example([OnDemand("a", 0.0, 0.0, 100), OnDemand("b", 0.0, 1.0, 100)], 100, 0)
def test_the_least_recently_used_go_and_no_more_than_are_needed(
    models: list[OnDemand], needed: int, free: int
) -> None:
    going = make_room(needed, free, models, (_NOW_S, _STAY))
    by_name = {each.model: each for each in models}
    able = sorted((e for e in models if may_go(e, _NOW_S, _STAY) and e.cost_bytes), key=_age)
    if going is None:
        assert free + sum(each.cost_bytes or 0 for each in able) < needed
        return
    assert [by_name[name] for name in going] == able[: len(going)]
    back = [by_name[name].cost_bytes or 0 for name in going]
    assert free + sum(back) >= needed
    if going:
        assert free + sum(back[:-1]) < needed


@given(_MODELS, st.integers(0, 5000))
def test_what_is_in_use_or_came_or_was_asked_only_now_stays(models: list[OnDemand], needed: int) -> None:
    going = make_room(needed, 0, models, (_NOW_S, _STAY)) or ()
    for each in models:
        if each.in_use or _NOW_S - each.loaded_s < _STAY.loaded_s or _NOW_S - each.used_s < _STAY.quiet_s:
            assert each.model not in going
            assert not may_go(each, _NOW_S, _STAY)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.0, 20.0)), max_size=60))
def test_models_that_take_turns_do_not_drive_each_other_out_within_their_stay(
    asked: list[tuple[str, float]],
) -> None:
    """Memory holds two of three models; whatever is asked, none is unloaded that did not have its stay."""
    loaded: dict[str, OnDemand] = {}
    now_s = 0.0
    for model, pause_s in asked:
        now_s += pause_s
        if model not in loaded:
            going = make_room(1, 2 - len(loaded), loaded.values(), (now_s, _STAY))
            for name in going or ():
                assert now_s - loaded.pop(name).loaded_s >= _STAY.loaded_s
            if going is None:
                assert len(loaded) == 2
                continue
            loaded[model] = OnDemand(model, now_s, now_s, 1)
        loaded[model] = OnDemand(model, loaded[model].loaded_s, now_s, 1)


def test_room_ends_at_the_mark_and_at_the_reserve() -> None:
    memory = DeviceMemory(HOST, Source.MEMINFO, "", 1000, 400)
    assert spare_bytes(memory, 0.85, 0) == 250
    assert spare_bytes(memory, 0.85, 300) == 100
    assert spare_bytes(memory, 0.5, 0) == -100


def test_of_idle_lanes_extra_ones_go_first_then_the_models_least_recently_used_and_busy_ones_last() -> None:
    demands = [
        ModelDemand("busy", ready=3, max_lanes=4, busy=0.9, lane_cost_bytes=10),
        ModelDemand("spare", ready=2, max_lanes=4, idle=1, busy=0.4, lane_cost_bytes=10),
        ModelDemand("late", ready=1, idle=1, min_lanes=0, used_s=20.0, lane_cost_bytes=10),
        ModelDemand("early", ready=1, idle=1, min_lanes=0, used_s=10.0, lane_cost_bytes=10),
        ModelDemand("last", ready=1, idle=1, lane_cost_bytes=10),
    ]
    for needed, gone in (
        (10, {"spare": 1}),
        (20, {"spare": 1, "early": 0}),
        (30, {"spare": 1, "early": 0, "late": 0}),
        (40, {"spare": 1, "early": 0, "late": 0, "busy": 2}),
    ):
        retired = retire(demands, needed, every_unused=False)
        assert {each.demand.model: each.lanes for each in retired} == gone


def _age(loaded: OnDemand) -> tuple[float, str]:
    return loaded.used_s, loaded.model
