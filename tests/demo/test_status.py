"""Reading /status."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.status import Status, StreamStatus, read_status
from gateway.errors import Malformed
from tests.demo.status_page import CAMERA_RESULT, body, page

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def test_a_status_page_is_read() -> None:
    status = read_status(body())
    assert (status.state, status.version) == ("ready", "0.1.0")
    assert status.model_of == {"classify": "efficientnet-lite0", "speech": "silero-vad"}
    assert status.sensors["demo-camera"].streams == (
        StreamStatus("frame", 9.98, 60, 58, {"superseded": 2}, 11.2, 19.75, CAMERA_RESULT, 0.1),
    )
    assert [(model.name, model.version) for model in status.models] == [
        ("efficientnet-lite0", "1.0.0"),
        ("silero-vad", ""),
    ]


def test_a_sensor_without_a_name_is_called_by_its_id() -> None:
    assert read_status(body()).sensors["demo-microphone"].name == "demo-microphone"


@given(st.binary(max_size=60))
def test_any_bytes_are_a_status_or_malformed(data: bytes) -> None:
    with suppress(Malformed):
        assert isinstance(read_status(data), Status)


@given(st.sampled_from(["gateway", "sensors", "models", "pipelines"]), JSON)
def test_any_value_in_the_place_of_a_part_is_taken_or_malformed(key: str, value: Any) -> None:
    told = page() | {key: value}
    with suppress(Malformed):
        assert isinstance(read_status(json.dumps(told).encode()), Status)


@given(st.sampled_from(sorted(page()["sensors"][0]["streams"][0])), JSON)
def test_any_value_in_a_stream_is_taken_or_malformed(key: str, value: Any) -> None:
    told = page()
    told["sensors"][0]["streams"][0][key] = value
    with suppress(Malformed):
        assert isinstance(read_status(json.dumps(told).encode()), Status)


def test_deep_nesting_is_malformed() -> None:
    with pytest.raises(Malformed):
        read_status(b"[" * 200_000)
