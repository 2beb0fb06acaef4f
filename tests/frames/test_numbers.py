"""Readings out of JSON and text: which numbers are taken, in which form, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Malformed, NotFinite, RequestRefused, TooLarge, WrongShape
from gateway.frames.declaration import Declaration
from gateway.frames.limits import PayloadLimits
from gateway.frames.numbers import MAX_CHANNELS, decode_json, decode_text, read_numbers
from gateway.frames.tree import Tree
from gateway.frames.values import Numbers

LIMITS = PayloadLimits()


def of(tree: Tree, *fields: str, shape: tuple[int, ...] = ()) -> Numbers:
    payload = memoryview(json.dumps(tree).encode())
    return decode_json(payload, Declaration(fields=fields, shape=shape), LIMITS)


@pytest.mark.parametrize(
    ("tree", "values", "names"),
    [
        ({"t": 21.5, "h": 40}, [[21.5, 40]], ("t", "h")),
        ({"id": "a", "ok": True, "t": 1, "none": None}, [[1]], ("t",)),
        ({"imu": {"x": [1, 2], "y": [3, 4]}}, [[1, 3], [2, 4]], ("imu.x", "imu.y")),
        ([1, 2, 3], [[1], [2], [3]], ()),
        ([[1, 2], [3, 4], [5, 6]], [[1, 2], [3, 4], [5, 6]], ()),
        ([{"x": 1, "y": 2}, {"x": 3, "y": 4}], [[1, 2], [3, 4]], ("x", "y")),
        ({"rows": [{"x": 1}, {"x": 2}]}, [[1], [2]], ("rows.x",)),
        ({"xyz": [[1, 2, 3], [4, 5, 6]]}, [[1, 2, 3], [4, 5, 6]], ("xyz[0]", "xyz[1]", "xyz[2]")),
        ({"words": ["a", "b"], "t": 5}, [[5]], ("t",)),
    ],
)
def test_without_fields_every_number_is_taken(
    tree: Tree, values: list[list[float]], names: tuple[str, ...]
) -> None:
    got = of(tree)
    assert got.values.tolist() == values
    assert got.values.dtype == np.float32
    assert got.names == names


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        (("imu.y", "imu.x"), [[2, 1]]),
        (("temperature", "state", "flag"), [[21.5, 1, 1]]),
        (("samples[1]",), [[3], [4]]),
        (("samples",), [[1, 2], [3, 4]]),
        (("records.v",), [[7], [8]]),
    ],
)
def test_declared_fields_become_the_channels_in_their_order(
    fields: tuple[str, ...], values: list[list[float]]
) -> None:
    tree = {
        "imu": {"x": 1, "y": 2},
        "temperature": "21.5",
        "state": "ON",
        "flag": True,
        "samples": [[1, 2], [3, 4]],
        "records": [{"v": 7}, {"v": 8}],
    }
    assert of(tree, *fields).values.tolist() == values


def test_a_flat_list_is_folded_into_a_declared_shape() -> None:
    assert of([1, 2, 3, 4, 5, 6], shape=(-1, 3)).values.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert of([1, 2, 3], shape=(1, 3)).values.tolist() == [[1, 2, 3]]
    assert of([1, 2, 3], shape=(3,)).values.tolist() == [[1], [2], [3]]


@pytest.mark.parametrize(
    ("tree", "shape"),
    [([1, 2, 3], (2,)), ([1, 2, 3, 4], (-1, 3)), ([[1, 2], [3, 4], [5, 6]], (2, 3)), ([1, 2], (1, 2, 1))],
)
def test_readings_that_do_not_fit_a_declared_shape_are_refused(tree: Tree, shape: tuple[int, ...]) -> None:
    with pytest.raises(WrongShape):
        of(tree, shape=shape)


@pytest.mark.parametrize(
    ("tree", "fields", "error"),
    [
        ({}, (), Malformed),
        ([], (), Malformed),
        ({"a": "text"}, (), Malformed),
        ({"a": "text"}, ("a",), Malformed),
        ({"a": {"b": 1}}, ("a",), Malformed),
        ({"a": 1}, ("b",), Malformed),
        ([{"a": 1}, {"b": 1}], (), Malformed),
        ([{"a": 1}, 5], (), Malformed),
        ({"a": []}, ("a",), WrongShape),
        ({"a": [1, 2], "b": 3}, (), WrongShape),
        ([[1, 2], [3]], (), WrongShape),
        ([[[1]]], (), WrongShape),
        ({"a": [1, None]}, (), NotFinite),
        ({"a": 1e300}, (), NotFinite),
        ({"a": "nan"}, ("a",), NotFinite),
        ({"a": 10**400}, (), NotFinite),
    ],
)
def test_what_gives_no_readings_is_refused_by_its_reason(
    tree: Tree, fields: tuple[str, ...], error: type[RequestRefused]
) -> None:
    with pytest.raises(error):
        of(tree, *fields)


def test_objects_with_thousands_of_fields_are_refused() -> None:
    with pytest.raises(TooLarge):
        of({f"k{index}": 1 for index in range(MAX_CHANNELS + 1)})


def test_the_element_limit_holds() -> None:
    with pytest.raises(TooLarge):
        read_numbers([1.0] * 11, Declaration(), PayloadLimits(max_elements=10))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("21.5", [[21.5]]),
        (" -3e2\n", [[-300]]),
        ("ON", [[1]]),
        ("off", [[0]]),
        ("1,2;3 4", [[1, 2, 3, 4]]),
        ("1,2\r\n3,4\n\n", [[1, 2], [3, 4]]),
        ('{"t": 5}', [[5]]),
    ],
)
def test_text_is_read_as_numbers_a_line_a_reading(text: str, values: list[list[float]]) -> None:
    assert decode_text(memoryview(text.encode()), Declaration(), LIMITS).values.tolist() == values


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", Malformed),
        (b"online", Malformed),
        (b"1,2\n3", WrongShape),
        (b"nan", NotFinite),
        (b"1e99", NotFinite),
        (b"\xff1", Malformed),
        (b"1 " * 1_000_001, TooLarge),
    ],
)
def test_text_that_is_no_readings_is_refused_by_its_reason(raw: bytes, error: type[RequestRefused]) -> None:
    with pytest.raises(error):
        decode_text(memoryview(raw), Declaration(), LIMITS)


leaves = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4) | st.binary(max_size=4)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=12,
)
paths = st.lists(st.sampled_from(["a", "b", "a.b", "a[0]", "[1]", "b.b[0].a"]), max_size=2).map(tuple)


@given(trees, paths, st.sampled_from([(), (-1,), (-1, 2), (1, 1), (2, -1)]))
@settings(max_examples=150)
def test_any_tree_gives_finite_readings_or_a_typed_error(
    tree: Tree, fields: tuple[str, ...], shape: tuple[int, ...]
) -> None:
    try:
        got = read_numbers(tree, Declaration(fields=fields, shape=shape), LIMITS)
    except RequestRefused:
        return
    assert got.values.ndim == 2
    assert got.values.dtype == np.float32
    assert np.isfinite(got.values).all()
    assert len(got.names) in (0, got.values.shape[1])


@given(st.binary(max_size=40) | st.text(alphabet="01.,; \nonfe-+{[", max_size=40).map(str.encode))
def test_any_text_gives_readings_or_a_typed_error(raw: bytes) -> None:
    try:
        decode_text(memoryview(raw), Declaration(), LIMITS)
    except RequestRefused:
        return
