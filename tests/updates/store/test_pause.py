"""The order to take nothing new."""

from __future__ import annotations

import pytest

from gateway.errors import StoreFailed
from gateway.updates.store.failpoints import POINTS, armed
from gateway.updates.store.pause import is_paused, set_paused
from gateway.updates.store.store import Store
from tests.updates.store.transaction import open_store


def test_the_order_stands_over_restarts_until_it_is_taken_back(store: Store) -> None:
    assert not is_paused(store.layout)
    set_paused(store.layout, paused=True)
    store.close()
    again = open_store(store.root)
    assert is_paused(again.layout)
    assert again.check(mend=True) == [], "the check does not know the order"
    assert is_paused(again.layout)
    for _ in range(2):
        set_paused(again.layout, paused=False)
        assert not is_paused(again.layout)
    again.close()


@pytest.mark.parametrize("point", sorted(point for point in POINTS if point.startswith("pause.")))
def test_an_order_that_is_not_kept_is_said(store: Store, point: str) -> None:
    with armed(f"{point}:error:EIO"), pytest.raises(StoreFailed):
        set_paused(store.layout, paused=True)
    set_paused(store.layout, paused=True)
    assert is_paused(store.layout)


def test_what_is_planted_there_is_no_order(store: Store) -> None:
    store.layout.pause.mkdir()
    assert not is_paused(store.layout)
