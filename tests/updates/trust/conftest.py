"""A published repository, a board that trusts it, and the clock of both."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.updates.publishing.assigning import Change
from gateway.updates.publishing.repository import Repository
from tests.updates.publishing.releases import Hand, begin, pack, reopen
from tests.updates.trust.boards import Board, ScriptedSource, board


@pytest.fixture(name="clock")
def _clock() -> Hand:
    return Hand()


@pytest.fixture(name="published", scope="package")
def _published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of what every test gets a copy of: making it takes some hundred syncs of the disk."""
    folder = tmp_path_factory.mktemp("published")
    made = begin(folder / "repository", Hand())
    for number in (1, 2):
        made.add(pack(folder, number))
    made.assign("hall", Change({"door": 2}))
    made.publish()
    return folder


@pytest.fixture(name="repository")
def _repository(published: Path, tmp_path: Path, clock: Hand) -> Repository:
    """Return one with releases 1 and 2 of the model door, of which the group hall runs the second."""
    for name in ("repository", "repository.keys"):
        shutil.copytree(published / name, tmp_path / name)
    return reopen(tmp_path / "repository", clock)


@pytest.fixture(name="source")
def _source(repository: Repository) -> ScriptedSource:
    return ScriptedSource(repository.folder)


@pytest.fixture(name="board")
def _board(tmp_path: Path, repository: Repository, clock: Hand) -> Board:
    return board(tmp_path / "trust", repository, clock)


@pytest.fixture(name="yesterday")
def _yesterday(repository: Repository, tmp_path: Path) -> Path:
    """Return a copy of the repository as it was before release 3."""
    folder = tmp_path / "yesterday"
    shutil.copytree(repository.folder, folder)
    repository.add(pack(tmp_path, 3))
    repository.publish()
    return folder
