"""SenML: the RFC's own packs, JSON and CBOR alike, and packs that are none."""

from __future__ import annotations

import json

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Malformed, NotFinite, RequestRefused, TooLarge, UnknownMedia, WrongShape
from gateway.frames.declaration import Declaration
from gateway.frames.limits import PayloadLimits
from gateway.frames.senml import Record, decode_senml_cbor, decode_senml_json, resolve_pack
from gateway.frames.tree import Tree
from gateway.frames.values import Numbers

LIMITS = PayloadLimits()
LABELS = {
    "bn": -2, "bt": -3, "bu": -4, "bv": -5, "bs": -6, "bver": -1,
    "n": 0, "u": 1, "v": 2, "vs": 3, "vb": 4, "s": 5, "t": 6, "ut": 7, "vd": 8,
}  # fmt: skip


def in_json(pack: Tree, *fields: str) -> Numbers:
    return decode_senml_json(memoryview(json.dumps(pack).encode()), Declaration(fields=fields), LIMITS)


def in_cbor(pack: Tree, *fields: str) -> Numbers:
    labelled = [{LABELS.get(key, key): value for key, value in record.items()} for record in pack]
    return decode_senml_cbor(memoryview(cbor2.dumps(labelled)), Declaration(fields=fields), LIMITS)


# RFC 8428, 5.1.3 and 5.1.2.
SEVERAL = [
    {"bn": "urn:dev:ow:10e2073a0108006:", "bt": 1.276020076001e09, "bu": "A", "bver": 5,
     "n": "voltage", "u": "V", "v": 120.1},
    {"n": "current", "t": -5, "v": 1.2},
    {"n": "current", "t": -4, "v": 1.3},
    {"n": "current", "t": -3, "v": 1.4},
]  # fmt: skip
PAIR = [
    {"bn": "urn:dev:ow:10e2073a01080063", "bt": 1.320067464e09, "bu": "%RH", "v": 20},
    {"u": "lon", "v": 24.30621},
]


def test_a_chosen_name_gives_its_readings_in_order() -> None:
    for decode in (in_json, in_cbor):
        got = decode(SEVERAL, "current")
        np.testing.assert_allclose(got.values[:, 0], [1.2, 1.3, 1.4], rtol=1e-6)
        assert got.names == ("current",)
        assert decode(SEVERAL, "urn:dev:ow:10e2073a0108006:voltage").values.shape == (1, 1)


def test_records_of_one_name_become_rows() -> None:
    assert in_json(PAIR).values.shape == (2, 1)


def test_base_fields_hold_until_they_are_set_anew() -> None:
    pack = [
        {"bn": "a/", "bt": 100, "bv": 10, "n": "x", "v": 1},
        {"n": "y", "t": 2, "v": 2},
        {"bn": "b/", "bv": 0, "n": "x", "vb": True},
    ]
    assert resolve_pack(pack) == [
        Record("a/x", "x", 100, 11),
        Record("a/y", "y", 102, 12),
        Record("b/x", "x", 100, 1),
    ]


def test_readings_are_put_in_the_order_of_their_times() -> None:
    pack = [{"n": "t", "t": 3, "v": 30}, {"n": "t", "t": 1, "v": 10}, {"n": "t", "t": 2, "v": 20}]
    assert in_json(pack).values.tolist() == [[10], [20], [30]]


def test_names_side_by_side_keep_the_packs_order_or_the_declared_one() -> None:
    pack = [{"n": "b", "v": 2}, {"n": "a", "v": 1}, {"n": "note", "vs": "text"}, {"n": "raw", "vd": "AQI"}]
    assert in_cbor(pack).names == ("b", "a")
    assert in_cbor(pack, "a", "b").values.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("pack", "error"),
    [
        ({}, Malformed),
        ([], Malformed),
        ([5], Malformed),
        ([{"v": 5}], Malformed),
        ([{"n": "a", "v": "5"}], Malformed),
        ([{"n": "a", "v": True}], Malformed),
        ([{"n": 5, "v": 5}], Malformed),
        ([{"n": "a", "bt": "now", "v": 5}], Malformed),
        ([{"n": "a", "v": 1, "odd_": 1}], Malformed),
        ([{"n": "a", "vs": "text"}], Malformed),
        ([{"n": "a", "v": 1, "bver": 11}], UnknownMedia),
        ([{"n": "a", "v": 1e99}], NotFinite),
        ([{"n": "a", "v": 1}, {"n": "a", "v": 2}, {"n": "b", "v": 3}], WrongShape),
        ([{"n": f"n{index}", "v": 1} for index in range(5000)], TooLarge),
    ],
)
def test_packs_that_are_none_are_refused_by_their_reason(pack: Tree, error: type[RequestRefused]) -> None:
    with pytest.raises(error):
        in_json(pack)


def test_a_declared_field_must_name_one_series() -> None:
    pack = [{"bn": "a/", "n": "x", "v": 1}, {"bn": "b/", "n": "x", "v": 2}]
    with pytest.raises(Malformed, match="2 names"):
        in_json(pack, "x")
    assert in_json(pack, "b/x").values.tolist() == [[2]]


def test_cbor_numbers_beyond_floats_are_refused() -> None:
    with pytest.raises(NotFinite):
        in_cbor([{"n": "a", "v": float("nan")}])
    with pytest.raises(NotFinite):
        in_cbor([{"n": "a", "v": 2**1100}])


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.none())
packs = st.lists(st.dictionaries(st.sampled_from([*LABELS, "x_", "other"]), values, max_size=5), max_size=6)


@given(packs | values)
@settings(max_examples=100)
def test_any_pack_gives_readings_or_a_typed_error(pack: Tree) -> None:
    payload = memoryview(cbor2.dumps(pack))
    try:
        got = decode_senml_cbor(payload, Declaration(), LIMITS)
    except RequestRefused:
        return
    assert np.isfinite(got.values).all()
    assert got.values.shape[1] == len(got.names)
