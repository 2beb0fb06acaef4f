"""What is copied for a web server or a stick: what boards may see, all of it, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.errors import PublishRefused
from gateway.updates.publishing.repository import Repository
from tests.updates.publishing.releases import Hand, begin, pack


def public(folder: Path) -> dict[str, bytes]:
    """Return the files of the public tree."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for part in ("metadata", "targets", "blobs")
        for path in (folder / part).rglob("*")
        if path.is_file()
    }


def test_a_copy_holds_the_public_tree_and_no_more(repository: Repository, tmp_path: Path) -> None:
    repository.add(pack(tmp_path, 1))
    told: list[tuple[int, int]] = []
    to = tmp_path / "mount" / "stick"
    repository.publish(to, lambda done, total: told.append((done, total)))
    assert public(to) == public(repository.folder)
    assert sorted(path.name for path in to.iterdir()) == ["READY", "blobs", "metadata", "targets"]
    assert told[-1] == (sum(map(len, public(to).values())),) * 2


def test_a_second_copy_moves_only_what_is_new(repository: Repository, tmp_path: Path) -> None:
    repository.add(pack(tmp_path, 1, weights=b"w" * 500_000))
    to = tmp_path / "stick"
    repository.publish(to)
    told: list[tuple[int, int]] = []
    repository.publish(to, lambda done, total: told.append((done, total)))
    assert told[-1][1] < 10_000


@pytest.mark.parametrize("inside", ["", "blobs", "copy"])
def test_a_copy_into_the_repository_itself_is_refused(repository: Repository, inside: str) -> None:
    with pytest.raises(PublishRefused, match="itself"):
        repository.publish(repository.folder / inside)


def test_a_copy_over_another_repository_is_refused(
    repository: Repository, tmp_path: Path, clock: Hand
) -> None:
    other = begin(tmp_path / "other", clock)
    other.publish(tmp_path / "stick")
    before = public(tmp_path / "stick")
    with pytest.raises(PublishRefused, match="another repository"):
        repository.publish(tmp_path / "stick")
    assert public(tmp_path / "stick") == before


def test_a_link_in_the_repository_is_not_copied(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (repository.folder / "targets" / "out").symlink_to(tmp_path / "secret")
    repository.publish(tmp_path / "stick")
    assert not (tmp_path / "stick" / "targets" / "out").exists()


def test_a_copy_that_was_cut_off_is_completed(repository: Repository, tmp_path: Path) -> None:
    repository.add(pack(tmp_path, 1))
    to = tmp_path / "stick"
    repository.publish(to)
    shutil.rmtree(to / "metadata")
    (to / "READY").unlink()
    for path in (to / "blobs").iterdir():
        path.write_bytes(b"half")
    repository.publish(to)
    assert public(to) == public(repository.folder)
