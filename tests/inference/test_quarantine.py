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


@given(st.lists(st.binary(max_size=3), max_size=200))
def test_it_never_holds_more_than_its_capacity(payloads: list[bytes]) -> None:
    quarantine = Quarantine(5)
    for payload in payloads:
        quarantine.strike("p", payload)
    assert len(quarantine._strikes) <= 5
