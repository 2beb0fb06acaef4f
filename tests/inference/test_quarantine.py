"""Payloads that crash workers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.quarantine import Quarantine


def test_the_second_strike_of_the_same_bytes_refuses_them() -> None:
    quarantine = Quarantine(8)
    assert quarantine.strike("p", b"bad")[1] is False
    assert quarantine.refuses("p", b"bad") is None
    assert quarantine.strike("p", b"bad")[1] is True
    assert quarantine.refuses("p", b"bad") is not None
    assert quarantine.refuses("q", b"bad") is None
    assert quarantine.refuses("p", b"bat") is None
    assert len(quarantine) == 1


def test_a_run_that_ends_well_takes_the_strike_back() -> None:
    quarantine = Quarantine(8)
    for _ in range(5):  # a worker that is killed from outside now and then, on a camera that sees nothing new
        assert quarantine.strike("p", b"same")[1] is False
        quarantine.acquit("p", b"same")
    assert quarantine.refuses("p", b"same") is None
    assert len(quarantine._lengths) == 0


@given(st.lists(st.binary(max_size=3), max_size=200))
def test_it_never_holds_more_than_its_capacity(payloads: list[bytes]) -> None:
    quarantine = Quarantine(5)
    for payload in payloads:
        quarantine.strike("p", payload)
        assert sum(quarantine._lengths.values()) == len(quarantine._strikes) <= 5
