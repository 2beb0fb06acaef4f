"""The rules of ``gateway.daemon.alias_table``, over any order of changes."""

from __future__ import annotations

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.configuration.serving_settings import AliasSettings, AliasTarget
from gateway.daemon.alias_table import Alias, AliasState, AliasTable, said
from gateway.errors import LostRace, Malformed, UnknownModel

_TARGETS = st.lists(
    st.builds(
        AliasTarget, model=st.sampled_from("ab"), version=st.sampled_from(["", "7"]), weight=st.just(1)
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda each: (each.model, each.version),
).map(tuple)


class Changes(RuleBasedStateMachine):
    """One alias, changed by order and by the configuration."""

    def __init__(self) -> None:
        super().__init__()
        self.table = AliasTable()
        self.begun: list[Alias] = []
        self.configured: tuple[AliasTarget, ...] | None = None
        self.wish: tuple[AliasTarget, ...] = ()
        self.active: tuple[AliasTarget, ...] = ()

    def _forgotten(self) -> None:
        self.wish = self.active = ()

    @rule(wanted=_TARGETS, is_right=st.booleans())
    def order(self, wanted: tuple[AliasTarget, ...], is_right: bool) -> None:
        expected = self.wish if is_right else (*self.wish, AliasTarget("other"))
        if is_right:
            self.begun.append(self.table.begin("x", wanted, expected))
            self.wish = wanted
        else:
            with pytest.raises(LostRace):
                self.table.begin("x", wanted, expected)

    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        if not self.begun:
            return
        begun = data.draw(st.sampled_from(self.begun))
        known = self.table.aliases.get("x")
        if known is not None and known.change == begun.change:
            self.table.moved(begun)
            self.active = begun.wish
        else:
            with pytest.raises(LostRace):
                self.table.moved(begun)

    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        if not self.begun:
            return
        begun = data.draw(st.sampled_from(self.begun))
        before = self.table.aliases.get("x")
        self.table.failed(begun, "it does not load")
        now = self.table.aliases.get("x")
        if before is None or before.change != begun.change:
            assert now == before
        else:
            assert now is not None
            assert now.state is AliasState.TRANSITION_FAILED

    @rule(wanted=_TARGETS)
    def configure(self, wanted: tuple[AliasTarget, ...]) -> None:
        self.table.configure({"x": AliasSettings(wanted)})
        if wanted != self.configured:
            self.wish = wanted
            self.begun.append(self.table.aliases["x"])
        self.configured = wanted

    @rule()
    def configure_nothing(self) -> None:
        self.table.configure({})
        if self.configured is not None:
            self._forgotten()
        self.configured = None

    @rule()
    def remove(self) -> None:
        if "x" in self.table.aliases:
            self.table.remove("x", self.wish)
            self._forgotten()
        else:
            with pytest.raises(UnknownModel):
                self.table.remove("x")

    @invariant()
    def it_leads_where_it_was_moved_last(self) -> None:
        known = self.table.aliases.get("x")
        assert (known.wish if known else ()) == self.wish
        assert (known.active if known else ()) == self.active
        if known is not None:
            assert (known.state is AliasState.DEFINED) <= (known.wish == known.active)
            assert bool(known.reason) == (known.state is AliasState.TRANSITION_FAILED)


TestChanges = Changes.TestCase
TestChanges.settings = hypothesis_settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_targets_that_no_alias_can_have_are_refused() -> None:
    table = AliasTable()
    for targets, why in (
        ((), "no targets"),
        ((AliasTarget("a"), AliasTarget("a", weight=5)), "twice"),
        ((AliasTarget("a", weight=-1),), "weights are"),
        ((AliasTarget("a", weight=10_001),), "weights are"),
        ((AliasTarget("a", weight=0),), "any weight"),
    ):
        with pytest.raises(Malformed, match=why):
            table.begin("x", targets)
    assert table.aliases == {}


@pytest.mark.parametrize("name", ["", " ", "..", "a/b", "a b", "x\0", "é", "x" * 64, "#", "name\n"])
def test_a_name_that_no_configuration_takes_is_none_by_order_either(name: str) -> None:
    table = AliasTable()
    with pytest.raises(Malformed, match="is no name for an alias"):
        table.begin(name, (AliasTarget("a"),))
    assert table.aliases == {}


def test_targets_are_said_with_their_shares() -> None:
    assert said(()) == "nothing"
    assert said((AliasTarget("a", "7", 3),)) == "a@7"
    assert said((AliasTarget("a", "7", 3), AliasTarget("b", "", 1))) == "a@7 75 %, b 25 %"
