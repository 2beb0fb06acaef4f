"""The CBOR reader against the RFC's own vectors, another writer, and hostile bytes."""

from __future__ import annotations

import math
import struct

import cbor2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.errors import Malformed, RequestRefused, TooLarge, UnknownMedia, WrongShape
from gateway.frames.cbor import loads
from gateway.frames.limits import PayloadLimits
from gateway.frames.tree import MAX_CONTAINERS, MAX_ITEMS, Tree
from tests.frames.samples import damaged

LIMITS = PayloadLimits()


def read(data: bytes | str, limits: PayloadLimits = LIMITS) -> Tree:
    return loads(memoryview(bytes.fromhex(data) if isinstance(data, str) else data), limits)


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20)
)
keys = st.text(max_size=5) | st.integers(-1000, 1000) | st.binary(max_size=3)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=25,
)


def of_open_length(tree: Tree) -> bytes:
    """Encode lists and maps without their length."""
    if isinstance(tree, list):
        return b"\x9f" + b"".join(map(of_open_length, tree)) + b"\xff"
    if isinstance(tree, dict):
        pairs = (cbor2.dumps(key) + of_open_length(value) for key, value in tree.items())
        return b"\xbf" + b"".join(pairs) + b"\xff"
    return cbor2.dumps(tree)


@given(trees, st.booleans())
@settings(max_examples=150)
def test_what_another_writer_encodes_is_read_back(tree: Tree, canonical: bool) -> None:
    assert tree == read(cbor2.dumps(tree, canonical=canonical))
    assert tree == read(of_open_length(tree))


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # RFC 8949, appendix A
        ("1b000000e8d4a51000", 1_000_000_000_000),
        ("1bffffffffffffffff", 18_446_744_073_709_551_615),
        ("c249010000000000000000", 18_446_744_073_709_551_616.0),
        ("c349010000000000000000", -18_446_744_073_709_551_617.0),
        ("3bffffffffffffffff", -18_446_744_073_709_551_616),
        ("f97bff", 65_504.0),
        ("fa47c35000", 100_000.0),
        ("fb3ff199999999999a", 1.1),
        ("f90001", 5.960464477539063e-8),
        ("f97c00", math.inf),
        ("f7", None),
        ("c074323031332d30332d32315432303a30343a30305a", "2013-03-21T20:04:00Z"),
        ("c11a514b67b0", 1_363_896_240),
        ("d818456449455446", b"dIETF"),
        ("62c3bc", "\u00fc"),
        ("64f0908591", "\U00010151"),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
        ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
        ("5f42010243030405ff", b"\1\2\3\4\5"),
        ("7f657374726561646d696e67ff", "streaming"),
        ("d9d9f783010203", [1, 2, 3]),
    ],
)
def test_the_rfcs_own_examples_are_read(data: str, expected: Tree) -> None:
    assert expected == read(data)


TYPED = {
    64: "u1", 65: ">u2", 66: ">u4", 67: ">u8", 68: "u1", 69: "<u2", 70: "<u4", 71: "<u8",
    72: "i1", 73: ">i2", 74: ">i4", 75: ">i8", 77: "<i2", 78: "<i4", 79: "<i8",
    80: ">f2", 81: ">f4", 82: ">f8", 84: "<f2", 85: "<f4", 86: "<f8",
}  # fmt: skip


@pytest.mark.parametrize(("tag", "descr"), TYPED.items())
def test_every_typed_array_is_read_in_native_order(tag: int, descr: str) -> None:
    sent = np.array([0, 1, 100, 5]).astype(descr)
    got = read(cbor2.dumps(cbor2.CBORTag(tag, sent.tobytes())))
    np.testing.assert_array_equal(got, sent)
    assert got.dtype == sent.dtype.newbyteorder("=")


def test_the_rfcs_multi_dimensional_example_is_read_in_both_orders() -> None:
    elements = [2, 4, 8, 4, 16, 256]
    wire = np.array(elements, ">u2").tobytes()
    rows = read(cbor2.dumps(cbor2.CBORTag(40, [[2, 3], cbor2.CBORTag(65, wire)])))
    assert rows.tolist() == [[2, 4, 8], [4, 16, 256]]
    plain = read(cbor2.dumps(cbor2.CBORTag(40, [[2, 3], elements])))
    assert plain.tolist() == rows.tolist()
    columns = read(cbor2.dumps(cbor2.CBORTag(1040, [[2, 3], cbor2.CBORTag(65, wire)])))
    assert columns.tolist() == [[2, 8, 16], [4, 4, 256]]


@pytest.mark.parametrize(
    ("tree", "error"),
    [
        (cbor2.CBORTag(85, b"\0" * 7), Malformed),
        (cbor2.CBORTag(85, "text"), Malformed),
        (cbor2.CBORTag(83, bytes(16)), UnknownMedia),
        (cbor2.CBORTag(76, bytes(4)), UnknownMedia),
        (cbor2.CBORTag(40, [[2, 2], cbor2.CBORTag(64, bytes(5))]), WrongShape),
        (cbor2.CBORTag(40, [[2.5, 2], cbor2.CBORTag(64, bytes(5))]), Malformed),
        (cbor2.CBORTag(40, [[2**40, 2**40], cbor2.CBORTag(64, bytes(5))]), WrongShape),
        (cbor2.CBORTag(40, [[1] * 40, [1]]), Malformed),
        (cbor2.CBORTag(40, 5), Malformed),
        (cbor2.CBORTag(40, [[2], ["a", {}]]), Malformed),
    ],
)
def test_arrays_that_lie_are_refused(tree: Tree, error: type[RequestRefused]) -> None:
    with pytest.raises(error):
        read(cbor2.dumps(tree))


def test_shared_references_are_refused_so_that_no_tree_holds_itself() -> None:
    cycle: list[Tree] = []
    cycle.append(cycle)
    with pytest.raises(UnknownMedia):
        read(cbor2.dumps(cycle, value_sharing=True))
    with pytest.raises(UnknownMedia):
        read(cbor2.dumps(["text" * 9, "text" * 9], string_referencing=True))


@pytest.mark.parametrize("opening", ["81", "9f", "a100", "bf00", "c6", "d8ff", "8181c6"])
@pytest.mark.parametrize("depth", [40, 100_000])
def test_a_depth_bomb_is_too_large(opening: str, depth: int) -> None:
    with pytest.raises(TooLarge):
        read(bytes.fromhex(opening * depth) + b"\0")


def test_nesting_is_allowed_up_to_the_limit() -> None:
    assert read("81" * 32 + "00") is not None
    with pytest.raises(TooLarge):
        read("81" * 33 + "00")


@pytest.mark.parametrize("head", ["5b", "7b", "9b", "bb", "5a", "7a", "9a", "ba"])
def test_a_declared_length_allocates_nothing(head: str) -> None:
    with pytest.raises(Malformed):
        read(bytes.fromhex(head) + b"\xff" * 8 + b"\0" * 16)


@pytest.mark.parametrize(
    "data",
    ["", "18", "19ff", "fa00", "61", "62c3", "61ff", "82", "8201", "a1", "a101", "ff", "81ff", "1c", "fc",
     "f8", "f820", "f0", "1f", "3f", "df00", "5f", "5f01ff", "5f6161ff", "5f5f4101ffff", "9f", "bf",
     "bf01ff", "0000", "a1f500", "a1f600", "a18000", "a1fa0000000000", "c2", "c200", "c3f6"],
)  # fmt: skip
def test_broken_cbor_is_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        read(data)


def test_big_integers_end_at_infinity_however_long() -> None:
    assert read(cbor2.dumps(2**1023)) == float(2**1023)
    assert read(cbor2.dumps(2**5000)) == math.inf
    assert read(cbor2.dumps(-(2**8_000_000))) == -math.inf


def test_more_items_than_memory_should_hold_are_refused() -> None:
    with pytest.raises(TooLarge):
        read(b"\x9a" + struct.pack(">I", MAX_ITEMS + 1) + bytes(MAX_ITEMS + 1))
    with pytest.raises(TooLarge):
        read(b"\x9a" + struct.pack(">I", MAX_CONTAINERS + 1) + b"\x80" * (MAX_CONTAINERS + 1))


def test_limits_of_bytes_and_elements_hold() -> None:
    with pytest.raises(TooLarge):
        read(bytes(11), PayloadLimits(max_bytes=10))
    with pytest.raises(TooLarge):
        read(cbor2.dumps(cbor2.CBORTag(64, bytes(11))), PayloadLimits(max_elements=10))


SAMPLE = cbor2.dumps(
    {
        "imu": {"x": cbor2.CBORTag(85, bytes(16)), "y": [1.5, 2, -3, None]},
        "frame": cbor2.CBORTag(40, [[2, 2], cbor2.CBORTag(64, bytes(4))]),
        "big": 2**70,
        5: "text",
    }
)


@given(st.binary(max_size=60))
@example(bytes.fromhex("d82882809f00ff"))
@example(bytes.fromhex("d8288281d8404101d8404101"))
@settings(max_examples=300)
def test_any_bytes_give_a_tree_or_a_typed_error(data: bytes) -> None:
    try:
        read(data)
    except RequestRefused:
        return


@given(st.integers(0, 10**9))
@settings(max_examples=300)
def test_damaged_cbor_gives_a_tree_or_a_typed_error(seed: int) -> None:
    try:
        read(damaged(SAMPLE, seed))
    except RequestRefused:
        return
