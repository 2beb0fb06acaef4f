"""JSON from clients: what is read is what the text says, and everything else is refused within bounds."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import Malformed, RequestRefused, TooLarge
from gateway.serving.rest.json_reading import MOST_JSON_BYTES, read_json, read_object

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)


@given(TREES, st.booleans())
@example({"x:0": [1, {"{": ":"}]}, False)
def test_what_another_writer_wrote_is_read_whole(tree: Any, ascii_only: bool) -> None:
    assert read_json(json.dumps(tree, ensure_ascii=ascii_only).encode(), 512) == tree


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}',
        b'{"a":1,"a":2,"b":"\\u003a"}',
        b'{"a":{"x":1},"a":2}',
        b'{"a":1,"\\u0061":2}',
        b'{"d":[1,{"b":1,"b":2}]}',
        b'[{"a":1},{"b":1,"b":{}}]',
        b'{"a":"{:","a":"{:"}',
    ],
)
def test_a_key_that_stands_twice_is_refused_wherever_it_stands(text: bytes) -> None:
    with pytest.raises(Malformed, match="twice"):
        read_json(text, 32)


LONG = b"[" + b",".join([b"1.5"] * 5000) + b"]"


@pytest.mark.parametrize(
    "text",
    [
        b'{"data":%s,"data":%s}',
        b'{"inputs":[{"name":"x:0","data":%s},{"name":"y","data":%s,"name":"z"}]}',
        b'{"inputs":[{"data":%s,"parameters":{"a":1,"a":{}}},{"data":%s}]}',
        b'{"a":"\\u003a","data":%s,"b":1,"b":%s}',
    ],
)
def test_a_key_that_stands_twice_is_found_in_long_texts_too(text: bytes) -> None:
    with pytest.raises(Malformed, match="twice"):
        read_json(text % (LONG, LONG), 32)


def test_long_texts_are_read_whole() -> None:
    text = b'{"inputs":[{"name":"x:{0}","data":%s,"mixed":[1,{"a":2}]}],"id":"\\u0041"}' % LONG
    assert read_json(text, 32) == json.loads(text)
    text = b'{"inputs":[{"name":"x:{0}","data":%s}],"id":"A"}' % LONG
    assert read_json(text, 32) == json.loads(text)


@given(st.dictionaries(WORDS, TREES, min_size=1, max_size=3), st.data())
def test_no_doubled_key_gets_through(tree: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(tree)))
    members = [*tree.items(), (key, data.draw(TREES))]
    text = "{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in members) + "}"
    with pytest.raises(Malformed):
        read_json(text.encode(), 512)


@pytest.mark.parametrize(
    "text", [b"NaN", b"[Infinity]", b"[1e999]", b'"\\ud800"', b"\xff", b"", b"{", b"[1,]", b"1" * 5000]
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        read_json(text, 32)


@given(st.integers(1, 64), st.integers(1, 64), st.sampled_from([b"[]", b'{"]":', b'{"a":[']))
def test_nesting_is_bounded_exactly(depth: int, most: int, kind: bytes) -> None:
    opened = {b"[]": (b"[", b"]", 1), b'{"]":': (b'{"]":', b"}", 1), b'{"a":[': (b'{"a":[', b"]}", 2)}[kind]
    before, after, each = opened
    text = before * depth + b"1" + after * depth
    if depth * each > most:
        with pytest.raises(TooLarge, match="nested"):
            read_json(text, most)
    else:
        read_json(text, most)


def test_brackets_in_strings_are_not_nesting() -> None:
    assert read_json(json.dumps(['[[[["\\', "{{{{"]).encode(), 1) == ['[[[["\\', "{{{{"]


@pytest.mark.parametrize(
    "text",
    [
        b" " * (MOST_JSON_BYTES + 1),
        b"[" + b"[]," * 600_000 + b"[]]",
        b"[[]" + b',""' * 600_000 + b",[]]",
        b"[" * 100_000,
    ],
)
def test_what_would_take_long_or_much_memory_is_refused(text: bytes) -> None:
    with pytest.raises(TooLarge):
        read_json(text, 1)


@given(st.binary(max_size=64) | st.text(alphabet='{}[]":,\\u0a1eE.-+ntf', max_size=64).map(str.encode))
def test_any_bytes_give_a_value_or_one_typed_error(data: bytes) -> None:
    with contextlib.suppress(RequestRefused):
        read_json(data, 8)


def test_an_empty_text_has_no_members_and_other_values_are_none() -> None:
    assert read_object(b"", 8) == {}
    with pytest.raises(Malformed, match="object"):
        read_object(b"[]", 8)
