"""The check of a store: it finds all damage, touches nothing unless told to, and mends what it can."""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.errors import StoreFailed
from gateway.updates.manifest import manifest_bytes
from gateway.updates.release import CHUNK_BYTES
from gateway.updates.store.check import check
from gateway.updates.store.finding import Severity
from gateway.updates.store.store import Store
from tests.updates.store.transaction import (
    MODEL,
    blob_of,
    contents,
    fetch,
    install,
    noise,
    open_store,
    put_blob,
    ref_of,
    release_of,
    stage,
)


@pytest.fixture(name="served")
def _served(root: Path) -> Iterator[Store]:
    """Return a store that serves release 2 and keeps release 1 for going back."""
    with contextlib.closing(open_store(root)) as store:
        install(store, 1)
        install(store, 2)
        yield store


def image(root: Path) -> dict[str, object]:
    """Return all that can be seen of a store without reading times."""
    seen: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        facts = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        seen[str(path)] = (facts.st_mode, facts.st_ino, facts.st_nlink, content)
    return seen


def flip(path: Path, place: int = 0) -> None:
    """Change one bit in a sealed file, as a bad disk does."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))
    path.chmod(mode)


def loosen(store: Store, name: str) -> Path:
    """Let files be put into a release's folder, and return the folder."""
    folder = store.release_folder(MODEL, 2) / name
    folder.chmod(0o755)
    return folder


def _weights(store: Store) -> Path:
    return store.blob_path(release_of(2).files[0].blob.sha256)


def _unlink_label(store: Store) -> None:
    folder = loosen(store, ".")
    (folder / "labels.txt").unlink()
    folder.chmod(0o555)


def _add_file(store: Store) -> None:
    (loosen(store, "golden") / "more.npy").write_bytes(b"")
    loosen(store, "golden").chmod(0o555)


def _break_link(store: Store) -> None:
    (store.root / "current" / MODEL).unlink()


def _change_audit(store: Store) -> None:
    store.audit("looked")
    path = store.layout.audit
    path.write_bytes(path.read_bytes().replace(b'"release":1', b'"release":8', 1))


def _tear_audit(store: Store) -> None:
    with store.layout.audit.open("ab") as file:
        file.write(b'{"half')


def _stray(name: str) -> Callable[[Store], object]:
    return lambda store: (store.root / name).write_bytes(b"?")


# What is done to the store: (where it is found, severity, whether it can be mended here).
HARM: dict[str, tuple[Callable[[Store], object], str, Severity, bool]] = {
    "blob rots": (lambda store: flip(_weights(store), 5), "blobs/", Severity.DAMAGE, True),
    "blob loosened": (lambda store: _weights(store).chmod(0o644), "blobs/", Severity.DAMAGE, True),
    "blob with no digest": (_stray("blobs/x"), "blobs/x", Severity.DAMAGE, True),
    "unknown blob rots": (
        lambda store: flip(store.blob_path(put_blob(store, b"patch").sha256)),
        "blobs/",
        Severity.DAMAGE,
        True,
    ),
    "pipe in partial": (
        lambda store: os.mkfifo(store.root / "partial" / "x"),
        "partial/x",
        Severity.DAMAGE,
        True,
    ),
    "file unlinked": (_unlink_label, "releases/door/2/labels.txt", Severity.DAMAGE, True),
    "file added": (_add_file, "releases/door/2/golden/more.npy", Severity.DAMAGE, True),
    "folder loosened": (lambda store: loosen(store, "."), "releases/door/2", Severity.DAMAGE, True),
    "manifest rots": (
        lambda store: flip(store.release_folder(MODEL, 2) / "manifest.json", 30),
        "releases/door/2",
        Severity.DAMAGE,
        False,
    ),
    "release nobody needs rots": (
        lambda store: flip(store.release_folder(MODEL, stage(store, 7).number) / "manifest.json"),
        "releases/door/7",
        Severity.DAMAGE,
        True,
    ),
    "folder with no number": (
        lambda store: (store.root / "releases/door/new").mkdir(),
        "releases/door/new",
        Severity.DAMAGE,
        True,
    ),
    "file among the models": (_stray("releases/x"), "releases/x", Severity.DAMAGE, True),
    "record rots": (
        lambda store: flip(store.layout.record(MODEL), 40),
        "state/door.json",
        Severity.DAMAGE,
        True,
    ),
    "floor rots": (
        lambda store: flip(store.layout.floor(MODEL), 9),
        "state/door.floor",
        Severity.DAMAGE,
        True,
    ),
    "floor lost": (
        lambda store: store.layout.floor(MODEL).unlink(),
        "state/door.floor",
        Severity.DAMAGE,
        True,
    ),
    "release lost": (
        lambda store: store.release_folder(MODEL, 2).rename(store.root / "releases/door/.tmp-gc-2"),
        "state/door.json",
        Severity.DAMAGE,
        False,
    ),
    "state folder opened": (
        lambda store: (store.root / "state").chmod(0o755),
        "state",
        Severity.DAMAGE,
        True,
    ),
    "stray beside": (_stray("notes"), "notes", Severity.NOTICE, False),
    "stray record": (_stray("state/notes"), "state/notes", Severity.NOTICE, False),
    "ballast lost": (lambda store: store.layout.ballast.unlink(), "state/.reserve", Severity.NOTICE, True),
    "link broken": (_break_link, "current/door", Severity.NOTICE, True),
    "leftover": (_stray("state/.tmp-door.json"), "state/.tmp-door.json", Severity.NOTICE, True),
    "quarantine rots": (
        lambda store: flip(store.layout.quarantine, 20),
        "quarantine.json",
        Severity.DAMAGE,
        True,
    ),
    "audit changed": (_change_audit, "audit.jsonl", Severity.DAMAGE, False),
    "audit torn": (_tear_audit, "audit.jsonl", Severity.DAMAGE, True),
}


def test_a_sound_store_has_no_findings(served: Store) -> None:
    assert served.check() == []
    assert served.check(mend=True) == []


@pytest.mark.parametrize("kind", HARM)
def test_it_is_found_untouched_and_mended_if_it_can_be(served: Store, kind: str) -> None:
    harm, place, severity, mendable = HARM[kind]
    harm(served)
    before = image(served.root)
    found = check(served.layout, mend=False, settled=True, tell=_never)
    assert image(served.root) == before, "a check without mending changed something"
    mine = [each for each in found if each.path.startswith(place)]
    assert mine, found
    assert {(each.severity, each.mended) for each in mine} == {(severity, False)}
    assert all(each.problem and each.remedy for each in found)
    mended = [each for each in served.check(mend=True) if each.path.startswith(place)]
    mended = [each for each in mended if each.severity is severity]
    assert {each.mended for each in mended} == {mendable}
    left = [each for each in served.check() if each.path.startswith(place) and each.severity is severity]
    assert bool(left) == (not mendable)
    install(served, 2)  # whatever it was, the next installation puts the release right
    served.verify(MODEL, ref_of(release_of(2)))
    assert served.record(MODEL).floor == 2


def _never(*_: object, **__: object) -> None:
    raise AssertionError("nothing was mended")


def test_of_a_rotten_blob_the_good_chunks_are_kept(served: Store) -> None:
    blob = release_of(2).files[0].blob
    flip(served.blob_path(blob.sha256), CHUNK_BYTES + 9)
    found = {each.path: each for each in served.check(mend=True)}
    assert "keep 1 good chunks" in found[f"blobs/{blob.sha256}"].remedy
    assert found["releases/door/2/weights.tflite"].release == "door 2"
    assert not served.has(blob)
    assert served.partial(blob).missing() == [1]
    fetch(served, 2)
    served.stage(release_of(2), manifest_bytes(release_of(2)))
    assert served.check() == []


def test_a_release_is_made_anew_of_blobs_that_are_good(served: Store) -> None:
    """Its folder was tampered with; the blobs were not."""
    folder = loosen(served, ".")
    (folder / "weights.tflite").unlink()
    (folder / "weights.tflite").write_bytes(contents(1)["weights.tflite"])
    found = served.check(mend=True)
    assert [(each.path, each.mended) for each in found] == [("releases/door/2/weights.tflite", True)]
    served.verify(MODEL, ref_of(release_of(2)))


def test_a_release_that_serves_is_never_removed_however_bad_it_is(served: Store) -> None:
    for number in (1, 2):
        for path in served.release_folder(MODEL, number).rglob("*"):
            if path.is_file():
                flip(path)
    served.check(mend=True)
    assert served.release_folder(MODEL, 1).is_dir()
    assert served.release_folder(MODEL, 2).is_dir()


def test_what_was_mended_is_told_to_the_audit_log(served: Store) -> None:
    served.layout.ballast.unlink()
    served.check(mend=True)
    told = json.loads(served.layout.audit.read_bytes().splitlines()[-1])
    assert (told["event"], told["path"]) == ("mended", "state/.reserve")
    assert served.check() == []


def test_beside_a_gateway_at_work_what_is_half_made_is_passed_over(served: Store) -> None:
    (served.root / "state" / ".tmp-door.json").write_bytes(b"?")
    (served.root / "releases" / MODEL / ".tmp-3").mkdir()
    assert check(served.layout, mend=False, settled=False, tell=_never) == []
    assert len(check(served.layout, mend=False, settled=True, tell=_never)) == 2


def test_a_disk_that_does_not_let_itself_be_mended_is_said(
    served: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.updates.store.failpoints import armed

    served.layout.floor(MODEL).unlink()
    with armed("floor.rename:error:EIO"):
        found = served.check(mend=True)
    assert [(each.path, each.mended) for each in found] == [("state/door.floor", False)]
    assert "failpoint" in found[0].remedy


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    from gateway.updates.store.layout import Layout

    with pytest.raises(StoreFailed, match="no folder of a model store"):
        check(Layout(tmp_path), mend=False, settled=True, tell=_never)


@pytest.mark.parametrize("seed", range(8))
def test_after_much_harm_one_mending_and_one_installation_make_it_whole(served: Store, seed: int) -> None:
    chosen = random.Random(seed)
    kinds = [kind for kind in HARM if kind not in ("audit changed", "stray beside", "stray record")]
    for kind in chosen.sample(kinds, 6):
        with contextlib.suppress(FileNotFoundError, FileExistsError):  # an earlier harm took it away
            HARM[kind][0](served)
    served.check(mend=True)
    install(served, 2)
    install(served, 3)
    install(served, 4)
    left = [each for each in served.check(mend=True) if "set aside" not in each.problem and not each.mended]
    assert left == []
    served.verify(MODEL, ref_of(release_of(4)))
    assert blob_of(noise("door 4", len(contents(4)["weights.tflite"]))) == release_of(4).files[0].blob
