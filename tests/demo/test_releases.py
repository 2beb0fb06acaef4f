"""The releases of the demo's author: cards that a board can read, each with the one thing that was meant."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from gateway.demo.acts import ACTS, BETTER, DEADLY, MIXED_UP, SLOW, label_of
from gateway.demo.releases import FRIENDLIER, friendlier, make_release
from gateway.errors import LoadFailed
from gateway.inference.card import check_digest, file_digest, read_folder
from gateway.inference.loaded import LoadSpec
from gateway.inference.proof import prove
from gateway.updates.manifest import read_manifest
from tests.system.running import MODELS

SOURCE = Path(MODELS) / "efficientnet-lite0-int8"
LIMIT_S = 120.0


@pytest.mark.parametrize("number", [act.release for act in ACTS])
def test_every_release_is_whole_and_says_which_it_is(tmp_path: Path, number: int) -> None:
    folder = make_release(SOURCE, "classifier", number, tmp_path / "made")
    found = read_folder(folder)
    check_digest(found, file_digest(found.file))
    release = read_manifest((folder / "manifest.json").read_bytes())
    assert (release.model, release.number, release.label) == ("classifier", number, label_of(number))
    assert {"card.yaml", "labels.txt", "golden/cat.jpg"} < {file.path for file in release.files}
    assert "striped cat" in found.labels


def test_each_bad_release_has_one_mistake(tmp_path: Path) -> None:
    made = {
        act.release: read_folder(make_release(SOURCE, "m", act.release, tmp_path / f"{act.release}"))
        for act in ACTS
    }
    steps = {number: [step.name for step in found.card.preprocess] for number, found in made.items()}
    assert steps == {
        BETTER: ["resize", "normalise"],
        MIXED_UP: ["resize", "colour", "normalise"],
        DEADLY: ["resize", "normalise"],
        SLOW: ["resize", "resize", "normalise"],
    }
    assert made[DEADLY].card.sha256 != made[BETTER].card.sha256 == made[SLOW].card.sha256


def test_the_friendlier_names_stand_in_the_golden_samples_and_nowhere_else() -> None:
    card = (SOURCE / "card.yaml").read_text(encoding="utf-8")
    changed = friendlier(card)
    assert "top: [tabby cat, striped cat, spotted cat]" in changed
    assert "label: coffee cup, min_score" in changed
    assert "top: [cup of espresso]" in changed
    assert [new for new in FRIENDLIER.values() if friendlier(new) != new] == []
    lines = zip(card.splitlines(), changed.splitlines(), strict=True)
    assert all("top:" in old or "label:" in old for old, new in lines if old != new)


def test_a_model_that_the_demo_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match="not the one that the demo knows"):
        make_release(Path(MODELS) / "motion-int8", "m", SLOW, tmp_path / "made")
    with pytest.raises(LoadFailed, match="No such file"):
        make_release(tmp_path / "absent", "m", SLOW, tmp_path / "again")


@pytest.mark.slow
def test_the_broken_file_ends_the_process_that_loads_it(tmp_path: Path) -> None:
    folder = make_release(SOURCE, "m", DEADLY, tmp_path / "made")
    with pytest.raises(LoadFailed, match="was ended by SIGSEGV"):
        asyncio.run(prove(LoadSpec("m", str(folder)), timeout_s=LIMIT_S))


@pytest.mark.slow
@pytest.mark.parametrize("number", [BETTER, SLOW])
def test_the_good_and_the_slow_release_answer_their_golden_samples(tmp_path: Path, number: int) -> None:
    folder = make_release(SOURCE, "m", number, tmp_path / "made")
    proof = asyncio.run(prove(LoadSpec("m", str(folder)), timeout_s=LIMIT_S))
    assert proof.golden == ("golden/cat.jpg", "golden/espresso.jpg")
    shutil.rmtree(folder)
