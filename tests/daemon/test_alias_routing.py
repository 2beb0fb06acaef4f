"""The rules of ``gateway.daemon.alias_routing``, over any targets and keys."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.configuration.serving_settings import AliasTarget
from gateway.daemon.alias_routing import ranked

_KEYS = [f"camera-{number}/frame" for number in range(2000)]
_TARGETS = st.lists(
    st.builds(
        AliasTarget,
        model=st.sampled_from(["a", "b", "c"]),
        version=st.sampled_from(["", "7", "8"]),
        weight=st.integers(0, 100),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda each: (each.model, each.version),
).filter(lambda targets: any(each.weight for each in targets))


def _led(targets: list[AliasTarget], key: str) -> AliasTarget:
    return targets[ranked(targets, key)[0]]


@given(_TARGETS, st.text(max_size=40))
def test_a_key_is_led_to_the_same_target_whatever_the_order_of_targets(
    targets: list[AliasTarget], key: str
) -> None:
    order = [targets[index] for index in ranked(targets, key)]
    assert {(each.model, each.version) for each in order} == {
        (each.model, each.version) for each in targets if each.weight
    }
    if key:
        turned = targets[::-1]
        assert [turned[index] for index in ranked(turned, key)] == order


def test_a_key_is_led_where_it_was_by_every_gateway_before() -> None:
    targets = [AliasTarget("detector", "7", 90), AliasTarget("detector", "8", 10)]
    led = [_led(targets, f"camera-{number}").version for number in range(12)]
    assert led == ["7", "7", "7", "7", "7", "8", "7", "7", "7", "7", "7", "7"]


@given(_TARGETS)
@example([AliasTarget("a", "7", 90), AliasTarget("a", "8", 10)])
@example([AliasTarget("a", "7", 1), AliasTarget("a", "8", 99), AliasTarget("b", "", 0)])
def test_each_target_gets_the_share_of_its_weight(targets: list[AliasTarget]) -> None:
    led = Counter(_led(targets, key) for key in _KEYS)
    total = sum(each.weight for each in targets)
    for target in targets:
        share = target.weight / total
        # Five standard deviations of a fair choice: beyond them the hash, and not chance, is at fault.
        allowed = 5 * (share * (1 - share) * len(_KEYS)) ** 0.5
        assert abs(led[target] - share * len(_KEYS)) <= allowed


@given(_TARGETS, st.data())
def test_a_change_of_one_weight_moves_keys_to_or_from_that_target_only(
    targets: list[AliasTarget], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(targets) - 1))
    weight = data.draw(st.integers(0, 100))
    changed = list(targets)
    changed[index] = replace(targets[index], weight=weight)
    if not any(each.weight for each in changed):
        return
    rises = weight > targets[index].weight
    for key in _KEYS[:300]:
        was, now = ranked(targets, key)[0], ranked(changed, key)[0]
        if was != now:
            assert (now if rises else was) == index


@given(_TARGETS)
def test_without_a_key_the_greatest_weight_leads(targets: list[AliasTarget]) -> None:
    assert _led(targets, "").weight == max(each.weight for each in targets)
