"""An author's day: begin, add, assign, publish, rotate; and what is refused on the way."""

from __future__ import annotations

import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import LostRace, ManifestRefused, PublishRefused, StoreBusy, StoreFailed
from gateway.updates.manifest import manifest_bytes, read_manifest
from gateway.updates.publishing import disk
from gateway.updates.publishing.assigning import Change
from gateway.updates.publishing.keys import KeyFolders
from gateway.updates.publishing.repository import Repository
from gateway.updates.publishing.roles import OFFLINE, ROLES, Profile
from gateway.updates.release import CHUNK_BYTES, Delta
from tests.updates.publishing.releases import (
    DAY_S,
    NOW_S,
    Hand,
    begin,
    blob_of,
    no_passphrase,
    pack,
    reopen,
)


def days(repository: Repository) -> dict[str, int]:
    """Return for how many days the signature of each role holds."""
    return {role.name: (role.expires_unix_s - NOW_S) // DAY_S for role in repository.status().roles}


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder but the lock."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_new_repository_has_sane_roles(repository: Repository) -> None:
    status = repository.status()
    assert {role.name: (role.threshold, len(role.keys)) for role in status.roles} == {
        **dict.fromkeys(ROLES, (1, 1)),
        "root": (2, 3),
    }
    assert days(repository) == {
        "root": 365,
        "targets": 90,
        "snapshot": 7,
        "timestamp": 1,
        "models": 365,
        "assign": 365,
    }
    assert (status.profile, status.releases, status.assignments, status.unpublished) == (
        "online",
        {},
        {},
        False,
    )


def test_where_nobody_can_sign_daily_signatures_hold_for_90_days(tmp_path: Path) -> None:
    made = begin(tmp_path / "repository", Hand(), Profile.AIR_GAPPED)
    assert (days(made)["snapshot"], days(made)["timestamp"]) == (90, 90)
    assert days(reopen(made.folder, Hand())) == days(made)


def test_private_keys_lie_outside_and_are_for_their_owner_alone(repository: Repository) -> None:
    places = [Path(key.place) for role in repository.status().roles for key in role.keys]
    assert len(places) == 8
    for place in places:
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert repository.folder not in place.parents
    assert not [name for name, data in tree(repository.folder).items() if b"PRIVATE KEY" in data]


@pytest.mark.parametrize("inside", ["", "keys", "deep/keys"])
def test_private_keys_inside_the_repository_are_refused(tmp_path: Path, inside: str) -> None:
    with pytest.raises(PublishRefused, match="do not belong"):
        Repository.create(tmp_path / "r", KeyFolders([tmp_path / "r" / inside], no_passphrase))
    assert not list(tmp_path.iterdir())


def test_a_second_repository_in_its_place_is_refused(repository: Repository, clock: Hand) -> None:
    before = tree(repository.folder)
    with pytest.raises(PublishRefused, match="already"):
        begin(repository.folder, clock)
    assert tree(repository.folder) == before


@pytest.mark.parametrize("setup", [None, b"", b"[]", b'{"profile": "other"}'])
def test_a_folder_that_is_no_repository_is_named(tmp_path: Path, setup: bytes | None) -> None:
    if setup is not None:
        (tmp_path / "repository.json").write_bytes(setup)
    with pytest.raises(PublishRefused, match="gateway repo init"):
        reopen(tmp_path, Hand())


def test_a_release_is_added_once_and_the_same_again_changes_nothing(
    repository: Repository, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    release = repository.add(pack(tmp_path, 1), lambda done, total: told.append((done, total)))
    assert told[-1] == (release.size_bytes, release.size_bytes)
    for blob in release.blobs():
        assert blob_of((repository.folder / "blobs" / blob.sha256).read_bytes()) == blob
    before = tree(repository.folder)
    assert repository.add(pack(tmp_path, 1)) == release
    assert tree(repository.folder) == before
    assert repository.status().releases == {"door": (1,)}
    assert repository.status().unpublished


def test_a_number_with_other_content_or_below_the_newest_is_refused(
    repository: Repository, tmp_path: Path
) -> None:
    repository.add(pack(tmp_path, 5))
    before = tree(repository.folder)
    with pytest.raises(PublishRefused, match="number 5 is taken"):
        repository.add(pack(tmp_path, 5, weights=b"others"))
    with pytest.raises(PublishRefused, match="number 4 is not above 5"):
        repository.add(pack(tmp_path, 4))
    assert tree(repository.folder) == before
    repository.add(pack(tmp_path, 4, model="window"))
    assert repository.status().releases == {"door": (5,), "window": (4,)}


@pytest.mark.parametrize("harm", ["flip", "cut", "longer", "gone", "link"])
def test_a_file_that_is_not_what_was_packed_is_refused(
    repository: Repository, tmp_path: Path, harm: str
) -> None:
    folder = pack(tmp_path, 1, weights=bytes(range(256)) * 5000)
    file = folder / "model.tflite"
    data = file.read_bytes()
    file.unlink()
    if harm == "link":
        (tmp_path / "elsewhere").write_bytes(data)
        file.symlink_to(tmp_path / "elsewhere")
    elif harm != "gone":
        harmed = {"flip": data[:-1] + b"!", "cut": data[:-1], "longer": data + b"!"}
        file.write_bytes(harmed[harm])
    with pytest.raises(StoreFailed if harm == "gone" else PublishRefused, match=r"model\.tflite"):
        repository.add(folder)
    assert repository.status().releases == {}
    assert not list(repository.folder.rglob(".tmp-*"))


@pytest.mark.parametrize("wrong", ["sha256", "chunks"])
def test_a_manifest_that_contradicts_itself_is_refused(
    repository: Repository, tmp_path: Path, wrong: str
) -> None:
    folder = pack(tmp_path, 1, weights=b"w" * (CHUNK_BYTES + 5))
    text = (folder / "manifest.json").read_text()
    blob = read_manifest(text.encode()).files[1].blob
    assert len(blob.chunks) == 2
    true = blob.sha256 if wrong == "sha256" else blob.chunks[1]
    (folder / "manifest.json").write_text(text.replace(true, "ab" * 32))
    with pytest.raises(PublishRefused, match="not what the manifest says"):
        repository.add(folder)
    assert not list(repository.folder.rglob(".tmp-*"))


def test_patches_are_added_with_the_release_that_names_them(repository: Repository, tmp_path: Path) -> None:
    folder = pack(tmp_path, 2)
    release = read_manifest((folder / "manifest.json").read_bytes())
    patch = blob_of(b"patch")
    delta = Delta("ab" * 32, release.files[1].blob.sha256, "zstd-patch-from", patch)
    (folder / "manifest.json").write_bytes(manifest_bytes(replace(release, deltas=(delta,))))
    with pytest.raises(StoreFailed, match="deltas"):
        repository.add(folder)
    (folder / "deltas").mkdir()
    (folder / "deltas" / patch.sha256).write_bytes(b"patch")
    repository.add(folder)
    assert (repository.folder / "blobs" / patch.sha256).read_bytes() == b"patch"


def test_a_damaged_blob_of_the_repository_is_mended_by_adding_again(
    repository: Repository, tmp_path: Path
) -> None:
    release = repository.add(pack(tmp_path, 1))
    blob = release.files[0].blob
    path = repository.folder / "blobs" / blob.sha256
    path.write_bytes(b"!" * blob.size_bytes)
    repository.add(pack(tmp_path, 1))
    assert blob_of(path.read_bytes()) == blob


def test_a_folder_without_manifest_is_told_what_to_do(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(PublishRefused, match="gateway release pack"):
        repository.add(tmp_path)


def test_two_authors_cannot_overwrite_each_other(repository: Repository, tmp_path: Path) -> None:
    repository.add(pack(tmp_path, 1))
    first = repository.assign("hall", Change({"door": 1}, percent=10), expect_version=0)
    assert repository.assign("hall", Change(percent=20), expect_version=first.version).version == 2
    with pytest.raises(LostRace) as caught:
        repository.assign("hall", Change(percent=90), expect_version=first.version)
    assert caught.value.attributes["version"] == 2
    assert repository.status().assignments["hall"].models["door"].percent == 20


def test_while_somebody_changes_the_repository_others_are_told_to_wait(
    repository: Repository, tmp_path: Path
) -> None:
    with disk.locked(repository.folder), pytest.raises(StoreBusy):
        repository.publish()
    with disk.locked(repository.folder), pytest.raises(StoreBusy):
        repository.add(pack(tmp_path, 1))
    repository.publish()


def test_an_assignment_that_changes_nothing_writes_nothing(repository: Repository, tmp_path: Path) -> None:
    repository.add(pack(tmp_path, 1))
    first = repository.assign("hall", Change({"door": 1}))
    before = tree(repository.folder)
    assert repository.assign("hall", Change({"door": 1}, percent=100)) == first
    assert tree(repository.folder) == before


def test_what_no_board_would_read_is_not_signed(repository: Repository, tmp_path: Path) -> None:
    repository.add(pack(tmp_path, 1))
    before = tree(repository.folder)
    with pytest.raises(ManifestRefused):
        repository.assign("hall", Change({"door": 1}, percent=101))
    with pytest.raises(ManifestRefused):
        repository.assign("../hall", Change({"door": 1}))
    with pytest.raises(ManifestRefused):
        repository.assign("hall", Change({"door": 1}, sets=(("door", "window"),)))
    assert tree(repository.folder) == before


def test_a_damaged_assignment_is_not_built_upon(repository: Repository, tmp_path: Path) -> None:
    repository.add(pack(tmp_path, 1))
    repository.assign("hall", Change({"door": 1}))
    (path,) = (repository.folder / "targets" / "assign").iterdir()
    path.write_bytes(path.read_bytes().replace(b"100.0", b"101.0"))
    with pytest.raises(PublishRefused, match="damaged"):
        repository.assign("hall", Change(percent=50))


def test_publishing_daily_keeps_the_online_roles_fresh_and_warns_of_the_others(
    repository: Repository, clock: Hand
) -> None:
    for role in OFFLINE:
        for path in repository.folder.with_suffix(".keys").glob(f"{role}-*"):
            path.unlink()
    for _ in range(59):
        clock.unix_s += DAY_S
        assert repository.publish().warnings == ()
    clock.unix_s += 10 * DAY_S
    published = repository.publish()
    assert published.expires_unix_s == clock.unix_s + DAY_S
    assert [warning.partition(":")[0] for warning in published.warnings] == ["targets"]
    clock.unix_s += 30 * DAY_S
    assert "EXPIRED" in repository.publish().warnings[0]


def test_with_its_keys_at_hand_everything_that_is_due_is_signed_anew(
    repository: Repository, clock: Hand
) -> None:
    clock.unix_s += 300 * DAY_S
    assert repository.publish().warnings == ()
    left = {role.name: role.expires_unix_s - clock.unix_s for role in repository.status().roles}
    assert {name: seconds // DAY_S for name, seconds in left.items()} == {
        "root": 365,
        "targets": 90,
        "snapshot": 7,
        "timestamp": 1,
        "models": 365,
        "assign": 365,
    }
    assert not any(role.due for role in repository.status().roles)


def test_without_its_key_nothing_is_signed_and_the_missing_one_is_named(
    repository: Repository, tmp_path: Path
) -> None:
    beside = repository.folder.with_suffix(".keys")
    (key,) = beside.glob("models-*")
    drawer = tmp_path / "drawer"
    drawer.mkdir()
    shutil.move(key, drawer / key.name)
    before = tree(repository.folder)
    with pytest.raises(PublishRefused, match=rf"{key.name}.*--keys"):
        repository.add(pack(tmp_path, 1))
    assert {
        k: v for k, v in tree(repository.folder).items() if "blobs" not in k and "targets/" not in k
    } == before
    both = Repository.open(repository.folder, KeyFolders([beside, drawer], no_passphrase), clock=Hand())
    both.add(pack(tmp_path, 1))
    assert both.status().releases == {"door": (1,)}


def test_old_versions_are_forgotten_but_no_root(repository: Repository, clock: Hand) -> None:
    for _ in range(20):
        clock.unix_s += 6 * DAY_S
        repository.rotate("timestamp")
        repository.publish()
    names = [path.name for path in (repository.folder / "metadata").iterdir()]
    assert sum(name.endswith(".root.json") for name in names) == repository.status().roles[0].version > 20
    assert sum(name.endswith(".snapshot.json") for name in names) == 16


def test_a_disk_that_refuses_is_one_error(repository: Repository, tmp_path: Path) -> None:
    shutil.rmtree(repository.folder / "blobs")
    (repository.folder / "blobs").write_bytes(b"")
    with pytest.raises(StoreFailed, match="blobs"):
        repository.add(pack(tmp_path, 1))


def test_a_link_in_the_place_of_the_lock_is_not_followed(repository: Repository, tmp_path: Path) -> None:
    lock = repository.folder / ".lock"
    lock.unlink()
    lock.symlink_to(tmp_path / "victim")
    with pytest.raises(StoreFailed):
        repository.publish()
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(("role", "keyid"), [("nobody", ""), ("models", "zz")])
def test_a_key_that_is_not_there_cannot_be_rotated(repository: Repository, role: str, keyid: str) -> None:
    before = tree(repository.folder)
    with pytest.raises(PublishRefused):
        repository.rotate(role, keyid)
    assert tree(repository.folder) == before
