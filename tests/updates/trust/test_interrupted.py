"""A refresh that ends at any step leaves the old or the new generation, and the next one works."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata

from gateway.errors import DiskFull, GatewayError, StoreFailed, TrustFailed
from gateway.updates.publishing.repository import Repository
from gateway.updates.store.failpoints import TRUST_POINTS, armed
from gateway.updates.trust.generations import Generations
from tests.updates.publishing.releases import pack
from tests.updates.trust.boards import Board, ScriptedSource


def ended_by_the_failpoint(board: Board, repository: Path, point: str) -> bool:
    """Refresh in a process of its own; return whether SIGKILL ended it."""
    child = os.fork()
    if not child:
        with armed(point):
            client = board.client(ScriptedSource(repository))
            client.refresh()
            client.assignment("hall")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def timestamp_in_force(board: Board) -> int:
    """Return the version of the good generation's timestamp, after a look at all of its files."""
    current = Generations(board.folder).current()
    assert current is not None
    for path in current.glob("*.json"):
        if path.name != "floor.json":
            assert Metadata.from_file(str(path)).signed.version > 0
    return int(Metadata.from_file(str(current / "timestamp.json")).signed.version)


def be_judged(board: Board, repository: Repository, yesterday: Path) -> None:
    """Check that the old or the new is in force, that life goes on, and that nothing goes back."""
    assert timestamp_in_force(board) in (2, 3)
    new = ScriptedSource(repository.folder)
    client = board.client(new)
    assert client.refresh().versions["timestamp"] == 3
    assert client.manifest("door", 3) is not None
    assert timestamp_in_force(board) == 3
    with pytest.raises(TrustFailed):
        board.client(ScriptedSource(yesterday)).refresh()
    names = {path.name for path in board.folder.iterdir()}
    assert {name for name in names if not name.startswith("gen-")} == {"clock.json", "current", "floor.json"}
    assert len(names) == 4


@pytest.fixture(name="warm")
def _warm(board: Board, repository: Repository, tmp_path: Path) -> tuple[Board, Path]:
    """Return a board that believes yesterday's repository, and that; the repository has moved on."""
    yesterday = tmp_path / "yesterday"
    shutil.copytree(repository.folder, yesterday)
    board.client(ScriptedSource(yesterday)).refresh()
    repository.add(pack(tmp_path, 3))
    repository.publish()
    return board, yesterday


@pytest.mark.parametrize("point", sorted(TRUST_POINTS))
def test_a_process_that_dies_at_this_step_leaves_old_or_new(
    warm: tuple[Board, Path], repository: Repository, point: str
) -> None:
    board, yesterday = warm
    assert ended_by_the_failpoint(board, repository.folder, f"{point}:kill")
    be_judged(board, repository, yesterday)


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("point", sorted(TRUST_POINTS - {"generation.remove"}))
def test_an_error_at_this_step_leaves_old_or_new(
    warm: tuple[Board, Path], repository: Repository, point: str, error: str
) -> None:
    board, yesterday = warm
    with armed(f"{point}:error:{error}"):
        try:
            client = board.client(ScriptedSource(repository.folder))
            client.refresh()
            client.assignment("hall")
        except GatewayError as refused:
            assert isinstance(refused, DiskFull if error == "ENOSPC" else StoreFailed), refused
        else:
            pytest.fail("the error was overlooked")
    be_judged(board, repository, yesterday)


def test_a_leftover_that_cannot_be_removed_does_not_undo_a_refresh(
    warm: tuple[Board, Path], repository: Repository
) -> None:
    board, yesterday = warm
    with armed("generation.remove:error:EIO"):
        board.client(ScriptedSource(repository.folder)).refresh()
    assert timestamp_in_force(board) == 3
    be_judged(board, repository, yesterday)
