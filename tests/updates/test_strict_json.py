"""Signed JSON is read without leniency, whatever the bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ManifestRefused
from gateway.updates.strict_json import MOST_DEPTH, Fields, canonical, read_fields


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\ab01eE.-', max_size=200).map(str.encode))
def test_any_bytes_give_an_object_or_one_error(data: bytes) -> None:
    try:
        assert isinstance(read_fields(data, 200), Fields)
    except ManifestRefused as error:
        assert len(error.message) < 400
        assert error.message.isprintable()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b'{"x": {"a": 1, "a": 1}}', "stands twice"),
        (b'{"a": NaN}', "no number"),
        (b'{"a": -Infinity}', "no number"),
        (b'{"a": 1e999}', "no number"),
        (b'{"a": ' + b"9" * 41 + b"}", "no number"),
        (b'{"a": ' + b"[" * 16 + b"]" * 16 + b"}", "nested deeper"),
        (b"[" * 100_000, "nested deeper"),
        (b"[]", "needs an object"),
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "not JSON"),
        (b'{"a": 1} x', "not JSON"),
    ],
)
def test_lenient_json_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ManifestRefused, match=words):
        read_fields(data, 1 << 20)


def test_brackets_in_strings_are_no_nesting() -> None:
    text = '"\\"' + "[" * 100 + '\\\\"'
    assert read_fields(f'{{"a": {text}}}'.encode(), 1000).take("a") == '"' + "[" * 100 + "\\"


def test_many_quotes_without_an_end_are_read_in_one_pass() -> None:
    # Two hundred thousand openings of a string: a second look for each would take minutes.
    with pytest.raises(ManifestRefused):
        read_fields(b'{"' + b'\\"' * 100_000, 1 << 20)


def test_the_deepest_document_that_is_read_is_read() -> None:
    depth = MOST_DEPTH - 1
    data = b'{"a": ' + b"[" * depth + b"]" * depth + b"}"
    assert read_fields(data, 1000).take("a") is not None


def test_more_bytes_than_allowed_are_refused_unread() -> None:
    with pytest.raises(ManifestRefused, match="11 bytes, at most 10"):
        read_fields(b'{"a": "xx"}', 10)


def test_a_key_that_nobody_asked_for_is_refused_with_its_place() -> None:
    fields = Fields({"a": 1, "bb": 2}, "files[3]")
    assert fields.integer("a", 0, 1) == 1
    with pytest.raises(ManifestRefused, match=r"^files\[3\]: unknown key 'bb'$"):
        fields.done()


@pytest.mark.parametrize("value", [True, 1.0, "1", None, -1, 11])
def test_a_whole_number_is_neither_a_truth_value_nor_a_fraction_nor_out_of_range(value: object) -> None:
    with pytest.raises(ManifestRefused, match=r"^x\.a: needs a whole number from 0 to 10"):
        Fields({"a": value}, "x").integer("a", 0, 10)


@pytest.mark.parametrize("value", ["\n", "a\x1b[2Jb", "\u202e", "\ud800", "x" * 11, 3, None])
def test_words_that_could_forge_a_log_line_are_refused(value: object) -> None:
    with pytest.raises(ManifestRefused, match=r"^a: needs one printable line") as caught:
        Fields({"a": value}, "").words("a", 10)
    assert caught.value.message.isprintable()


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=5))
def test_canonical_bytes_do_not_depend_on_the_order_of_keys(document: dict[str, object]) -> None:
    turned = dict(reversed(document.items()))
    assert canonical(document) == canonical(turned)
    assert json.loads(canonical(document)) == document
