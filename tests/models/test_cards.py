"""Every shipped card is true: digest, tensors, labels, golden samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.inference.card import file_digest, read_folder
from gateway.inference.golden_run import run_golden
from tests.models.loading import FOLDERS, MODELS, PIPELINE, loaded


def test_every_folder_of_models_has_a_card() -> None:
    assert sorted(path.name for path in MODELS.iterdir() if path.is_dir()) == FOLDERS
    assert len(FOLDERS) == 6


@pytest.mark.parametrize("name", FOLDERS)
def test_the_card_has_the_digest_of_its_file(name: str) -> None:
    folder = read_folder(MODELS / name)
    assert file_digest(folder.file) == folder.card.sha256


@pytest.mark.parametrize("name", FOLDERS)
def test_the_card_is_named_like_its_folder_and_says_where_the_model_comes_from(name: str) -> None:
    card = read_folder(MODELS / name).card
    assert card.name == name
    assert card.source
    assert card.licence in {"Apache-2.0", "MIT"}


@pytest.mark.parametrize("name", FOLDERS)
def test_the_model_answers_its_golden_samples(name: str) -> None:
    model = loaded(name)
    assert run_golden(model, PIPELINE) == tuple(sample.file for sample in model.folder.card.golden)
    assert model.folder.card.golden


def test_imagenet_labels_stand_where_the_classes_are() -> None:
    for name in ("efficientnet-lite0-int8", "efficientnet-lite0-int8-onnx"):
        labels = read_folder(MODELS / name).labels
        assert len(set(labels)) == 1000
        assert {index: labels[index] for index in (281, 282, 285, 967)} == {
            281: "tabby",
            282: "tiger cat",
            285: "Egyptian cat",
            967: "espresso",
        }


def test_the_models_readme_names_every_folder() -> None:
    text = Path(MODELS / "README.md").read_text(encoding="utf-8")
    assert [name for name in FOLDERS if f"`{name}`" not in text] == []
