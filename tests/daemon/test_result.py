"""The published document and its schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from gateway.daemon.result import FrameIdentity, document, encode, result_id
from gateway.inference.request import Timings
from gateway.model import ModelVersion

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/schemas/result.schema.json").read_text())
VERSION = ModelVersion("m", "1.0.0", "sha256:" + "0" * 64, "litert 2.3.0 xnnpack")

FRAMES = st.builds(
    FrameIdentity,
    sensor=st.text(min_size=1),
    stream=st.text(min_size=1),
    id=st.text(min_size=1),
    seq=st.none() | st.integers(0, 2**64 - 1),
    captured_at=st.none() | st.floats(-1e18, 1e18),
    received_at=st.floats(0, 4e9),
    trace_id=st.just("ab" * 16),
)


@given(FRAMES, st.floats(0, 1e6))
def test_every_document_holds_to_the_schema(frame: FrameIdentity, total_ms: float) -> None:
    timings = Timings(total_ms / 2, {"infer": total_ms / 3}, total_ms)
    result = document("gw-1", frame, "p", VERSION, timings, prediction={"kind": "voice", "speech": False})

    read_back = json.loads(encode(result))

    jsonschema.validate(read_back, SCHEMA)
    assert read_back["latency_ms"]["total"] == round(total_ms, 3)


@given(FRAMES)
def test_an_id_is_stable_and_belongs_to_one_frame_of_one_pipeline(frame: FrameIdentity) -> None:
    mine = result_id("gw-1", frame, "p")

    assert mine == result_id("gw-1", frame, "p")
    assert mine != result_id("gw-1", frame, "q")
    assert mine != result_id("gw-2", frame, "p")


def test_times_are_written_in_utc_with_milliseconds() -> None:
    frame = FrameIdentity("s", "f", "1", None, 1_763_800_000.25, 1_763_800_001.0, "0" * 32)
    result = document("g", frame, "p", VERSION, Timings(0, {}, 0), prediction={"kind": "value"})

    assert result["frame"] == {
        "id": "1",
        "seq": None,
        "captured_at": "2025-11-22T08:26:40.250Z",
        "received_at": "2025-11-22T08:26:41.000Z",
    }
