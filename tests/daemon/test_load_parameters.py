"""What an order to load may ask for: what is really done, and words about the rest."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.daemon.load_parameters import LoadParameters
from gateway.errors import Malformed, NotSupported

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def config(**keys: object) -> dict[str, object]:
    return {"config": json.dumps(keys)}


def test_a_load_without_parameters_asks_for_nothing_more() -> None:
    assert LoadParameters.read({}).lanes == 0
    assert LoadParameters.read(config()).lanes == 0
    assert LoadParameters.read(config(name="motion")).lanes == 0


def test_instance_groups_are_lanes() -> None:
    assert LoadParameters.read(config(instance_group=[{"count": 3}])).lanes == 3
    assert LoadParameters.read(config(instance_group=[{"count": 2, "kind": "KIND_CPU"}, {}])).lanes == 3


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"file:1/model.onnx": "AAAA"}, "models_dir"),
        ({"unload_dependents": True}, "a load knows config only"),
        (config(max_batch_size=8), "max_batch_size: only instance_group"),
        (config(instance_group=[{"gpus": [0]}]), "gpus: only a count"),
    ],
)
def test_what_is_not_done_here_is_said(parameters: dict[str, object], words: str) -> None:
    with pytest.raises(NotSupported, match=words):
        LoadParameters.read(parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {"config": 7},
        {"config": "{"},
        {"config": "[]"},
        {"config": "[" * 60_000},
        {"config": " " * 70_000},
        config(instance_group=3),
        config(instance_group=[3]),
        config(instance_group=[{"count": 0}]),
        config(instance_group=[{"count": 65}]),
        config(instance_group=[{"count": True}]),
        config(instance_group=[{"count": "2"}]),
        config(instance_group=[{"count": 60}, {"count": 60}]),
    ],
)
def test_what_cannot_be_read_is_malformed(parameters: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        LoadParameters.read(parameters)


@given(
    st.dictionaries(st.sampled_from(["config", "file:x", "y"]), _JSON | st.text(), max_size=2)
    | st.builds(config, instance_group=_JSON)
)
@example({"config": '{"instance_group": [{"count": 1e400}]}'})
def test_whatever_comes_gives_lanes_or_one_of_two_errors(parameters: dict[str, object]) -> None:
    try:
        assert 0 <= LoadParameters.read(parameters).lanes <= 64
    except (Malformed, NotSupported) as error:
        assert error.message
