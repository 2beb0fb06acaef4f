"""Files made, replaced and removed: a power cut leaves the old or the new, and no link is followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.errors import StoreFailed
from gateway.updates.store.durable import aside, create, discard, make_folder, replace, write_new
from gateway.updates.store.failpoints import armed


def test_a_file_is_synced_before_it_gets_its_name_and_the_name_after(
    tmp_path: Path, calls: list[str]
) -> None:
    replace(tmp_path / "it", b"new", "state")
    assert calls == ["write", "fsync file", "rename", "fsync folder"]
    assert (tmp_path / "it").read_bytes() == b"new"
    assert (tmp_path / "it").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("link", [True, False])
def test_a_new_file_is_new(tmp_path: Path, *, link: bool) -> None:
    if link:
        (tmp_path / "it").symlink_to(tmp_path / "nowhere")
    else:
        (tmp_path / "it").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        create(tmp_path / "it", 0o600, "state.create")
    assert not (tmp_path / "nowhere").exists()


def test_a_disk_that_takes_a_little_at_a_time_gets_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, place: pwrite(fd, bytes(data)[:3], place))
    write_new(tmp_path / "it", b"0123456789", 0o444, "state")
    assert (tmp_path / "it").read_bytes() == b"0123456789"
    assert (tmp_path / "it").stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize("point", ["state.write", "state.fsync", "state.rename"])
def test_what_fails_leaves_the_old_and_nothing_beside_it(tmp_path: Path, point: str) -> None:
    (tmp_path / "it").write_bytes(b"old")
    with armed(f"{point}:error:EIO"), pytest.raises(OSError, match="failpoint"):
        replace(tmp_path / "it", b"new", "state")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"it": b"old"}


def test_discarding_takes_what_is_there_and_not_what_it_points_to(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_bytes(b"stays")
    going = tmp_path / "going"
    (going / "deep" / "deeper").mkdir(parents=True)
    (going / "deep" / "out").symlink_to(precious)
    (going / "deep").chmod(0o555)
    going.chmod(0o555)
    discard(going)
    (tmp_path / "link").symlink_to(precious)
    discard(tmp_path / "link")
    discard(tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
    assert (precious / "file").read_bytes() == b"stays"


def test_what_is_set_aside_is_kept_up_to_nine_times(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / "it").write_text(str(number))
        aside(tmp_path / "it")
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert kept == {**{f"it.bad-{n}": str(n - 1) for n in range(1, 9)}, "it.bad-9": "11"}


def test_a_folder_is_made_once_with_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        assert make_folder(tmp_path / "it", 0o750)
    finally:
        os.umask(before)
    assert (tmp_path / "it").stat().st_mode & 0o777 == 0o750
    assert not make_folder(tmp_path / "it", 0o700)
    assert (tmp_path / "it").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_folder_is_not_taken_for_one(tmp_path: Path, kind: str) -> None:
    (tmp_path / "real").mkdir(mode=0o755)
    if kind == "file":
        (tmp_path / "it").write_bytes(b"")
    else:
        (tmp_path / "it").symlink_to(tmp_path / "real")
    with pytest.raises(StoreFailed):
        make_folder(tmp_path / "it", 0o700)
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o755
