"""Release folders: whole or not there, made of links, and hashed to the last byte."""

from __future__ import annotations

import os
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import ManifestRefused, StoreFailed
from gateway.updates.manifest import manifest_bytes
from gateway.updates.release import ReleaseFile, ReleaseRef
from gateway.updates.state import ModelRecord
from gateway.updates.store.layout import MANIFEST_FILE
from gateway.updates.store.store import Store
from tests.updates.store.transaction import MODEL, blob_of, contents, fetch, ref_of, release_of, stage


def test_a_release_is_its_files_and_its_manifest_sealed(store: Store) -> None:
    release = stage(store, 1)
    folder = store.release_folder(MODEL, 1)
    assert store.manifest(MODEL, 1) == manifest_bytes(release)
    for path, data in contents(1).items():
        assert (folder / path).read_bytes() == data
        assert (folder / path).stat().st_mode & 0o777 == 0o444
        assert (folder / path).samefile(store.blob_path(blob_of(data).sha256))
    assert {path.stat().st_mode & 0o777 for path in (folder, folder / "golden")} == {0o555}
    store.verify(MODEL, ref_of(release))


def test_a_release_is_on_the_disk_before_it_gets_its_name(store: Store, calls: list[str]) -> None:
    release = fetch(store, 1)
    calls.clear()
    store.stage(release, manifest_bytes(release))
    # The model's new folder; the manifest; golden/ and the release itself; its name.
    assert calls == [
        "fsync folder",
        "write",
        "fsync file",
        "fsync folder",
        "fsync folder",
        "rename",
        "fsync folder",
    ]


def test_staging_twice_changes_nothing(store: Store) -> None:
    release = stage(store, 1)
    before = {path: path.stat().st_ino for path in store.release_folder(MODEL, 1).rglob("*")}
    assert store.stage(release, manifest_bytes(release)) == store.release_folder(MODEL, 1)
    assert {path: path.stat().st_ino for path in store.release_folder(MODEL, 1).rglob("*")} == before


def test_a_missing_blob_is_named_and_nothing_is_left(store: Store) -> None:
    release = fetch(store, 1)
    missing = release.files[2].blob.sha256
    store.blob_path(missing).unlink()
    with pytest.raises(StoreFailed) as caught:
        store.stage(release, manifest_bytes(release))
    assert caught.value.attributes["blob"] == missing
    assert not store.release_folder(MODEL, 1).exists()


def test_a_blob_that_rotted_loses_its_name_and_comes_anew(store: Store) -> None:
    release = fetch(store, 1)
    path = store.blob_path(release.files[0].blob.sha256)
    _rot(path)
    with pytest.raises(StoreFailed) as caught:
        store.stage(release, manifest_bytes(release))
    assert caught.value.attributes["blob"] == path.name
    assert not store.has(release.files[0].blob)
    stage(store, 1)
    store.verify(MODEL, ref_of(release))


@pytest.mark.parametrize("name", ["weights.tflite", "golden/one.npy", "labels.txt", MANIFEST_FILE])
def test_a_flipped_bit_in_any_file_is_found_and_named(store: Store, name: str) -> None:
    release = stage(store, 1)
    _rot(store.release_folder(MODEL, 1) / name)
    with pytest.raises(StoreFailed) as caught:
        store.verify(MODEL, ref_of(release))
    assert caught.value.attributes["file"] == name
    if name != MANIFEST_FILE:  # the blob rotted with its link
        with pytest.raises(StoreFailed):
            store.stage(release, manifest_bytes(release))
    stage(store, 1)
    store.verify(MODEL, ref_of(release))


@pytest.mark.parametrize("name", ["config.json", "golden/two.npy"])
def test_a_file_too_many_is_found(store: Store, name: str) -> None:
    release = stage(store, 1)
    path = store.release_folder(MODEL, 1) / name
    path.parent.chmod(0o755)
    path.write_bytes(b"")
    with pytest.raises(StoreFailed, match=path.name):
        store.verify(MODEL, ref_of(release))


def test_a_truncated_file_is_found(store: Store) -> None:
    release = stage(store, 1)
    path = store.release_folder(MODEL, 1) / "labels.txt"
    path.chmod(0o644)
    os.truncate(path, 3)
    path.chmod(0o444)
    with pytest.raises(StoreFailed, match="3 bytes instead of 8"):
        store.verify(MODEL, ref_of(release))


def test_a_file_that_can_be_written_to_is_not_believed(store: Store) -> None:
    release = stage(store, 1)
    (store.release_folder(MODEL, 1) / "labels.txt").chmod(0o644)
    with pytest.raises(StoreFailed, match="written to"):
        store.verify(MODEL, ref_of(release))


def test_a_release_is_not_another_under_the_same_number(store: Store) -> None:
    first = stage(store, 1)
    with pytest.raises(StoreFailed, match="manifest"):
        store.verify(MODEL, ReleaseRef(1, "ab" * 32))
    store.commit(ModelRecord(MODEL, 1, active=ref_of(first)))
    other = replace(first, notes="quietly changed")
    with pytest.raises(StoreFailed, match="another release has this number"):
        store.stage(other, manifest_bytes(other))
    store.verify(MODEL, ref_of(first))


def test_a_number_that_no_record_names_may_be_staged_anew(store: Store) -> None:
    stage(store, 1)
    other = replace(release_of(1), notes="built again before anybody ran it")
    store.stage(other, manifest_bytes(other))
    store.verify(MODEL, ref_of(other))


def test_a_release_under_another_models_name_is_not_believed(store: Store) -> None:
    release = stage(store, 1, "hall")
    store.layout.model("hall").rename(store.layout.model(MODEL))
    with pytest.raises(StoreFailed, match="manifest is of hall"):
        store.verify(MODEL, ref_of(release))


def test_a_file_may_not_be_called_like_the_manifest(store: Store) -> None:
    release = fetch(store, 1)
    twin = replace(release, files=(*release.files, ReleaseFile(MANIFEST_FILE, release.files[1].blob)))
    with pytest.raises(ManifestRefused):
        store.stage(twin, b"{}")


def test_a_release_that_is_not_there_is_said(store: Store) -> None:
    for ask in (lambda: store.manifest(MODEL, 7), lambda: store.verify(MODEL, ReleaseRef(7, "ab" * 32))):
        with pytest.raises(StoreFailed, match="release 7 of door"):
            ask()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_user_without_rights_can_do_all_of_it() -> None:
    """Root may write into read-only folders; the gateway's own user may not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, 65534, 65534)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads that other tests may have left: this child uses none
            pid = os.fork()
        if pid == 0:
            try:
                os.setgid(65534)
                os.setuid(65534)
                _live(Path(folder) / "models")
                os._exit(0)
            except BaseException:  # noqa: BLE001 - the other process of this test ends here
                import traceback

                traceback.print_exc()
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _live(root: Path) -> None:
    from tests.updates.store.transaction import install, open_store

    store = open_store(root)
    for number in (1, 2, 3):
        install(store, number)
    assert not store.release_folder(MODEL, 1).exists()
    folder = store.release_folder(MODEL, 3)
    folder.chmod(0o755)
    (folder / "stray").write_bytes(b"")
    folder.chmod(0o555)
    stage(store, 3)
    assert not (folder / "stray").exists()
    partial = store.partial(blob_of(b"some"))
    partial.write(0, b"some")
    partial.close()
    store.layout.part(partial.blob.sha256).chmod(0o444)
    store.partial(partial.blob).finish()
    assert store.check(mend=True) == []
    store.close()
    open_store(root).close()


def _rot(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 4]))
    path.chmod(0o444)
