"""What is remembered of packets changes nothing of what they mean."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.serving.shared_memory.door_words import Infer, call_number, read_packet, word_of
from gateway.serving.shared_memory.known_words import Known, KnownWords

BEGIN = b'{"do":"infer","call":'
TAIL = b',"model":"m","into":{"region":"r","byte_size":9}}'


def plainly(packet: bytes) -> tuple[int, object]:
    """Read a packet without any memory: its number, and its word or the label of what is wrong."""
    head = read_packet(packet)
    number = call_number(head)
    try:
        return number, word_of(head)
    except GatewayError as error:
        return number, error.label


def seen(words: KnownWords, packet: bytes) -> tuple[int, object]:
    """Read a packet with memory."""
    number, found = words.read(memoryview(packet))
    return number, found.word if isinstance(found, Known) else found.label


def test_a_call_that_differs_by_its_number_alone_is_read_once() -> None:
    words = KnownWords()
    found = [words.read(memoryview(BEGIN + b"%d" % number + TAIL)) for number in (1, 2, 10**14)]
    assert [number for number, _ in found] == [1, 2, 10**14]
    first = found[0][1]
    assert isinstance(first, Known)
    assert isinstance(first.word, Infer)
    assert all(known is first for _, known in found)
    words.forget()
    assert words.read(memoryview(BEGIN + b"1" + TAIL))[1] is not first


def test_a_client_cannot_make_the_memory_grow() -> None:
    words = KnownWords()
    for number in range(1000):
        words.read(memoryview(BEGIN + b"1" + TAIL.replace(b'"m"', b'"%d"' % number)))
        assert len(words._known) <= 64
    words.forget()
    words.read(memoryview(BEGIN + b"1" + TAIL + b" " * 5000))
    assert words._known == {}


TAILS = st.sampled_from(
    (
        TAIL,
        TAIL[:-1] + b',"call":9}',
        TAIL[:-1] + b',"c\\u0061ll":9}',
        TAIL[:-1] + b',"do":"cancel"}',
        TAIL[:-1] + b',"d\\u006f":"cancel"}',
        TAIL[:-1] + b',"id":"x"}',
        TAIL[:-1],
        b"}",
    )
)
NUMBERS = st.sampled_from(
    (b"0", b"1", b"2", b"007", b"-1", b"1.0", b"1e3", b"9" * 15, b"9" * 16, b"9" * 20, b'"1"')
)


@given(packets=st.lists(st.tuples(NUMBERS, TAILS), max_size=8))
@example(packets=[(b"1", TAIL[:-1] + b',"call":9}'), (b"2", TAIL[:-1] + b',"call":9}')])
def test_every_packet_means_what_it_means_alone(packets: list[tuple[bytes, bytes]]) -> None:
    words = KnownWords()
    for number, tail in packets:
        packet = BEGIN + number + tail
        expected: Any
        try:
            expected = plainly(packet)
        except GatewayError as error:
            expected = error.label
        try:
            assert seen(words, packet) == expected
        except GatewayError as error:
            assert error.label == expected
