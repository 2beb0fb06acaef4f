"""The gateway's own copies of drop-in models: whole or not there, and taken again while nothing changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gateway.daemon import made_folders
from gateway.daemon.dropped import Dropped, look
from gateway.daemon.made_folders import Made, MadeFolders
from gateway.errors import LoadFailed, NotReady
from gateway.inference.card import read_folder
from gateway.inference.loaded import LoadedModel, LoadSpec
from tests import onnx_writer
from tests.inference.made_models import beside, weights
from tests.inference.model_folders import copy, edit


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


@pytest.fixture
def copies(tmp_path: Path) -> MadeFolders:
    return MadeFolders(tmp_path / "copies")


def only(drop: Path, copies: MadeFolders) -> Dropped:
    (dropped,) = look(drop, copies.companions).found.values()
    return dropped


def loads(made: Made) -> bool:
    model = LoadedModel.load(LoadSpec("made", str(made.folder)))
    model.warm_up()
    model.close()
    return True


def test_a_file_gets_a_card_and_a_copy_that_no_change_of_the_file_reaches(
    drop: Path, copies: MadeFolders
) -> None:
    path = onnx_writer.product(drop / "my model.onnx")
    made = copies.make(only(drop, copies))
    assert made.missing == ("licence", "preprocess", "postprocess", "labels", "golden")
    with path.open("r+b") as file:  # in place
        file.truncate(10)
    assert read_folder(made.folder).card.name == "my-model"
    assert loads(made)
    assert [each.name for each in drop.iterdir()] == ["my model.onnx"], "nothing is written beside it"


def test_the_same_files_give_the_same_copy_and_others_another(drop: Path, copies: MadeFolders) -> None:
    path = onnx_writer.product(drop / "m.onnx")
    first = copies.make(only(drop, copies))
    inode = first.folder.stat().st_ino
    assert copies.make(only(drop, copies)) == first
    os.utime(path, (1, 1))  # touched
    assert copies.make(only(drop, copies)).folder == first.folder
    assert first.folder.stat().st_ino == inode
    onnx_writer.product(path, seed=2)
    assert copies.make(only(drop, copies)).folder != first.folder


def test_a_damaged_copy_is_made_anew(drop: Path, copies: MadeFolders) -> None:
    onnx_writer.product(drop / "m.onnx")
    made = copies.make(only(drop, copies))
    (made.folder / "m.onnx").write_bytes(b"rubbish")
    assert loads(copies.make(only(drop, copies)))


def test_a_folder_is_copied_with_what_its_card_names_alone(drop: Path, copies: MadeFolders) -> None:
    folder = copy("motion-int8-onnx", drop)
    (folder / "secret.txt").write_text("of nobody's business")
    made = copies.make(only(drop, copies))
    assert made.missing == ()
    found = {str(each.relative_to(made.folder)) for each in made.folder.rglob("*") if each.is_file()}
    card = {"card.yaml", "motion_int8_qdq.onnx", "labels.txt", "golden/running.f32", "golden/walking.f32"}
    assert found == {*card, "kept.json"}
    assert loads(made)


def test_weights_are_copied_beside(drop: Path, copies: MadeFolders, tmp_path: Path) -> None:
    made = beside(tmp_path / "made", "inner/w.bin")
    weights(made / "inner" / "w.bin", 2.0)
    shutil.copy(made / "m.onnx", drop / "m.onnx")
    with pytest.raises(LoadFailed, match=r"keeps weights in inner/w\.bin, which is not there"):
        copies.make(only(drop, copies))
    (drop / "inner").symlink_to(made / "inner")
    with pytest.raises(LoadFailed, match="folder is a symbolic link"):
        copies.make(look(drop, copies.companions).found["m"])
    (drop / "inner").unlink()
    shutil.copytree(made / "inner", drop / "inner")
    copied = copies.make(look(drop, copies.companions).found["m"])
    assert (copied.folder / "inner" / "w.bin").stat().st_size == 256
    assert loads(copied)


@pytest.mark.parametrize("what", ["rubbish", "link", "card", "outside"])
def test_what_is_refused_leaves_nothing_behind(
    drop: Path, copies: MadeFolders, tmp_path: Path, what: str
) -> None:
    if what == "rubbish":
        (drop / "m.onnx").write_bytes(b"rubbish" * 9)
    else:
        folder = copy("motion-int8-onnx", drop)
        if what == "card":
            edit(folder, ("licence:", "license:"))
        elif what == "outside":
            edit(folder, ("labels: labels.txt", "labels: ../labels.txt"))
        else:
            (folder / "labels.txt").unlink()
            (folder / "labels.txt").symlink_to(tmp_path / "secret")
            (tmp_path / "secret").write_text("secret")
    with pytest.raises(LoadFailed):
        copies.make(only(drop, copies))
    assert [*(tmp_path / "copies").iterdir()] == []


def test_a_file_that_changes_while_it_is_copied_is_tried_again_later(
    drop: Path, copies: MadeFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = onnx_writer.product(drop / "m.onnx")
    real = made_folders._move_bytes

    def moving(reading: int, writing: int, size: int) -> None:
        real(reading, writing, size)
        onnx_writer.product(path, seed=2)

    monkeypatch.setattr(made_folders, "_move_bytes", moving)
    with pytest.raises(NotReady, match="changed while it was copied"):
        copies.make(only(drop, copies))


def test_a_full_disk_is_the_board_s_fault_and_not_the_file_s(
    drop: Path, copies: MadeFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx_writer.product(drop / "m.onnx")
    usage = shutil.disk_usage(drop)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(NotReady, match="no room on the disk"):
        copies.make(only(drop, copies))


def test_a_cache_that_cannot_be_written_is_the_board_s_fault(drop: Path, tmp_path: Path) -> None:
    onnx_writer.product(drop / "m.onnx")
    (tmp_path / "file").write_text("no folder")
    copies = MadeFolders(tmp_path / "file" / "copies")
    with pytest.raises(NotReady, match="copies of models cannot be kept"):
        copies.make(only(drop, copies))


def test_a_sweep_leaves_what_serves_and_a_discard_reaches_nothing_else(
    drop: Path, copies: MadeFolders, tmp_path: Path
) -> None:
    path = onnx_writer.product(drop / "m.onnx")
    first = copies.make(only(drop, copies))
    onnx_writer.product(path, seed=2)
    second = copies.make(only(drop, copies))
    (tmp_path / "copies" / ".new-left").mkdir()
    copies.sweep(frozenset({second.folder}))
    assert [*(tmp_path / "copies").iterdir()] == [second.folder]
    assert not first.folder.exists()
    copies.discard(drop)
    assert path.exists()
    copies.discard(second.folder)
    assert not second.folder.exists()
