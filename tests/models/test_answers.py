"""The shipped models say what a person sees and hears in real pictures and recordings."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from gateway.demo.camera import PanningCamera
from gateway.demo.microphone import LoopingMicrophone
from gateway.demo.recordings import motion, photograph, speech
from gateway.frames.declaration import Declaration
from gateway.inference.golden import iou
from tests.models.loading import answer

JPEG = Declaration(media="image/jpeg")
PCM = Declaration(media="audio/pcm", dtype="int16", rate_hz=16_000, channels=1)
WINDOW = Declaration(media="application/vnd.gateway.tensor", dtype="float32", shape=(100, 6))
CATS = {"tabby", "tiger cat", "Egyptian cat"}
CLASSIFIERS = ("efficientnet-lite0-int8", "efficientnet-lite0-int8-onnx")
WATCHES = ("motion-int8", "motion-int8-onnx")

# Read off the portrait by hand, in pixels: brow, chin, and where the cheeks end.
FACE_PX = (178.0, 78.0, 273.0, 184.0)
# Where speech begins and ends in the recording, read off its loudness.
SPOKEN_S = ((0.0, 1.9), (2.7, 4.6), (5.0, 6.75), (9.3, 13.2))


def said(model: str, payload: bytes, declared: Declaration) -> Any:
    """Return the prediction as what came out of its JSON."""
    return json.loads(json.dumps(answer(model, payload, declared).prediction))


def scores(model: str, payload: bytes, declared: Declaration) -> dict[str, float]:
    """Return score by label."""
    return {entry["label"]: entry["score"] for entry in said(model, payload, declared)["classes"]}


def view_of(name: str, number: int) -> bytes:
    """Return what the demo's camera sends when it looks at one photograph."""
    return PanningCamera([photograph(name)]).frame(number)


@pytest.mark.parametrize("model", CLASSIFIERS)
@pytest.mark.parametrize("number", [0, 8, 15])
def test_efficientnet_names_the_cat_wherever_the_camera_pans(model: str, number: int) -> None:
    found = scores(model, view_of("chelsea", number), JPEG)
    assert set(list(found)[:3]) <= CATS | {"lynx"}
    assert next(iter(found)) in CATS


@pytest.mark.parametrize("model", CLASSIFIERS)
def test_efficientnet_names_the_espresso(model: str) -> None:
    found = scores(model, view_of("coffee", 15), JPEG)
    assert next(iter(found)) == "espresso"


def test_the_two_efficientnets_agree() -> None:
    for name in ("chelsea", "coffee", "astronaut"):
        frame = view_of(name, 15)
        first, second = (scores(model, frame, JPEG) for model in CLASSIFIERS)
        assert next(iter(first)) == next(iter(second))
        shared = first.keys() & second.keys()
        assert len(shared) >= 2
        # Two quantisations of the same weights: their scores may differ by some hundredths.
        assert max(abs(first[label] - second[label]) for label in shared) < 0.15


def test_blazeface_finds_the_face_where_a_person_sees_it() -> None:
    camera = PanningCamera([photograph("astronaut")])
    for number in (10, 13, 15):  # the whole head is in the picture
        _, (left, top, right, bottom) = camera.view(number)
        wanted = (
            (FACE_PX[0] - left) / (right - left),
            (FACE_PX[1] - top) / (bottom - top),
            (FACE_PX[2] - left) / (right - left),
            (FACE_PX[3] - top) / (bottom - top),
        )
        (face,) = said("blazeface-short-range", camera.frame(number), JPEG)["objects"]
        assert face["label"] == "face"
        assert iou(face["box"], wanted) >= 0.5


@pytest.mark.parametrize("name", ["chelsea", "coffee"])
def test_blazeface_finds_no_face_where_there_is_none(name: str) -> None:
    assert said("blazeface-short-range", view_of(name, 15), JPEG)["objects"] == []


def test_silero_finds_the_spoken_parts_of_a_stream_sent_in_pieces() -> None:
    recording = speech()
    microphone = LoopingMicrophone(recording)
    silence = bytes(2 * recording.rate_hz)
    pieces = [microphone.chunk(number) for number in range(134)]
    state, segments = b"", []
    for piece in [*pieces, silence]:
        reply = answer("silero-vad", piece, PCM, state)
        state = reply.state
        if reply.prediction is not None:
            segments += json.loads(json.dumps(reply.prediction))["segments"]
    found = [(segment["start_s"], segment["end_s"]) for segment in segments]
    assert len(found) == len(SPOKEN_S)
    for (start_s, end_s), (wanted_start_s, wanted_end_s) in zip(found, SPOKEN_S, strict=True):
        assert abs(start_s - wanted_start_s) <= 0.2
        assert abs(end_s - wanted_end_s) <= 0.3


def test_silero_hears_no_speech_in_noise() -> None:
    noise = np.random.default_rng(0).normal(0, 300, 32_000).astype("<i2").tobytes()
    prediction = said("silero-vad", noise, PCM)
    assert prediction["speech"] is False
    assert prediction["segments"] == []


@pytest.mark.parametrize("model", WATCHES)
def test_the_watch_knows_what_was_really_done_in_every_test_recording(model: str) -> None:
    recordings = motion()
    wrong = [
        number
        for number, window in enumerate(recordings.windows)
        if next(iter(scores(model, window.tobytes(), WINDOW)))
        != recordings.labels[int(recordings.classes[number])]
    ]
    assert wrong == []


def test_the_two_watches_agree_to_a_hundredth() -> None:
    for window in motion().windows:
        first, second = (scores(model, window.tobytes(), WINDOW) for model in WATCHES)
        assert first.keys() == second.keys()
        assert max(abs(first[label] - second[label]) for label in first) < 0.02


def test_readings_as_json_are_worth_the_same_as_a_raw_tensor() -> None:
    window = motion().windows[0]
    told = json.dumps({"imu": window.tolist()}).encode()
    by_json = scores("motion-int8-onnx", told, Declaration(media="application/json", fields=("imu",)))
    assert by_json == scores("motion-int8-onnx", window.tobytes(), WINDOW)
