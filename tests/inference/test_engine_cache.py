"""Built engines are found under all that they rest on, and under nothing else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.inference.engine_cache import MOST_FOLDERS, EngineCache, is_filled
from gateway.inference.engines.board import Board
from gateway.inference.engines.precision import Processor

SHA, OTHER = "a" * 64, "b" * 64
BOARD = Board(
    soc="tegra234",
    sm=87,
    l4t="36.4.3",
    processor=Processor("aarch64"),
    runtime_version="1.23.0",
    tensorrt="10.3.0",
    power_mode="0000",
)
TOLD = ("TensorrtExecutionProvider", "int8", 1 << 30)


@pytest.mark.parametrize(
    "changed",
    [
        {"sm": 110},
        {"soc": "tegra264"},
        {"l4t": "36.5.0"},
        {"runtime_version": "1.23.1"},
        {"tensorrt": "10.7.0"},
        {"power_mode": "0002"},
    ],
)
def test_whatever_changes_of_the_board_engines_are_built_anew(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    cache = EngineCache(tmp_path)
    assert cache.place(SHA, BOARD, TOLD) == cache.place(SHA, BOARD, TOLD)
    assert cache.place(SHA, replace(BOARD, **changed), TOLD) != cache.place(SHA, BOARD, TOLD)


def test_other_weights_precisions_and_workspaces_have_engines_of_their_own(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    places = {
        cache.place(SHA, BOARD, TOLD),
        cache.place(OTHER, BOARD, TOLD),
        cache.place(SHA, BOARD, ("TensorrtExecutionProvider", "fp16", 1 << 30)),
        cache.place(SHA, BOARD, ("TensorrtExecutionProvider", "int8", 1 << 29)),
    }
    assert len(places) == 4
    assert {place.name[:64] for place in places} == {SHA, OTHER}


def test_a_folder_is_filled_once_something_lies_in_it(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "engines")
    place = cache.place(SHA, BOARD, TOLD)
    assert not is_filled(str(place))
    assert cache.make(place)
    assert not is_filled(str(place))
    (place / "m.engine").write_bytes(b"an engine")
    assert is_filled(str(place))
    assert is_filled("")
    cache.drop(place)
    assert not place.exists()


def test_engines_of_a_release_go_with_it(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    for sha, mode in ((SHA, "0"), (SHA, "1"), (OTHER, "0")):
        assert cache.make(cache.place(sha, replace(BOARD, power_mode=mode), TOLD))
    assert cache.forget(SHA) == 2
    assert [path.name[:64] for path in tmp_path.iterdir()] == [OTHER]


def test_nothing_but_a_folder_of_engines_is_ever_deleted(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "engines")
    kept = tmp_path / "engines" / "notes"
    outside = tmp_path / cache.place(SHA, BOARD, TOLD).name
    for path in (kept, outside):
        path.mkdir(parents=True)
        cache.drop(path)
        assert path.is_dir()


def test_only_so_many_folders_are_kept_and_the_newest_of_them(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    made = [cache.place(f"{number:064x}", BOARD, TOLD) for number in range(MOST_FOLDERS + 3)]
    for number, place in enumerate(made):
        assert cache.make(place)
        os.utime(place, ns=(number, number))
    assert cache.make(made[-1])
    assert sorted(tmp_path.iterdir()) == sorted(made[3:])


def test_a_folder_that_cannot_be_made_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "engines").write_text("a file in the way")
    cache = EngineCache(tmp_path / "engines")
    assert not cache.make(cache.place(SHA, BOARD, TOLD))
