"""Packing, end to end on real models: what is made, what is refused, and that nothing is left behind."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from gateway.errors import (
    CardMismatch,
    LoadFailed,
    ManifestRefused,
    PublishRefused,
    SamplesBlind,
    WarmupFailed,
)
from gateway.updates.manifest import read_manifest
from gateway.updates.packing.contents import blob_of
from gateway.updates.packing.pack import Packed, PackOptions, pack, read_release
from gateway.updates.release import Budgets
from tests import onnx_writer
from tests.inference.model_folders import MODELS, copy, edit, load, write
from tests.inference.twins import TWIN, twins

FEW = PackOptions(mutations=5, issued=1_800_000_000)


@pytest.fixture(name="packed", scope="module")
def _packed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    folder = copy("motion-int8", tmp_path_factory.mktemp("models"))
    return pack(folder, FEW)


def test_a_release_folder_is_the_model_folder_and_its_manifest(packed: Packed) -> None:
    assert packed.folder.name == "motion-int8-1"
    data = (packed.folder / "manifest.json").read_bytes()
    assert read_manifest(data) == packed.release
    assert hashlib.sha256(data).hexdigest() == packed.digest
    held = {path.relative_to(packed.folder).as_posix() for path in packed.folder.rglob("*") if path.is_file()}
    assert held == {"manifest.json", *(file.path for file in packed.release.files)}
    for file in packed.release.files:
        assert hashlib.sha256((packed.folder / file.path).read_bytes()).hexdigest() == file.blob.sha256
    assert (packed.release.model, packed.release.number, packed.release.label) == ("motion-int8", 1, "1.0.0")
    assert packed.release.issued == 1_800_000_000


def test_the_golden_samples_of_a_good_card_notice_most(packed: Packed) -> None:
    tried = packed.sensitivity
    assert tried is not None
    assert len([trial for trial in tried.trials if not trial.is_card]) == 5
    assert tried.damaged().share >= 0.5
    assert str(tried.cards()) == "4 of 4"


def test_budgets_are_what_was_measured_with_head_room(packed: Packed) -> None:
    assert packed.sensitivity is not None
    held, tried = packed.release.budgets, packed.sensitivity
    assert tried.load_s * 8 <= held.load_s <= tried.load_s * 8 + 2.2
    assert tried.p99_ms * 8 <= held.p99_ms <= tried.p99_ms * 8 + 6.1
    assert held.memory_bytes >= packed.proof.memory_bytes * 1.5


def test_a_release_is_never_packed_twice_under_one_name(packed: Packed, tmp_path: Path) -> None:
    folder = copy("motion-int8", tmp_path)
    with pytest.raises(PublishRefused, match="is there already"):
        pack(folder, PackOptions(mutations=5, out=packed.folder))


@pytest.fixture(name="blind")
def _blind(tmp_path: Path) -> Path:
    """Return a model whose samples see no more than that an answer is a classification."""
    folder = copy("motion-int8", tmp_path)
    text = (folder / "card.yaml").read_text()
    head = text[: text.index("golden:")]
    sample = "media: application/vnd.gateway.tensor, declaration: {dtype: float32, shape: [100, 6]}"
    golden = f"golden:\n  - {{file: golden/running.f32, {sample}, expect: {{kind: classification}}}}\n"
    (folder / "card.yaml").write_text(head + golden)
    return folder


def test_samples_that_notice_nothing_are_refused_and_nothing_is_left(blind: Path) -> None:
    with pytest.raises(SamplesBlind, match="notice 0 of 5 damaged models, less than 50%") as caught:
        pack(blind, FEW)
    assert caught.value.attributes == {"noticed": 0, "tried": 5}
    assert [path.name for path in blind.parent.iterdir()] == [blind.name]


def test_whoever_insists_packs_blind_samples_all_the_same(blind: Path) -> None:
    packed = pack(
        blind, PackOptions(mutations=5, allow_blind=True, with_budgets=False, number=9, model="door")
    )
    assert packed.folder.name == "door-9"
    assert (packed.release.model, packed.release.budgets) == ("door", Budgets())
    assert packed.sensitivity is not None
    assert packed.sensitivity.damaged().noticed == 0


def test_a_card_without_samples_is_refused(tmp_path: Path) -> None:
    folder = copy("motion-int8", tmp_path)
    text = (folder / "card.yaml").read_text()
    (folder / "card.yaml").write_text(text[: text.index("golden:")])
    with pytest.raises(SamplesBlind, match="has no golden samples"):
        pack(folder, FEW)
    assert pack(folder, PackOptions(allow_blind=True)).sensitivity is None


def test_a_wrong_expectation_is_no_release(tmp_path: Path) -> None:
    folder = copy("motion-int8", tmp_path)
    edit(folder, ("label: running", "label: badminton"))
    with pytest.raises(WarmupFailed, match=r"golden/running\.f32"):
        pack(folder, FEW)


def test_a_changed_model_file_is_no_release(tmp_path: Path) -> None:
    folder = copy("motion-int8", tmp_path)
    with (folder / "motion_int8.tflite").open("ab") as file:
        file.write(b"x")
    with pytest.raises(CardMismatch, match="sha256"):
        pack(folder, FEW)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (PackOptions(allow_blind=True, mutations=0, label="1\n2"), "label"),
        (PackOptions(allow_blind=True, mutations=0, number=-1), "release"),
        (PackOptions(allow_blind=True, mutations=0, model="a", hardware=("b c",)), "hardware"),
        (PackOptions(allow_blind=True, mutations=0, min_gateway="2"), "min_gateway"),
    ],
)
def test_what_no_board_would_take_is_not_made(tmp_path: Path, options: PackOptions, words: str) -> None:
    folder = copy("motion-int8", tmp_path)
    with pytest.raises(ManifestRefused, match=f"^{words}"):
        pack(folder, options)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def outside(folder: Path, location: str) -> Path:
    """Write a model whose weights lie beside it."""
    folder.mkdir()
    path = onnx_writer.beside(folder / "m.onnx", onnx_writer.External(location, "0", "256"))
    weights = np.random.default_rng(1).normal(size=(16, 4)).astype(np.float32)
    (folder / "w.bin").write_bytes(weights.tobytes())
    np.ones((1, 16), np.float32).tofile(folder / "in.f32")
    np.savez(folder / "out.npz", y=np.ones((1, 16), np.float32) @ weights)
    sample = {
        "file": "in.f32",
        "media": "application/vnd.gateway.tensor",
        "declaration": {"dtype": "float32", "shape": [1, 16]},
        "expect": {"outputs": "out.npz"},
    }
    port = {"name": "x", "dtype": "float32", "shape": [1, 16]}
    return write(folder, path, [port], [{**port, "name": "y", "shape": [1, 4]}], golden=[sample])


def test_weights_beside_the_model_are_files_of_the_release_and_are_damaged_too(tmp_path: Path) -> None:
    packed = pack(outside(tmp_path / "made", "w.bin"), FEW)
    assert [file.path for file in packed.release.files] == [
        "card.yaml",
        "m.onnx",
        "in.f32",
        "out.npz",
        "w.bin",
    ]
    assert packed.sensitivity is not None
    assert packed.sensitivity.damaged().noticed == packed.sensitivity.damaged().tried == 5


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "absent.bin"])
def test_weights_elsewhere_are_no_release(tmp_path: Path, location: str) -> None:
    folder = outside(tmp_path / "made", location)
    (tmp_path / "w.bin").write_bytes(b"\0" * 256)
    with pytest.raises(LoadFailed):
        pack(folder, FEW)


def test_names_that_no_release_may_hold_are_refused(tmp_path: Path) -> None:
    folder = copy("motion-int8", tmp_path)
    (folder / "labels.txt").rename(folder / "my labels.txt")
    edit(folder, ("labels: labels.txt", "labels: my labels.txt"))
    with pytest.raises(ManifestRefused, match=r"'my labels\.txt' is no name"):
        pack(folder, FEW)


def test_a_release_made_from_an_earlier_one_brings_patches_where_they_pay(
    packed: Packed, tmp_path: Path
) -> None:
    folder = copy("motion-int8", tmp_path)
    labels = folder / "labels.txt"
    labels.write_text(labels.read_text().replace("running", "jogging"))
    edit(folder, ("label: running", "label: jogging"))
    with (folder / "motion_int8.tflite").open("ab") as file:
        file.write(b"retold")
    before = hashlib.sha256((MODELS / "motion-int8" / "motion_int8.tflite").read_bytes()).hexdigest()
    after = hashlib.sha256((folder / "motion_int8.tflite").read_bytes()).hexdigest()
    edit(folder, (before, after))
    made = pack(folder, PackOptions(mutations=5, earlier=packed.folder))
    assert made.release.number == 2
    (patched,) = made.patches  # the card and the labels are too small to be worth one
    assert patched.path == "motion_int8.tflite"
    assert patched.saving > 0.9
    (delta,) = made.release.deltas
    assert (delta.from_sha256, delta.to_sha256) == (before, after)
    assert blob_of(made.folder / "deltas" / delta.blob.sha256) == delta.blob
    assert read_release(made.folder) == made.release


def test_what_is_no_release_folder_cannot_be_patched_from(tmp_path: Path) -> None:
    folder = copy("motion-int8", tmp_path)
    with pytest.raises(PublishRefused, match="no release folder"):
        pack(folder, PackOptions(earlier=tmp_path))


def test_a_release_carries_its_twins_and_each_was_proven(tmp_path: Path) -> None:
    packed = pack(twins(tmp_path / "m"), FEW)
    blobs = {file.path: file.blob.sha256 for file in packed.release.files}
    assert blobs[TWIN] == hashlib.sha256((packed.folder / TWIN).read_bytes()).hexdigest()
    assert packed.proof.mapped == blobs["m.onnx"]
    assert load(packed.folder, file=TWIN).version.digest == f"sha256:{blobs[TWIN]}"


def test_a_twin_that_answers_otherwise_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(WarmupFailed, match="golden"):
        pack(twins(tmp_path / "m", seed_of_twin=2), FEW)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
