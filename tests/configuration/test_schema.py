"""The JSON Schema agrees with the reader."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.configuration.default_file import default_text
from gateway.configuration.reader import read
from gateway.configuration.schema import schema
from gateway.configuration.settings import Settings
from gateway.configuration.shape import Key, Leaf, ListOf, MapOf, Maybe, Section, Shape, section_of
from gateway.errors import ConfigError
from gateway.model import ModelCard

SCHEMA = schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def is_valid(value: object) -> bool:
    return VALIDATOR.is_valid(value)


def is_read(value: object) -> bool:
    """Return whether the reader takes a value; JSON is YAML."""
    try:
        read(json.dumps(value), "f.yaml", Settings)
    except ConfigError:
        return False
    return True


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator.check_schema(schema(ModelCard, "Model card"))


def test_every_key_has_words_and_what_it_may_be() -> None:
    for definition in (SCHEMA, *SCHEMA["$defs"].values()):
        assert definition["additionalProperties"] is False
        for name, key in definition["properties"].items():
            assert key["description"], name


def test_the_default_file_is_valid() -> None:
    VALIDATOR.validate(yaml.safe_load(default_text()))


def wild(key: Key) -> st.SearchStrategy[Any]:
    """Return values for a key: mostly of its shape, some at and beyond its limits."""
    return st.one_of(
        _of(key.shape, key), _of(key.shape, key), st.sampled_from([None, True, "", "x", 0, -1, [], {}])
    )


def _of(shape: Shape, key: Key) -> st.SearchStrategy[Any]:
    match shape:
        case Section():
            return _section(shape)
        case ListOf(item):
            return st.lists(_of(item, key), max_size=2)
        case MapOf(item):
            return st.dictionaries(
                st.sampled_from(["a", "b-1", "A.b", "-", "a b", ""]), _of(item, key), max_size=2
            )
        case Maybe(inner):
            return st.one_of(st.none(), _of(inner, key))
        case Leaf.TRUTH:
            return st.booleans()
        case Leaf.WHOLE | Leaf.NUMBER:
            low = int(key.option.minimum if key.option.minimum is not None else -2)
            high = int(key.option.maximum if key.option.maximum is not None else 1_000_000)
            numbers = st.sampled_from([low - 1, low, low + 1, high, high + 1])
            return numbers if shape is Leaf.WHOLE else numbers | numbers.map(lambda number: number + 0.5)
        case Leaf.STEP:
            return st.sampled_from(
                ["resize", {"resize": {"width": 3}}, {"resize": None}, {"a": {}, "b": {}}, "", {}]
            )
        case _:
            words = [*key.option.choices, "a", "", "A b", "gw", "0", "a/b"]
            return st.sampled_from(words)


def _section(section: Section) -> st.SearchStrategy[dict[str, Any]]:
    required = {key.name: wild(key) for key in section.keys if key.required}
    optional = {key.name: wild(key) for key in section.keys if not key.required}
    exact = st.fixed_dictionaries(required, optional=optional)
    return exact | st.builds(
        lambda value, extra: {**value, **extra}, exact, st.sampled_from([{}, {"extra": 1}])
    )


def one_key_at_a_time() -> st.SearchStrategy[dict[str, Any]]:
    """Return configurations with one section each, so that one fault does not hide the others."""
    keys = section_of(Settings).keys
    return st.one_of([st.fixed_dictionaries({key.name: _of(key.shape, key)}) for key in keys])


@settings(max_examples=300)
@given(one_key_at_a_time())
def test_the_schema_takes_exactly_what_the_reader_takes(value: dict[str, Any]) -> None:
    if is_valid(value):
        assert is_read(value)
    elif is_read(value):
        # The one thing in which the reader is kinder: a text without quotes that looks like a number.
        for error in VALIDATOR.iter_errors(value):
            assert error.validator_value == "string"
            assert isinstance(error.instance, bool | int)


@pytest.mark.parametrize(
    "value",
    [
        {"mqtt": {"version": 5}},
        {"mqtt": {"password": "${env:HOME}x"}, "models": None},
        {"pipelines": {"p": {"model": "m", "preprocess": None}}},
    ],
)
def test_what_people_write_is_valid(value: object) -> None:
    assert is_valid(value)
