"""Loaded models: the shipped ones, their batches, their streams, and members that are at fault."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from gateway.configuration.settings import StepSettings
from gateway.errors import (
    CardMismatch,
    DeadlineQueued,
    DeadlineRunning,
    GatewayBug,
    GatewayError,
    LoadFailed,
    Malformed,
    PipelineMisfit,
    RequestRefused,
    RunFailed,
    UnknownModel,
    WarmupFailed,
)
from gateway.frames.declaration import Declaration
from gateway.frames.limits import PayloadLimits
from gateway.frames.prepared import StreamState
from gateway.inference.engines.engine import EngineOptions
from gateway.inference.loaded import LoadedModel, LoadSpec, Member, PipelineSpec
from gateway.tensor import dequantize
from tests import tflite_writer
from tests.inference.model_folders import MODELS, NEVER, answer, copy, edit, load, member, write

TENSOR = "application/vnd.gateway.tensor"
CAT = (MODELS / "efficientnet-lite0-int8" / "golden" / "cat.jpg").read_bytes()
ESPRESSO = (MODELS / "efficientnet-lite0-int8" / "golden" / "espresso.jpg").read_bytes()
SPEECH = (MODELS / "silero-vad" / "golden" / "speech.pcm").read_bytes()

PCM: dict[str, Any] = {"media": "audio/pcm", "dtype": "int16", "rate_hz": 16000.0}
PICTURE = load("efficientnet-lite0-int8")


@pytest.fixture(scope="module")
def motion() -> LoadedModel:
    return load("motion-int8-onnx")


@pytest.fixture(scope="module")
def picture() -> LoadedModel:
    return load("efficientnet-lite0-int8-onnx")


def windows(count: int) -> list[bytes]:
    rng = np.random.default_rng(3)
    return [rng.normal(0, 5, (100, 6)).astype(np.float32).tobytes() for _ in range(count)]


def pictures(count: int) -> list[bytes]:
    image = Image.open(io.BytesIO(CAT)).convert("RGB")
    made = []
    for step in range(count):
        into = io.BytesIO()
        image.crop((step * 8, step * 4, step * 8 + 200, step * 4 + 180)).save(into, "JPEG")
        made.append(into.getvalue())
    return made


def motion_member(window: bytes, deadline_s: float = NEVER) -> Member:
    return member(window, deadline_s=deadline_s, media=TENSOR, dtype="float32", shape=(100, 6))


def test_a_spec_crosses_to_another_process_unchanged() -> None:
    whole = LoadSpec(
        "m",
        "/models/m",
        "litert",
        EngineOptions(2, ("A", "B"), ()),
        (
            PipelineSpec("p", (StepSettings("resize", {"fit": "crop", "fraction": 0.5}),), ()),
            PipelineSpec("card"),
        ),
        PayloadLimits(1, 2, 3, 4),
    )
    assert LoadSpec.from_json(whole.to_json()) == whole


def test_a_version_names_model_card_file_and_what_runs(motion: LoadedModel) -> None:
    version = motion.version
    assert (version.name, version.version) == ("motion-int8-onnx", "1.0.0")
    assert version.digest == f"sha256:{motion.folder.card.sha256}"
    assert version.engine.startswith("onnxruntime ")
    assert version.engine.endswith(" CPUExecutionProvider")


@pytest.mark.parametrize(
    ("name", "most", "stateful"),
    [
        ("motion-int8-onnx", None, frozenset()),
        ("motion-int8", 1, frozenset()),
        ("silero-vad", 1, frozenset({"main"})),
    ],
)
def test_what_a_scheduler_must_know_is_read_from_the_model(
    name: str, most: int | None, stateful: frozenset[str]
) -> None:
    model = load(name)
    assert (model.max_rows, model.stateful) == (most, stateful)


def test_answers_in_any_batch_are_bit_for_bit_those_given_alone(
    motion: LoadedModel, picture: LoadedModel
) -> None:
    for model, members in (
        (motion, [motion_member(window) for window in windows(9)]),
        (picture, [member(each) for each in pictures(5)]),
    ):
        alone = [answer(model, each)[0].prediction for each in members]
        assert None not in alone
        for size in (2, 3, len(members)):
            for start in range(0, len(members), size):
                together = answer(model, *members[start : start + size])
                assert [each.prediction for each in together] == alone[start : start + size]


def test_raw_outputs_of_a_batch_equal_those_of_its_rows(picture: LoadedModel) -> None:
    pipeline, declared = picture.pipeline("main"), Declaration()
    rows = [pipeline.prepare(memoryview(data), declared, StreamState()).rows[0] for data in pictures(4)]
    together = picture.engine.run({"input": np.concatenate([row["input"] for row in rows])})["logits"]
    alone = np.concatenate([picture.engine.run(row)["logits"] for row in rows])
    np.testing.assert_array_equal(together, alone)


def chances(
    model: LoadedModel, payload: bytes, *, logits: bool
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    row = model.pipeline("main").prepare(memoryview(payload), Declaration(), StreamState()).rows[0]
    spec = model.engine.outputs[0]
    real = dequantize(model.run_rows([row])[0][spec.name], spec.quantization)[0]
    powers = np.exp(real - real.max())
    whole: NDArray[np.float32] = powers / powers.sum() if logits else real
    return whole


def test_the_tflite_and_onnx_twins_agree_on_every_class_within_three_hundredths(picture: LoadedModel) -> None:
    for payload in (CAT, ESPRESSO, *pictures(3)):
        lite, onnx = chances(PICTURE, payload, logits=False), chances(picture, payload, logits=True)
        assert np.abs(lite - onnx).max() < 0.03
        best = int(onnx.argmax())
        assert lite[best] > lite.max() - 0.03
    assert [int(chances(each, ESPRESSO, logits=False).argmax()) for each in (PICTURE, picture)] == [967, 967]


def test_a_members_fault_leaves_its_batch_mates_alone(motion: LoadedModel) -> None:
    good = windows(3)
    alone = [answer(motion, motion_member(each))[0].prediction for each in good]
    short = motion_member(good[0][:-4])
    unknown = member(good[0])
    mixed = [motion_member(good[0]), short, motion_member(good[1]), unknown, motion_member(good[2])]
    answers = answer(motion, *mixed)
    assert [each.prediction for each in answers] == [alone[0], None, alone[1], None, alone[2]]
    assert [isinstance(each.error, RequestRefused) for each in answers] == [False, True, False, True, False]


def test_a_late_member_is_not_run_and_the_others_are(motion: LoadedModel) -> None:
    good = windows(2)
    answers = motion.run_batch([motion_member(good[0], deadline_s=5.0), motion_member(good[1])], lambda: 5.0)
    assert isinstance(answers[0].error, DeadlineQueued)
    assert answers[0].rows == 0
    assert answers[1].error is None


def test_a_deadline_that_passes_while_decoding_saves_the_run(motion: LoadedModel) -> None:
    ticks = itertools.count()
    late = motion.run_batch([motion_member(windows(1)[0], deadline_s=1.0)], lambda: float(next(ticks)))[0]
    assert isinstance(late.error, DeadlineRunning)


def test_stages_are_timed(motion: LoadedModel) -> None:
    timings = answer(motion, motion_member(windows(1)[0]))[0].timings_ms
    assert set(timings) == {"decode", "preprocess", "infer", "postprocess"}
    assert all(0 <= value < 60_000 for value in timings.values())


def test_a_pipeline_that_is_not_there_fails_its_member(motion: LoadedModel) -> None:
    stray = replace(motion_member(windows(1)[0]), pipeline="absent")
    assert isinstance(answer(motion, stray)[0].error, UnknownModel)


def test_an_empty_batch_has_no_answers(motion: LoadedModel) -> None:
    assert answer(motion) == []


@given(st.binary(max_size=300), st.sampled_from(["", "image/jpeg", "audio/pcm", TENSOR, "application/json"]))
def test_any_payload_gives_an_answer_or_one_typed_error(payload: bytes, media: str) -> None:
    result = answer(PICTURE, member(payload, media=media))[0]
    assert (result.prediction is None) == (result.error is not None)
    assert result.error is None or not isinstance(result.error, GatewayBug)


def test_a_bug_in_a_step_fails_its_payload_and_not_the_worker(
    motion: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finish(*_: object) -> None:
        raise ZeroDivisionError("third-party")

    monkeypatch.setattr(type(motion.pipeline("main")), "finish", finish)
    result = answer(motion, motion_member(windows(1)[0]))[0]
    assert isinstance(result.error, GatewayBug)
    assert "finish: ZeroDivisionError: third-party" in result.error.message


class TestStreams:
    """Recurrent models: Silero VAD on a real recording."""

    def pieces(self, size: int) -> list[bytes]:
        return [SPEECH[start : start + size] for start in range(0, len(SPEECH) - size, size)][:12]

    def follow(self, model: LoadedModel, pieces: list[bytes]) -> list[object]:
        state = b""
        said: list[object] = []
        for piece in pieces:
            result = answer(model, member(piece, state, **PCM))[0]
            assert result.error is None
            state = result.state
            said.append(result.prediction)
        return said

    def test_state_that_went_away_as_bytes_and_came_back_changes_nothing(self) -> None:
        model = load("silero-vad")
        pieces = self.pieces(6400)
        assert self.follow(model, pieces) == self.follow(model, pieces)

    def test_streams_in_one_batch_do_not_mix(self) -> None:
        model = load("silero-vad")
        pieces, silence = self.pieces(6400), b"\0" * 6400
        alone = self.follow(model, pieces)
        states = [b"", b""]
        together = []
        for piece in pieces:
            pair = (
                member(silence, states[0], **PCM),
                member(piece, states[1], **PCM),
            )
            results = answer(model, *pair)
            states = [result.state for result in results]
            together.append(results[1].prediction)
        assert together == alone

    def test_without_its_state_a_stream_sounds_different(self) -> None:
        model = load("silero-vad")
        pieces = self.pieces(6400)
        forgetful = [answer(model, member(piece, **PCM))[0].prediction for piece in pieces]
        assert forgetful != self.follow(model, pieces)

    def test_a_member_that_fails_gives_back_the_state_that_it_brought(self) -> None:
        model = load("silero-vad")
        first = answer(model, member(self.pieces(6400)[0], **PCM))[0]
        assert first.state
        failed = answer(model, member(b"x", first.state, **PCM))[0]
        assert isinstance(failed.error, RequestRefused)
        assert failed.state == first.state

    def test_state_that_is_no_state_is_malformed(self) -> None:
        model = load("silero-vad")
        result = answer(model, member(self.pieces(6400)[0], b"\xff" * 9, media="audio/pcm", dtype="int16"))[0]
        assert isinstance(result.error, Malformed)


class TestLoading:
    """Folders that must not load."""

    def test_a_file_that_is_not_the_cards_is_never_given_to_the_runtime(self, tmp_path: Path) -> None:
        folder = copy("motion-int8", tmp_path)
        (folder / "motion_int8.tflite").write_bytes(b"rubbish")
        with pytest.raises(CardMismatch, match="sha256"):
            load(folder)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("dtype: int8, shape: [1, 100, 6]", "dtype: uint8, shape: [1, 100, 6]"),
            ("shape: [1, 100, 6]", "shape: [1, 100, 7]"),
            ("name: window", "name: windows"),
            ("scale: 0.24584", "scale: 0.3"),
            ("zero_point: -15", "zero_point: 15"),
        ],
    )
    def test_a_card_that_lies_about_a_tensor_is_refused(self, tmp_path: Path, old: str, new: str) -> None:
        folder = copy("motion-int8", tmp_path)
        edit(folder, (old, new))
        with pytest.raises(CardMismatch, match="card of motion-int8: inputs"):
            load(folder)

    def test_a_card_that_cannot_be_read_is_one_typed_error(self, tmp_path: Path) -> None:
        folder = copy("motion-int8", tmp_path)
        edit(folder, ("licence:", "license:"))
        with pytest.raises(LoadFailed, match="licence"):
            load(folder)

    def test_a_pipeline_that_cannot_work_names_itself_and_the_step(self) -> None:
        pipelines = (PipelineSpec("main"), PipelineSpec("door", (StepSettings("resize", {}),), None))
        with pytest.raises(PipelineMisfit) as caught:
            load("motion-int8", pipelines=pipelines)
        assert caught.value.step.startswith("pipelines.door.preprocess[0].resize")

    def test_an_engine_that_does_not_fit_the_file_is_refused(self) -> None:
        with pytest.raises(LoadFailed, match=r"does not run \.tflite"):
            load("motion-int8", engine="onnxruntime")


def test_pipelines_change_all_at_once_or_not_at_all() -> None:
    model = load("motion-int8-onnx")
    before = model.pipeline("main")
    bad = (PipelineSpec("other"), PipelineSpec("door", (StepSettings("nonsense", {}),), None))
    with pytest.raises(PipelineMisfit):
        model.set_pipelines(bad)
    assert model.pipeline("main") is before
    model.set_pipelines((PipelineSpec("other"),))
    with pytest.raises(GatewayError):
        model.pipeline("main")


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16"])
def test_a_made_model_of_any_type_answers_with_real_values(tmp_path: Path, dtype: str) -> None:
    scale = 0.0 if dtype == "float32" else 0.5
    path = tflite_writer.identity(tmp_path / "m.tflite", dtype, scale)
    stated = {"dtype": dtype, "shape": [1, 4], "scale": scale}
    folder = write(tmp_path, path, [{"name": "x", **stated}], [{"name": "y", **stated}])
    model = load(folder)
    model.warm_up()
    codes = np.arange(4).astype(dtype)
    result = answer(model, member(codes.tobytes(), media=TENSOR, dtype=dtype, shape=(4,), scale=scale))[0]
    assert result.error is None
    row = model.run_rows([{"x": codes[None]}])[0]
    assert row["y"].tolist() == codes[None].tolist()


def test_a_model_that_fails_on_zeros_fails_its_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load("motion-int8-onnx")

    def run(_: object) -> dict[str, object]:
        raise RunFailed("division by zero")

    monkeypatch.setattr(model.engine, "run", run)
    with pytest.raises(WarmupFailed, match="model motion-int8-onnx: division by zero"):
        model.warm_up()


def test_the_clock_is_only_what_it_is_given(motion: LoadedModel) -> None:
    still = motion.run_batch([motion_member(windows(1)[0])], lambda: 7.0)[0]
    assert still.timings_ms["infer"] == 0
