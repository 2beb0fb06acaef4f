"""A disk that stumbles once: what the crash tests found there stays found."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import pytest

from gateway.errors import StoreFailed
from gateway.updates.store import collect, locking, records
from gateway.updates.store.reading import read_small
from tests.faults.transaction import history, open_site, play
from tests.updates.store.transaction import MODEL


def ignore(_: str) -> None:
    """Say nothing to anybody."""


def test_a_record_that_cannot_be_read_once_is_read_again_and_not_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stumbles: list[Path] = []

    def stumble(root: Path, path: Path, most_bytes: int) -> bytes:
        if path.name == f"{MODEL}.json" and not stumbles:
            stumbles.append(path)
            raise OSError(errno.EIO, "stumbled")
        return read_small(root, path, most_bytes)

    with contextlib.closing(open_site(tmp_path / "models")) as site:
        play(site, 1, ignore, ignore)
        monkeypatch.setattr(records, "read_small", stumble)
        assert site.store.record(MODEL) == history(1)[-1]
        assert stumbles, "nothing stumbled"
        assert list(site.store.layout.state.glob("*.bad-*")) == []


def test_a_record_that_cannot_be_read_twice_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(root: Path, path: Path, most_bytes: int) -> bytes:
        if path.name == f"{MODEL}.json":
            raise OSError(errno.EIO, "broken")
        return read_small(root, path, most_bytes)

    with contextlib.closing(open_site(tmp_path / "models")) as site:
        play(site, 1, ignore, ignore)
        monkeypatch.setattr(records, "read_small", fail)
        held = site.store.record(MODEL)
        assert (held.seq, held.active, held.floor) == (0, None, history(1)[-1].floor)
        assert len(list(site.store.layout.state.glob("*.bad-*"))) == 1


def test_a_disk_that_cannot_be_measured_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with contextlib.closing(open_site(tmp_path / "models")) as site:
        play(site, 1, ignore, ignore)
        monkeypatch.setattr(collect, "disk_bytes", fail)
        with pytest.raises(StoreFailed):
            site.store.collect(0)


def test_a_lock_that_cannot_be_looked_at_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_site(tmp_path / "models").close()

    def fail(_: int) -> os.stat_result:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, "fstat", fail)
        with pytest.raises(StoreFailed):
            locking.take(tmp_path / "models" / "LOCK")
    open_site(tmp_path / "models").close()
