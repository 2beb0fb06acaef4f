"""Whatever an author does, a board that looks between any two writes sees one state, old or new."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.updates.manifest import read_manifest
from gateway.updates.publishing import disk
from gateway.updates.publishing.assigning import Change
from gateway.updates.publishing.repository import Repository
from gateway.updates.publishing.roles import ROLES
from gateway.updates.transport.folder import READY_FILE
from tests.updates.publishing.releases import DAY_S, Hand, blob_of, pack
from tests.updates.trust.boards import Board, ScriptedSource, board

Work = Callable[[Repository, Path], object]


def release(repository: Repository, folder: Path) -> None:
    repository.add(pack(folder, 2))
    repository.assign("hall", Change({"door": 2}))
    repository.publish()


def rotation(role: str) -> Work:
    return lambda repository, folder: (folder, repository.rotate(role))


def renewal(repository: Repository, folder: Path) -> None:
    del folder
    repository.publish()


WORKS: dict[str, Work] = {
    "release": release,
    "renewal": renewal,
    **{f"rotate {role}": rotation(role) for role in ROLES},
}


class Stopped(BaseException):
    """The author's laptop runs out of power."""


@pytest.fixture(name="published")
def _published(repository: Repository, tmp_path: Path) -> Repository:
    repository.add(pack(tmp_path, 1))
    repository.assign("hall", Change({"door": 1}))
    repository.publish()
    return repository


def look(boards: list[Board], folder: Path) -> None:
    """Let boards refresh, and check that everything that is signed can be had."""
    for each in boards:
        client = each.client(ScriptedSource(folder))
        client.refresh()
        assert client.assignment("hall") is not None
        assert client.manifest("door", 1) is not None
        for number in (1, 2):
            manifest = client.manifest("door", number)
            for blob in read_manifest(manifest).blobs() if manifest else ():
                assert blob_of((folder / "blobs" / blob.sha256).read_bytes()) == blob


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch, after: Callable[[], None]) -> Iterator[None]:
    """Call ``after`` whenever a file has got its final name."""
    finish = disk._finish

    def tell(new: Path, path: Path) -> None:
        finish(new, path)
        after()

    with monkeypatch.context() as patch:
        patch.setattr(disk, "_finish", tell)
        yield


@pytest.mark.parametrize("name", WORKS)
def test_a_board_that_looks_between_two_writes_never_sees_a_mix(
    published: Repository, tmp_path: Path, clock: Hand, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # One that follows every step, and at each step one that was off since the beginning.
    constant = board(tmp_path / "constant", published, clock)
    root = constant.root
    look([constant], published.folder)
    looks = 0
    if name == "renewal":
        clock.unix_s += 0.7 * DAY_S

    def looked() -> None:
        nonlocal looks
        looks += 1
        look([constant, Board(tmp_path / f"fresh-{looks}", root, clock)], published.folder)

    with watched(monkeypatch, looked):
        WORKS[name](published, tmp_path)
    assert looks >= 1
    assert not published.status().unpublished


@pytest.mark.parametrize("name", WORKS)
def test_an_author_who_is_interrupted_anywhere_does_it_again(
    published: Repository, tmp_path: Path, clock: Hand, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    follower = board(tmp_path / "follower", published, clock)
    look([follower], published.folder)
    for stop_at in range(1, 30):
        count = 0

        def stop() -> None:
            nonlocal count
            count += 1
            if count == stop_at:  # noqa: B023 - used within this turn
                raise Stopped

        try:
            with watched(monkeypatch, stop):
                WORKS[name](published, tmp_path)
        except Stopped:
            look([follower], published.folder)
        else:
            break
    else:
        pytest.fail("it never came to its end")
    assert stop_at > 1
    look([follower], published.folder)
    assert not list(published.folder.rglob(".tmp-*"))


def test_a_copy_is_complete_at_every_moment_and_says_ready_at_the_end(
    published: Repository, tmp_path: Path, clock: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "web"
    published.publish(to)
    follower = board(tmp_path / "follower", published, clock)
    look([follower], to)
    published.add(pack(tmp_path, 2))
    ready: list[bool] = []

    def looked() -> None:
        look([follower], to)
        ready.append((to / READY_FILE).exists())

    with watched(monkeypatch, looked):
        published.publish(to)
    assert len(ready) > 5
    # While it signs the old copy is as ready as ever; while it copies nothing is; in the end all is.
    assert (ready[0], ready[-2:]) == (True, [False, True])
    assert ready == [*sorted(ready[:-1], reverse=True), True]
