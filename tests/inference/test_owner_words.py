"""Packets of the control socket: what is packed comes back, and rubbish is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.owner_words import EXIT_HUNG, EXIT_STICKY, MOST_BYTES, pack, unpack

PLAIN = st.dictionaries(
    st.text(max_size=8), st.none() | st.booleans() | st.integers() | st.text(), max_size=6
)


@given(PLAIN, st.text())
def test_what_is_packed_is_unpacked(head: dict[str, object], kind: str) -> None:
    said = {**head, "t": kind}
    assert unpack(pack(said)) == said


@given(st.binary(max_size=300) | PLAIN.map(pack))
def test_any_packet_gives_a_message_or_one_error(packet: bytes) -> None:
    try:
        head = unpack(packet)
    except ValueError:
        return
    assert isinstance(head["t"], str)


def test_a_packet_of_brackets_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="no message"):
        unpack(b"[" * (MOST_BYTES // 2))


def test_a_packet_that_nobody_could_read_is_not_sent() -> None:
    with pytest.raises(ValueError, match="packet of"):
        pack({"t": "lane", "spec": "x" * MOST_BYTES})


def test_the_exit_codes_are_apart_from_each_other_and_from_those_of_python_and_shells() -> None:
    assert len({EXIT_STICKY, EXIT_HUNG, 0, 1, 2, 126, 127, 128}) == 8
