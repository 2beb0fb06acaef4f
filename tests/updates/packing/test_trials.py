"""Trials: what counts for the samples, what does not, and that a model which hangs or dies hurts nobody."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from gateway.errors import GatewayError, LoadFailed, SamplesBlind
from gateway.updates.packing.pack import check_samples
from gateway.updates.packing.trials import Outcome, Sensitivity, Trial, outcome_of, rate, try_samples
from tests import onnx_writer
from tests.inference.model_folders import MODELS, copy, edit, write


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ({"stage": "golden", "held": 2}, Outcome.UNNOTICED),
        ({"stage": "golden", "error": "engine.warmup"}, Outcome.NOTICED),
        ({"stage": "golden", "signal": 11}, Outcome.NOTICED),
        ({"stage": "golden", "held": 2, "signal": 11}, Outcome.NOTICED),
        ({"stage": "load", "error": "engine.load"}, Outcome.NOT_LOADED),
        ({"stage": "load", "signal": 11}, Outcome.NOT_LOADED),
        ({"stage": "load", "unchanged": True}, Outcome.UNCHANGED),
    ],
)
def test_what_does_not_load_is_no_merit_of_the_samples(said: dict[str, object], outcome: Outcome) -> None:
    assert outcome_of(said) is outcome


def test_cards_and_damage_are_both_held_to_the_least() -> None:
    trials = (
        Trial(False, "a", Outcome.NOTICED),
        Trial(False, "a", Outcome.NOT_LOADED),
        Trial(True, "b", Outcome.UNNOTICED),
        Trial(True, "c", Outcome.NOTICED),
        Trial(True, "c", Outcome.UNNOTICED),
    )
    tried = Sensitivity(trials, 1.0, 1.0, 1)
    assert (str(tried.damaged()), str(tried.cards())) == ("1 of 1", "1 of 3")
    assert rate(()).share == 1.0
    with pytest.raises(SamplesBlind, match="notice 1 of 3 mistaken cards, less than 50%"):
        check_samples("m", tried, 0.5)
    check_samples("m", tried, 0.3)


def test_samples_that_were_tried_on_nothing_are_not_taken_for_good() -> None:
    trials = (Trial(False, "a", Outcome.NOT_LOADED), Trial(True, "b", Outcome.NOTICED))
    with pytest.raises(SamplesBlind, match="no damaged model loaded"):
        check_samples("m", Sensitivity(trials, 1.0, 1.0, 1), 0.5)


# With tflite-runtime the short one ends the process that loads it.
@pytest.mark.parametrize("data", [b"\x18\0\0\0TFL3", b""])
def test_a_model_that_does_not_load_is_told_by_its_error(tmp_path: Path, data: bytes) -> None:
    folder = copy("motion-int8", tmp_path)
    path = folder / "motion_int8.tflite"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(data)
    edit(folder, (before, hashlib.sha256(data).hexdigest()))
    with pytest.raises(GatewayError):
        try_samples(folder, ("card.yaml", "labels.txt"), mutations=1)


def test_a_model_that_never_answers_is_ended(tmp_path: Path) -> None:
    path = onnx_writer.endless(tmp_path / "m.onnx")
    np.ones((1, 4), np.float32).tofile(tmp_path / "in.f32")
    sample = {
        "file": "in.f32",
        "declaration": {"dtype": "float32", "shape": [1, 4]},
        "expect": {"kind": "tensors"},
    }
    port = {"name": "x", "dtype": "float32", "shape": [1, 4]}
    write(tmp_path, path, [port], [{**port, "name": "y"}], golden=[sample])
    with pytest.raises(LoadFailed, match="signal 14"):
        try_samples(tmp_path, ("card.yaml", "m.onnx", "in.f32"), mutations=1, trial_s=1)


def test_progress_is_told_after_each_trial() -> None:
    told: list[int] = []
    folder = MODELS / "motion-int8"
    names = ("card.yaml", "motion_int8.tflite", "labels.txt", "golden/running.f32", "golden/walking.f32")
    tried = try_samples(folder, names, mutations=2, progress=told.append)
    # The healthy model, two damaged ones, four mistaken cards.
    assert told == [1, 2, 3, 4, 5, 6, 7]
    assert len(tried.trials) == 6
    assert (tried.runs, tried.load_s > 0, tried.p99_ms > 0) == (200, True, True)
