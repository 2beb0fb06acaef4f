"""Values as a person would write them come back as they were, through this reader and through others."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.option import Option
from gateway.configuration.reader import read
from gateway.configuration.settings import StepSettings
from gateway.configuration.written import limits, number, yaml_value
from gateway.model import GoldenSample

# Printable: what is written is a default of ours, never a stranger's text.
TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
WORDS = st.sampled_from(
    ["yes", "No", "null", "~", "1", "1.5", "0x1", "true", "-", "- a", "a: b", "#", "{x}", "[", "<<"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(-1e6, 1e6).map(lambda value: round(value, 3))
    | TEXTS
    | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | WORDS, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_written_is_read_back(value: object) -> None:
    text = f"file: f\nexpect: {{value: {yaml_value(value)}}}\n"
    assert value == read(text, "f.yaml", GoldenSample).expect["value"]


@given(TEXTS | WORDS)
def test_a_text_is_one_for_readers_of_yaml_1_1_too(text: str) -> None:
    assert text == yaml.safe_load(f"a: {yaml_value(text)}")["a"]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (Option(""), ""),
        (Option("", minimum=0.5), "0.5 or more"),
        (Option("", maximum=4_294_967_294), "4294967294 or less"),
        (Option("", minimum=0, maximum=1), "0 to 1"),
        (Option("", choices=("", "a")), 'one of "", a'),
    ],
)
def test_limits_are_said_in_a_few_words(option: Option, words: str) -> None:
    assert limits(option) == words


def test_numbers_are_written_in_full() -> None:
    assert [number(10.0), number(0.05), number(8_388_608)] == ["10", "0.05", "8388608"]


def test_what_no_file_can_hold_is_a_bug() -> None:
    with pytest.raises(TypeError):
        yaml_value(StepSettings("a", {}))
