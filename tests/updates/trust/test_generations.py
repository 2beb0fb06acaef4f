"""The trust folder: one good generation, whatever else lies there."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import StoreFailed
from gateway.updates.trust.clock import ClockFloor
from gateway.updates.trust.floor import Floor
from gateway.updates.trust.generations import Generations
from tests.updates.trust.boards import Board, ScriptedSource

FLOOR = Floor(3)


def accepted(folder: Path, **files: bytes) -> Generations:
    """Return a trust folder whose good generation holds these files."""
    generations = Generations(folder)
    staged = generations.stage()
    for name, data in files.items():
        (staged / f"{name}.json").write_bytes(data)
    generations.accept(staged, FLOOR, ClockFloor(7, 5, ("k",)))
    return generations


def test_a_staged_generation_is_not_the_good_one_before_it_is_accepted(tmp_path: Path) -> None:
    generations = accepted(tmp_path / "trust", timestamp=b"1")
    staged = generations.stage()
    (staged / "timestamp.json").write_bytes(b"2")
    current = generations.current()
    assert current is not None
    assert (current / "timestamp.json").read_bytes() == b"1"
    generations.accept(staged, FLOOR, ClockFloor())
    assert generations.current() == staged


def test_what_was_accepted_is_copied_and_read_back(tmp_path: Path) -> None:
    generations = accepted(tmp_path / "trust", timestamp=b"1", models=b"2")
    assert (generations.floor(), generations.clock()) == (FLOOR, ClockFloor(7, 5, ("k",)))
    staged = generations.stage()
    files = {path.name: path.read_bytes() for path in staged.iterdir() if path.is_file()}
    assert files == {"timestamp.json": b"1", "models.json": b"2"}


def test_a_generation_that_is_dropped_leaves_nothing(tmp_path: Path) -> None:
    generations = Generations(tmp_path / "trust")
    generations.drop(generations.stage())
    assert list((tmp_path / "trust").iterdir()) == []
    assert generations.floor() == Floor()
    assert generations.clock() == ClockFloor()


@pytest.mark.parametrize("words", [b"", b"gen-9", b"..", b"gen-1/../..", b"\xff\xff", b"gen-01", b"x" * 500])
def test_a_pointer_that_points_nowhere_means_that_there_is_none(tmp_path: Path, words: bytes) -> None:
    generations = accepted(tmp_path / "trust", timestamp=b"1")
    (tmp_path / "trust" / "current").write_bytes(words)
    assert generations.current() is None
    assert generations.floor() == FLOOR


def test_links_that_somebody_planted_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.json").write_bytes(b"secret")
    generations = accepted(tmp_path / "trust", timestamp=b"1")
    current = generations.current()
    assert current is not None
    (current / "targets.json").symlink_to(outside / "secret.json")
    (tmp_path / "trust" / "gen-2").symlink_to(outside)
    staged = generations.stage()
    assert not staged.is_symlink()
    assert not (staged / "targets.json").exists()
    assert (outside / "secret.json").read_bytes() == b"secret"


def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "trust").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreFailed):
        Generations(tmp_path / "trust").stage()


def test_a_damaged_clock_file_is_as_none(tmp_path: Path) -> None:
    generations = accepted(tmp_path / "trust")
    (tmp_path / "trust" / "clock.json").write_bytes(b'{"used_unix_s":99999999999}')
    assert generations.clock() == ClockFloor()


def test_what_lies_about_of_earlier_refreshes_is_removed(board: Board, source: ScriptedSource) -> None:
    for name in ("gen-1", "gen-7", "gen-900"):
        (board.folder / name / "root_history").mkdir(parents=True)
    board.folder.chmod(0o700)
    board.client(source).refresh()
    assert [path.name for path in board.folder.glob("gen-*")] == ["gen-1"]
