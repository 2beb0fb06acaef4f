"""Bounded JSON: what Python's own parser reads, less what would hurt."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Malformed, NotFinite, RequestRefused, TooLarge
from gateway.frames.json_text import parse_json
from gateway.frames.limits import PayloadLimits
from gateway.frames.tree import MAX_CONTAINERS, MAX_ITEMS, Tree
from tests.frames.samples import damaged

LIMITS = PayloadLimits()


def parsed(text: str | bytes, limits: PayloadLimits = LIMITS) -> Tree:
    return parse_json(memoryview(text.encode() if isinstance(text, str) else text), limits)


leaves = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


@given(trees)
def test_every_json_value_is_read_as_it_was_written(tree: Tree) -> None:
    assert tree == parsed(json.dumps(tree))
    assert tree == parsed(json.dumps(tree, ensure_ascii=False, indent=1))


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_a_depth_bomb_is_too_large(opening: str) -> None:
    for depth in (200, 5_000, 500_000):
        with pytest.raises((TooLarge, Malformed)):
            parsed(opening * depth)  # how deep the parser goes before it misses the rest is its own
        closing = "".join({"[": "]", "{": "}"}[sign] for sign in reversed(opening) if sign in "[{")
        with pytest.raises(TooLarge):
            parsed(opening * depth + "1" + closing * depth)


@pytest.mark.parametrize("depth", [2, 5, 32])
def test_nesting_is_allowed_up_to_the_limit_and_no_further(depth: int) -> None:
    limits = PayloadLimits(max_depth=depth)
    many = "[]," * 40  # enough brackets to make the depth worth counting
    assert isinstance(parsed("[" + many + "[" * (depth - 1) + "]" * depth, limits), list)
    with pytest.raises(TooLarge):
        parsed("[" + many + "[" * depth + "]" * (depth + 1), limits)


def test_brackets_in_strings_are_not_nesting() -> None:
    assert parsed('["' + "[" * 200 + '"]') == ["[" * 200]


def test_integers_without_end_become_infinity_in_linear_time() -> None:
    assert parsed("[" + "9" * 1_000_000 + "]") == [math.inf]


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_words_for_what_is_no_number_are_refused(word: str) -> None:
    with pytest.raises(NotFinite):
        parsed(f'{{"a": [1, {word}]}}')


def test_of_a_repeated_key_the_last_counts() -> None:
    assert parsed('{"a": 1, "a": 2}') == {"a": 2.0}


@pytest.mark.parametrize("raw", [b"\xff\xfe[1]", b'["\xff"]', b'["\xed\xa0\x80"]', "[1]".encode("utf-16")])
def test_what_is_not_utf8_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parsed(raw)


@pytest.mark.parametrize("text", ["", "[1,]", "[1] 2", "{1:2}", '{"a"}', "nul", "[01]", "'a'"])
def test_what_is_not_json_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parsed(text)


def test_more_values_than_memory_should_hold_are_refused_unparsed() -> None:
    with pytest.raises(TooLarge):
        parsed("[" + "0," * MAX_ITEMS + "0]")
    with pytest.raises(TooLarge):
        parsed("[" + "{}," * MAX_CONTAINERS + "0]")


def test_more_bytes_than_allowed_are_refused_unparsed() -> None:
    with pytest.raises(TooLarge):
        parsed(b"\xff" * 11, PayloadLimits(max_bytes=10))


@given(trees, st.integers(0, 10**9))
@settings(max_examples=100)
def test_damaged_text_gives_a_value_or_a_typed_error(tree: Tree, seed: int) -> None:
    try:
        parsed(damaged(json.dumps(tree).encode(), seed))
    except RequestRefused:
        return


@given(st.binary(max_size=60))
def test_any_bytes_give_a_value_or_a_typed_error(raw: bytes) -> None:
    try:
        parsed(raw)
    except RequestRefused:
        return
