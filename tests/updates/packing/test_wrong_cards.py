"""Mistaken cards: one mistake each, and every one of them loads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway.configuration.settings import StepSettings
from gateway.inference.card import file_digest, read_folder
from gateway.updates.packing.contents import file_names
from gateway.updates.packing.trial_folder import card_document, write_trial
from gateway.updates.packing.wrong_cards import wrong_cards
from tests.inference.model_folders import MODELS

NAMES = sorted(path.parent.name for path in MODELS.glob("*/card.yaml"))


@pytest.mark.parametrize(
    ("name", "mistakes"),
    [
        (
            "efficientnet-lite0-int8",
            [
                "red and blue swapped",
                "resized another way",
                "levels not normalised",
                # From -1 to 1 is what the card says, but for half a level.
                "levels from 0 to 1",
                "labels shifted by one",
            ],
        ),
        (
            "blazeface-short-range",
            ["red and blue swapped", "resized another way", "levels not normalised", "levels from 0 to 1"],
        ),
        (
            "silero-vad",
            [
                "half the sampling rate",
                "twice the sampling rate",
                "samples as whole numbers",
                "samples a hundred times too small",
            ],
        ),
        (
            "motion-int8",
            [
                "channels in reverse order",
                "readings ten times too large",
                "readings ten times too small",
                "labels shifted by one",
            ],
        ),
    ],
)
def test_each_kind_of_model_has_its_mistakes(name: str, mistakes: list[str]) -> None:
    model = read_folder(MODELS / name)
    found = wrong_cards(model)
    assert [each.what for each in found] == mistakes
    for each in found:
        same = (each.folder.card.preprocess, each.folder.labels) == (model.card.preprocess, model.labels)
        assert not same


def test_a_picture_already_in_bgr_is_turned_to_rgb() -> None:
    model = read_folder(MODELS / "blazeface-short-range")
    steps = (StepSettings("colour", {"order": "bgr"}), *model.card.preprocess)
    swapped = wrong_cards(replace(model, card=replace(model.card, preprocess=steps)))[0]
    assert swapped.folder.card.preprocess[0] == StepSettings("colour", {"order": "rgb"})


@pytest.mark.parametrize("name", NAMES)
def test_a_card_written_as_json_reads_back_as_the_same_card(name: str, tmp_path: Path) -> None:
    model = read_folder(MODELS / name)
    write_trial(tmp_path, model, file_names(model), {})
    again = read_folder(tmp_path)
    assert again.card == model.card
    assert again.labels == model.labels
    assert json.loads(json.dumps(card_document(model.card)))["name"] == name


def test_changed_files_are_on_the_card_and_do_not_touch_the_originals(tmp_path: Path) -> None:
    model = read_folder(MODELS / "motion-int8")
    data = np.frombuffer(model.file.read_bytes() + b"x", np.uint8)
    write_trial(tmp_path, model, file_names(model), {model.card.file: data})
    assert read_folder(tmp_path).card.sha256 == file_digest(tmp_path / model.card.file) != model.card.sha256
    assert file_digest(model.file) == model.card.sha256
