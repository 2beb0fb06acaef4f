"""Whole pipelines: compiled against a model, run on payloads, refused by step."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.configuration.settings import StepSettings
from gateway.errors import PipelineMisfit, RequestRefused, RunFailed, UnknownMedia
from gateway.frames.declaration import Declaration
from gateway.frames.dry_run import dry_run
from gateway.frames.geometry import Fit
from gateway.frames.hint import DecodeHint
from gateway.frames.limits import PayloadLimits
from gateway.frames.pipeline import Pipeline, compile_pipeline
from gateway.frames.prepared import CompiledPipeline, Prepared, StreamState
from gateway.frames.specs import ModelFacts
from tests.frames.made import LEVELS, Written, compiled, facts, picture, spec
from tests.frames.samples import damaged, jpeg

OUT = [spec("out", "uint8", (1, 4), 1 / 256)]
NAMES = ("a", "b", "c", "d")
CODES = [("resize", {}), ("normalise", {"as_codes": True})]
PICTURES = facts([LEVELS], OUT, NAMES)
SOUND = facts([spec("x", "float32", (None, 100))], [spec("p", "float32", (None, 1))])
READINGS = facts([spec("x", "int8", (1, 10, 3), 0.5, 1)], OUT, NAMES)


def test_a_jpeg_goes_all_the_way() -> None:
    pipeline: CompiledPipeline = compiled(PICTURES, CODES, [("classify", {"top_k": 1})])
    assert not pipeline.stateful
    prepared = pipeline.prepare(memoryview(jpeg("coffee", 64, 48)), Declaration(), StreamState())
    assert prepared.timings_ms.keys() == {"decode", "preprocess"}
    (row,) = prepared.rows
    assert row["pixels"].shape == (1, 8, 8, 3)
    answer = pipeline.finish(prepared, [{"out": np.array([[0, 0, 128, 1]], np.uint8)}], StreamState())
    assert answer == {"kind": "classification", "classes": [{"index": 2, "label": "c", "score": 0.5}]}


def test_the_cards_steps_are_used_where_none_are_written() -> None:
    from dataclasses import replace

    steps = tuple(StepSettings(name, options) for name, options in CODES)
    card = replace(PICTURES.card, preprocess=steps, postprocess=(StepSettings("classify", {}),))
    model = ModelFacts(card, NAMES, PICTURES.inputs, PICTURES.outputs)
    own = compile_pipeline(None, None, model=model, limits=PayloadLimits())
    assert [bound.path for bound in own.steps] == ["preprocess[0].resize", "preprocess[1].normalise"]
    mixed = compile_pipeline(None, [StepSettings("tensors", {})], model=model, limits=PayloadLimits())
    assert mixed.answer_path == "postprocess[0].tensors"


@pytest.mark.parametrize(
    ("steps", "hint"),
    [
        ([("resize", {"fit": "letterbox"})], DecodeHint(8, 8, Fit.LETTERBOX)),
        ([("resize", {"fit": "crop", "fraction": 0.5})], DecodeHint(8, 8, Fit.COVER, 0.5)),
        ([("crop", {"box": [0, 0.25, 0.5, 0.5]}), ("resize", {})], DecodeHint(16, 32)),
        ([("crop", {"box": [0, 0, 0.5, 1]}), ("resize", {"fraction": 0.5})], DecodeHint(32, 16)),
        ([("resize", {"width": 40, "height": 40}), ("resize", {})], DecodeHint(40, 40)),
    ],
)
def test_the_decoder_is_told_what_the_first_resize_needs(steps: Written, hint: DecodeHint) -> None:
    pipeline = compiled(facts([spec("x", "float32", (1, 8, 8, 3))], OUT), steps)
    assert pipeline.hint == hint


def test_a_grey_model_has_its_pictures_decoded_grey() -> None:
    pipeline = compiled(
        facts([spec("x", "uint8", (1, 8, 8, 1))], OUT), [("resize", {}), ("colour", {"order": "grey"})]
    )
    assert pipeline.hint == DecodeHint(8, 8, grey=True)
    prepared = pipeline.prepare(memoryview(jpeg("coffee", 64, 48)), Declaration(), StreamState())
    assert prepared.rows[0]["x"].shape == (1, 8, 8, 1)


def test_a_jpeg_decoded_smaller_gives_nearly_the_same_picture() -> None:
    target = spec("x", "uint8", (1, 100, 100, 3))
    data = memoryview(jpeg("coffee", 600, 400))
    part = [("crop", {"box": [0.1, 0.2, 0.9, 0.8]}), ("resize", {"fit": "crop"})]
    pipeline = compiled(facts([target], OUT), part)
    scaled = pipeline.prepare(data, Declaration(), StreamState()).rows[0]["x"]
    from gateway.frames.payload import decode

    whole = decode(data, Declaration(), PayloadLimits())
    full = pipeline.prepare_value(whole, StreamState()).rows[0]["x"]
    assert np.abs(scaled.astype(int) - full).mean() < 3


def test_payloads_of_another_kind_are_refused() -> None:
    with pytest.raises(UnknownMedia, match="takes sound, the payload is a picture"):
        compiled(SOUND, [("audio_windows", {"rate_hz": 100})]).prepare(
            memoryview(jpeg("coffee", 64, 48)), Declaration(), StreamState()
        )


ALL: list[Pipeline] = [
    compiled(PICTURES, CODES, [("classify", {})]),
    compiled(PICTURES, [("crop", {"box": [0.5, 0.5, 1, 1]}), *CODES], [("tensors", {})]),
    compiled(SOUND, [("audio_windows", {"rate_hz": 100, "context": 20})], [("voice", {})]),
    compiled(READINGS, [("select", {"channels": ["z", "y", "x"]}), ("window", {})], [("classify", {})]),
    compiled(READINGS, [("window", {"hop": 3})], [("regress", {})]),
    compiled(READINGS, [("select", {"indices": [7, 0, 3]}), ("window", {"hop": 3, "carry": False})]),
    compiled(READINGS, [], [("tensors", {})]),
]


@pytest.mark.parametrize("pipeline", ALL)
def test_a_made_up_payload_passes_a_pipeline_that_fits(pipeline: Pipeline) -> None:
    rows = dry_run(pipeline).rows
    assert rows
    for one in pipeline.model.data_inputs():
        assert all(row[one.name].dtype == one.dtype for row in rows)


payloads = st.one_of(
    st.binary(max_size=300),
    st.integers(0, 2**32).map(lambda seed: damaged(jpeg("coffee", 64, 48), seed)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=12) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=4)
        ),
        max_leaves=40,
    ).map(lambda value: json.dumps(value).encode()),
)
declared = st.builds(
    Declaration,
    media=st.sampled_from(["", "image/jpeg", "application/json", "audio/pcm", "application/octet-stream"]),
    dtype=st.sampled_from(["", "uint8", "float32", "int16", "float64"]),
    shape=st.sampled_from([(), (-1,), (8, 8, 3), (10, 3), (4, -1)]),
    rate_hz=st.sampled_from([0.0, 100.0]),
)


@given(st.sampled_from(ALL), payloads, declared)
def test_any_payload_makes_rows_that_fit_the_model_or_one_refusal(
    pipeline: Pipeline, payload: bytes, declaration: Declaration
) -> None:
    state = StreamState()
    try:
        prepared = pipeline.prepare(memoryview(payload), declaration, state)
    except RequestRefused:
        return
    for row in prepared.rows:
        for one in pipeline.model.data_inputs():
            assert row[one.name].dtype == one.dtype
            assert row[one.name].shape == tuple(size or 1 for size in one.shape)
            assert row[one.name].flags.c_contiguous
            if one.dtype == "float32":
                assert np.isfinite(row[one.name]).all()


def test_as_many_answers_as_rows_are_needed() -> None:
    with pytest.raises(RunFailed, match="2 rows got 1 answers"):
        compiled(PICTURES, CODES).finish(Prepared([{}, {}]), [{}], StreamState())


@pytest.mark.parametrize(
    ("pre", "post", "step", "words"),
    [
        (CODES, [], "postprocess", "exactly one step"),
        (CODES, [("classify", {}), ("tensors", {})], "postprocess[1].tensors", "exactly one step"),
        ([("normalise", {})], [("tensors", {})], "preprocess", "does not tell what payloads are"),
        (
            [("window", {}), ("resize", {})],
            [("tensors", {})],
            "preprocess[0].window",
            "windows need an input of",
        ),
        (
            [("resize", {}), ("window", {})],
            [("tensors", {})],
            "preprocess[1].window",
            "cannot take what comes in",
        ),
        (
            [("resize", {"fit": "streach"})],
            [("tensors", {})],
            "preprocess[0].resize.fit",
            "did you mean stretch",
        ),
        (
            [*CODES, ("normalise", {"as_codes": True})],
            [("tensors", {})],
            "preprocess[2].normalise",
            "only normalise",
        ),
        (
            [("resize", {}), ("normalise", {"range": [1, 0]})],
            [("tensors", {})],
            "preprocess[1].normalise",
            "lower first",
        ),
        (
            [("resize", {}), ("normalise", {"std": 0})],
            [("tensors", {})],
            "preprocess[1].normalise",
            "must not be 0",
        ),
        (
            [("resize", {}), ("normalise", {"std": 2, "range": [0, 1]})],
            [("tensors", {})],
            "preprocess[1].normalise",
            "give one of",
        ),
        (
            [("resize", {}), ("normalise", {"mean": [1, 2]})],
            [("tensors", {})],
            "preprocess[1].normalise",
            "2 channels",
        ),
        (
            [("crop", {"box": [0.5, 0, 0.4, 1]}), *CODES],
            [("tensors", {})],
            "preprocess[0].crop",
            "left < right",
        ),
        (CODES, [("voice", {})], "postprocess[0].voice", "one number"),
    ],
)
def test_what_cannot_work_is_refused_by_the_steps_name(
    pre: Written, post: Written, step: str, words: str
) -> None:
    with pytest.raises(PipelineMisfit, match=words) as caught:
        compiled(PICTURES, pre, post)
    assert caught.value.step == step


def test_a_model_of_two_data_inputs_takes_tensors_only() -> None:
    model = facts([spec("a", "uint8", (1, 8, 8, 3)), spec("b", "float32", (1, 2))], OUT)
    with pytest.raises(PipelineMisfit, match="2 \\(a, b\\)"):
        compiled(model, [("resize", {})])
    dry_run(compiled(model, [("tensor", {})]))


def test_pictures_keep_nothing_between_frames() -> None:
    state = StreamState()
    compiled(PICTURES, CODES).prepare_value(picture(9, 9), state)
    assert state.to_bytes() == b""
