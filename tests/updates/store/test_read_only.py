"""A disk that can only be read: what is on it serves, nothing is done, and later all is well."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.cli.main import main
from gateway.errors import StoreBusy, StoreFailed
from gateway.updates.manifest import manifest_bytes
from gateway.updates.release import ReleaseRef
from gateway.updates.store.pause import set_paused
from gateway.updates.store.store import Store
from tests.updates.store.transaction import MODEL, blob_of, fetch, install, open_store, ref_of, release_of

ACTS: dict[str, Callable[[Store], object]] = {
    "commit": lambda store: store.commit(replace(store.record(MODEL), seq=store.record(MODEL).seq + 1)),
    "partial": lambda store: store.partial(blob_of(b"new")),
    "stage": lambda store: store.stage(release_of(2), manifest_bytes(release_of(2))),
    "quarantine": lambda store: store.quarantine(MODEL, ReleaseRef(2, "ab" * 32), "update.bake", "slow", 1),
    "audit": lambda store: store.audit("looked"),
    "collect": lambda store: store.collect(0),
    "pause": lambda store: set_paused(store.layout, paused=True),
}


def test_what_is_there_is_read_and_every_act_is_refused(
    disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = disk / "models"
    with contextlib.closing(open_store(root)) as store:
        install(store, 1)
        fetch(store, 2)
        (root / "state" / ".tmp-door.json").write_bytes(b"left over")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with contextlib.closing(open_store(root)) as store:
        record = store.record(MODEL)
        assert record.active == ref_of(release_of(1))
        store.verify(MODEL, record.active)
        assert store.usage().store_bytes > 0
        for name, act in ACTS.items():
            with pytest.raises(StoreFailed, match=r"(?i)read-only"):
                act(store)
            assert store.record(MODEL) == record, name
        with pytest.raises(StoreBusy):
            open_store(root)
    assert main(["fsck", "--store", str(root)]) == 0
    assert "left over" not in capsys.readouterr().out
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    with contextlib.closing(open_store(root)) as store:
        install(store, 2)
        assert store.check(mend=True) == []
