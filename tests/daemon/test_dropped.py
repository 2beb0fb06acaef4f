"""What counts as a model in the folder for drop-ins, by its names alone."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.daemon.dropped import look


def names(folder: Path) -> list[str]:
    return sorted(look(folder, {}).found)


def refusals(folder: Path) -> dict[str, str]:
    return {each.path.name: f"{each.reason}: {each.advice}" for each in look(folder, {}).refused}


def test_model_files_and_folders_are_found_and_others_are_let_lie(tmp_path: Path) -> None:
    for name in ("a.onnx", "B.TFLITE", "notes.txt", "w.bin", ".c.onnx", "d.onnx.part", "~e.onnx", "f.onnx~"):
        (tmp_path / name).write_bytes(b"x")
    for folder, file in (("g", "card.yaml"), ("h", "m.onnx"), ("i", "readme.md"), (".j", "card.yaml")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    assert names(tmp_path) == ["B", "a", "g", "h"]
    assert refusals(tmp_path) == {}


def test_what_cannot_be_a_model_here_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"x")
    (tmp_path / "b.engine").write_bytes(b"x")
    (tmp_path / "real.onnx").write_bytes(b"x")
    (tmp_path / "c.onnx").symlink_to(tmp_path / "real.onnx")
    os.mkfifo(tmp_path / "d.onnx")
    (tmp_path / "two").mkdir()
    for name in ("1.onnx", "2.tflite"):
        (tmp_path / "two" / name).write_bytes(b"x")
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "card.yaml").write_bytes(b"x")
    (tmp_path / "many").mkdir()
    for number in range(513):
        (tmp_path / "many" / f"{number}.jpg").touch()
    assert names(tmp_path) == ["real"]
    said = refusals(tmp_path)
    assert "export it to .onnx" in said["a.pt"]
    assert "engines are built on each board" in said["b.engine"]
    assert "symbolic link" in said["c.onnx"]
    assert "no regular file" in said["d.onnx"]
    assert "1.onnx, 2.tflite and no card.yaml" in said["two"]
    assert "would be served as real, as real is: rename" in said["real.onnx"]
    assert "more than 512 files" in said["many"]


def test_a_signature_changes_with_any_file_of_a_model_and_with_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"x")
    inner = tmp_path / "b" / "golden"
    inner.mkdir(parents=True)
    (tmp_path / "b" / "card.yaml").write_bytes(b"x")
    (inner / "cat.jpg").write_bytes(b"x")

    def signatures() -> list[object]:
        found = look(tmp_path, {tmp_path / "a.onnx": ["w.bin"]}).found
        return [found["a"].signature, found["b"].signature]

    seen = [signatures()]
    (tmp_path / "notes.txt").write_bytes(b"x")
    assert signatures() == seen[0]
    (tmp_path / "w.bin").write_bytes(b"x")
    seen.append(signatures())
    (inner / "cat.jpg").write_bytes(b"xy")
    seen.append(signatures())
    os.utime(tmp_path / "a.onnx", (1, 1))
    seen.append(signatures())
    changed = [(now[0] != was[0], now[1] != was[1]) for was, now in itertools.pairwise(seen)]
    assert changed == [(True, False), (False, True), (True, False)]


def test_a_folder_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        look(tmp_path / "absent", {})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=40), max_size=6))
def test_any_names_give_models_of_lawful_names(
    tmp_path_factory: pytest.TempPathFactory, given: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("drop")
    for name in {*given} - {".", ".."}:
        (folder / f"{name}.onnx").write_bytes(b"x")
    for name in names(folder):
        assert name.isascii()
        assert name[0].isalnum()
        assert len(name) <= 63
