"""Every step of the store fails, or is the last before the power goes; and life goes on, nothing lost."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import DiskFull, GatewayBug, GatewayError, StoreFailed
from gateway.updates.manifest import manifest_bytes
from gateway.updates.release import ReleaseRef
from gateway.updates.state import Phase
from gateway.updates.store.audit import MOST_FILE_BYTES
from gateway.updates.store.failpoints import POINTS, VARIABLE, armed, failpoint
from gateway.updates.store.store import Store
from tests.rules.tree import ROOT, sources
from tests.updates.store.transaction import MODEL, fetch, install, open_store, ref_of, release_of, stage

# Those of a full disk and of the order to pause are armed by tests of their own.
ELSEWHERE = ("ballast.drop", "pause.")
STORE = ("gateway", "updates", "store")
_WHOLE = ("create", "write", "fsync", "rename", "folder_fsync")
HERE = sorted(point for point in POINTS if not point.startswith(ELSEWHERE))


def prepare(root: Path) -> None:
    """Make a store that serves release 1, in which the next start and installation have everything to do."""
    with contextlib.closing(open_store(root)) as store:
        install(store, 1)
        # A folder of release 2 with a file too many, and one of a release that nobody wants.
        folder = store.stage(fetch(store, 2), manifest_bytes(release_of(2)))
        folder.chmod(0o755)
        (folder / "stray").write_text("?")
        stage(store, 9)
        for blob in release_of(2).blobs()[:1]:  # its weights must come anew
            store.blob_path(blob.sha256).unlink()
    (root / "state" / "hall.json").write_bytes(b"\0" * 300)
    (root / "state" / ".reserve").unlink()
    shutil.rmtree(root / "current")
    # The log is about to be rotated, and its last line is torn.
    log = root / "audit.jsonl"
    line = log.read_bytes()
    log.write_bytes(b" " * (MOST_FILE_BYTES - len(line)) + b"\n" + line + b'{"half')
    (root / "audit.jsonl.1").write_bytes(b"")


def be_judged(root: Path, facts: list[str]) -> None:
    """Check that what was said to be durable is, that old or new serves whole, and that life goes on."""
    with contextlib.closing(open_store(root)) as store:
        record = store.record(MODEL)
        old, new = ref_of(release_of(1)), ref_of(release_of(2))
        assert record.active in (old, new)
        store.verify(MODEL, record.active)
        assert record.floor == (2 if record.active == new and record.phase is Phase.IDLE else 1)
        if "staged 2" in facts:
            store.verify(MODEL, new)
        if "active 2" in facts:
            assert (record.active, record.previous) == (new, old)
            store.verify(MODEL, old)
        if "floor 2" in facts:
            assert record.floor == 2
        if "quarantined 1002" in facts:
            assert store.quarantined(MODEL, ReleaseRef(1002, "ab" * 32), 1_700_000_001, 0)
        if "audited" in facts:
            assert b'"release":2' in (root / "audit.jsonl").read_bytes()
        install(store, 2)
        install(store, 3)
        record = store.record(MODEL)
        assert (record.active, record.previous, record.floor) == (ref_of(release_of(3)), new, 3)
        assert sorted(path.name for path in (root / "releases" / MODEL).iterdir()) == ["2", "3"]
        assert sum(1 for _ in (root / "blobs").iterdir()) == 7  # labels are shared
        assert list((root / "partial").iterdir()) == []
        damage = [each for each in store.check(mend=True) if "set aside" not in each.problem]
        assert [each for each in damage if not each.path.startswith("audit")] == []


@pytest.fixture(name="prepared", scope="module")
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("prepared") / "models"
    prepare(root)
    return root


@pytest.fixture(name="root")
def _root(prepared: Path, tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "models"
    subprocess.run(["cp", "-a", str(prepared), str(root)], check=True)  # hard links stay hard links
    yield root
    assert not any(path.name.startswith(".tmp-") for path in root.rglob("*"))


def run(root: Path, point: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.updates.store.transaction", str(root), "2"],
        env={**os.environ, VARIABLE: point},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("point", HERE)
def test_a_process_that_dies_at_this_step_leaves_old_or_new(root: Path, point: str) -> None:
    ended = run(root, f"{point}:kill")
    assert ended.returncode == -9, (ended.stdout, ended.stderr)
    assert "done" not in ended.stdout
    be_judged(root, ended.stdout.splitlines())


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("point", HERE)
def test_an_error_at_this_step_leaves_old_or_new(root: Path, point: str, error: str) -> None:
    facts: list[str] = []
    with armed(f"{point}:error:{error}"):
        try:
            with contextlib.closing(open_store(root)) as store:
                install(store, 2, facts.append)
        except GatewayError as refused:
            assert isinstance(refused, DiskFull if error == "ENOSPC" else StoreFailed), refused
    be_judged(root, facts)


def test_an_installation_without_a_failpoint_is_done(root: Path) -> None:
    ended = run(root, "")
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "done"), ended.stderr
    be_judged(root, ended.stdout.splitlines())


@pytest.mark.parametrize(
    "words",
    ["state.rename", "state.rename:die", "no.such:kill", "state.rename:error:NONE", "state.rename#x:kill"],
)
def test_words_that_arm_nothing_are_refused(words: str) -> None:
    with pytest.raises(GatewayBug), armed(words):
        pass


def test_a_point_fires_at_the_hit_that_was_asked_for_and_stays_broken() -> None:
    with armed("state.rename#2:error:EIO"):
        failpoint("state.rename")
        failpoint("state.write")
        for _ in range(2):
            with pytest.raises(OSError, match="failpoint") as caught:
                failpoint("state.rename")
            assert caught.value.errno == errno.EIO
    failpoint("state.rename")


def test_every_named_point_is_in_the_code_and_the_other_way_round() -> None:
    store = [source for source in sources("gateway") if source.path.parts[:3] == STORE]
    text = "".join(source.text for source in store)
    named = set(re.findall(r'"([a-z]+\.[a-z_]+)"', text))
    for what in re.findall(r'[( ]replace\(.*?, "([a-z]+)"\)', text):
        named |= {f"{what}.{step}" for step in _WHOLE}
    for what in re.findall(r'write_new\([^"]*?"([a-z]+)"\)', text):
        named |= {f"{what}.{step}" for step in ("create", "write", "fsync")}
    others = {name for name in named if name.startswith("updates.") or name.endswith((".json", ".jsonl"))}
    assert named - others == POINTS


def test_the_store_can_be_opened_again_at_once(root: Path) -> None:
    first: Store = open_store(root)
    first.close()
    open_store(root).close()
