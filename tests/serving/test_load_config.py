"""Configurations that come with a load: what repeats the model's own is passed over, the rest stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from gateway.serving.load_config import changed_parameters
from gateway.serving.model_config import model_config
from tests.serving.rest.rest_house import Small

MODELS = Small()
OWN = model_config(MODELS.view("add_sub"))
GROUPS = [{"count": 3}]


def changed(config: object, name: str = "add_sub") -> Any:
    """Return what is left of a configuration."""
    left = changed_parameters({"config": json.dumps(config), "file:x": "y"}, name, MODELS)
    assert left["file:x"] == "y"
    asked = left["config"]
    assert isinstance(asked, str)
    return json.loads(asked)


def test_a_configuration_that_was_asked_for_changes_nothing() -> None:
    assert changed(OWN) == {}


def test_what_a_client_changed_is_left() -> None:
    assert changed({**OWN, "instance_group": GROUPS}) == {"instance_group": GROUPS}
    assert changed({**OWN, "max_batch_size": 16}) == {"max_batch_size": 16}
    assert changed({"name": "add_sub", "optimization": {}}) == {"optimization": {}}
    inputs = [{**OWN["input"][0], "dims": [17]}]  # type: ignore[index]
    assert changed({**OWN, "input": inputs}) == {"input": inputs}


def test_it_may_have_been_through_protobuf() -> None:
    message = json_format.ParseDict(OWN, model_config_pb2.ModelConfig())
    said = json_format.MessageToDict(message, preserving_proto_field_name=True)
    assert said != OWN
    assert changed(said) == {}
    assert changed({**said, "max_batch_size": "16"}) == {"max_batch_size": "16"}


def test_of_a_model_that_is_not_known_everything_is_left() -> None:
    assert changed(OWN, "nope") == OWN


@pytest.mark.parametrize("asked", ["{", "[]", "7", "[" * 50_000, " " * 70_000, 7, None, True])
def test_what_cannot_be_read_is_left_to_the_repository(asked: object) -> None:
    parameters = {"config": asked}
    assert changed_parameters(parameters, "add_sub", MODELS) == parameters


def test_without_a_configuration_nothing_changes() -> None:
    assert changed_parameters({}, "add_sub", MODELS) == {}


@given(
    st.dictionaries(st.sampled_from(sorted(OWN)), st.one_of(st.none(), st.integers(), st.text(), st.just({})))
)
def test_whatever_differs_is_left(config: dict[str, Any]) -> None:
    left = changed(config)
    assert left == {key: value for key, value in config.items() if key in left}
    for key, value in config.items():
        if key not in left:
            assert str(value) == str(OWN[key])
