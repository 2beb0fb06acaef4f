"""What thieves of some keys can do: what those keys are for, and nothing once they are rotated."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, MetaFile, TargetFile, Targets

from gateway.errors import ManifestRefused, TrustFailed, TrustStale
from gateway.updates.publishing.repository import Repository
from gateway.updates.publishing.signed import expiry
from tests.updates.publishing.releases import DAY_S, NOW_S, Hand
from tests.updates.trust.boards import Board, ScriptedSource, zero_the_cache
from tests.updates.trust.thieves import Thief

FOREIGN = ("assign/hall.json", "../x", "/etc/passwd", "models/door/deep/1.json", "models/9.json")


@pytest.mark.parametrize("name", FOREIGN)
def test_what_a_delegate_signs_outside_its_paths_is_not_found(
    board: Board, source: ScriptedSource, repository: Repository, name: str
) -> None:
    thief = Thief(repository, "models", "snapshot", "timestamp")
    evil = b"evil"
    before = board.client(source)
    before.refresh()
    assigned = before.assignment("hall")

    def claim(signed: Any) -> None:
        signed.targets[name] = TargetFile.from_data(name, evil, ["sha256"])

    thief.sign("models", claim)
    thief.sign_state()
    client = board.client(source)
    assert client.refresh().versions["models"] == 4
    assert client.assignment("hall") == assigned
    assert client._updater is not None
    found = client._updater.get_targetinfo(name)
    assert found is None or found.hashes != TargetFile.from_data(name, evil, ["sha256"]).hashes


def test_a_name_that_climbs_out_fits_a_pattern_but_nobody_can_ask_for_it(
    board: Board, source: ScriptedSource, repository: Repository
) -> None:
    thief = Thief(repository, "models", "snapshot", "timestamp")
    target = TargetFile.from_data("models/../1.json", b"evil", ["sha256"])
    thief.sign("models", lambda signed: signed.targets.update({target.path: target}))
    thief.sign_state()
    client = board.client(source)
    client.refresh()
    assert client._updater is not None
    assert client._updater.get_targetinfo(target.path) is not None  # python-tuf compares letters
    source.asked.clear()
    with pytest.raises(ManifestRefused):
        client.manifest("..", 1)
    assert source.asked == []


def test_a_stolen_key_of_assign_adds_no_release(
    board: Board, source: ScriptedSource, repository: Repository
) -> None:
    thief = Thief(repository, "assign", "snapshot", "timestamp")
    name = "models/door/9.json"
    target = TargetFile.from_data(name, b"{}", ["sha256"])
    thief.sign("assign", lambda signed: signed.targets.update({name: target}))
    thief.sign_state()
    thief.put_target(target.get_prefixed_paths()[0], b"{}")
    client = board.client(source)
    assert client.refresh().versions["assign"] == 3
    assert client.manifest("door", 9) is None
    assert client.manifest("door", 2) is not None


def test_releases_of_yesterday_beside_assignments_of_today_are_refused(
    board: Board, source: ScriptedSource, yesterday: Path
) -> None:
    source.lay("metadata/4.models.json", (yesterday / "metadata/3.models.json").read_bytes())
    with pytest.raises(TrustFailed, match=r"4\.models\.json"):
        board.client(source).refresh()


@pytest.mark.parametrize("is_cached", [True, False])
def test_thieves_of_the_online_keys_cannot_take_releases_back(
    board: Board, source: ScriptedSource, repository: Repository, yesterday: Path, is_cached: bool
) -> None:
    assert board.client(source).refresh().versions["models"] == 4
    if not is_cached:
        zero_the_cache(board)
    # They sign a new state in which the release lists of yesterday are the newest.
    (repository.folder / "metadata/4.models.json").unlink()
    Thief(repository, "snapshot", "timestamp").sign_state()
    with pytest.raises(TrustFailed, match="models"):
        board.client(source).refresh()
    del yesterday


def test_thieves_who_ran_ahead_lock_nobody_out_once_their_keys_are_rotated(
    board: Board, source: ScriptedSource, repository: Repository, clock: Hand
) -> None:
    honest = shutil.copytree(repository.folder, repository.folder.with_name("honest"))
    thief = Thief(repository, "snapshot", "timestamp")
    far = expiry(NOW_S, 60 * 365 * DAY_S)

    def ahead(signed: Any) -> None:
        signed.version, signed.expires = 1_000_000, far
        if signed.type == "timestamp":
            signed.snapshot_meta = thief_snapshot()
            signed.unrecognized_fields["issued"] = NOW_S + 50 * 365 * DAY_S

    def thief_snapshot() -> MetaFile:
        return MetaFile.from_data(1_000_000, thief.metadata.data("snapshot"), ["sha256"])

    thief.sign("snapshot", ahead)
    thief.sign("timestamp", ahead)
    assert board.client(source).refresh().versions["timestamp"] == 1_000_000
    # The author restores the web server from the laptop: without new keys that is refused.
    shutil.rmtree(repository.folder)
    shutil.move(honest, repository.folder)
    repository.publish()
    with pytest.raises(TrustFailed):
        board.client(source).refresh()
    for role in ("snapshot", "timestamp"):
        repository.rotate(role)
    clock.unix_s += 60
    report = board.client(source).refresh()
    assert (report.clock, report.versions["root"], report.versions["timestamp"]) == ("ok", 3, 5)
    # And the floor holds again for the new keys.
    zero_the_cache(board)
    assert board.client(source).refresh().versions["timestamp"] == 5


def test_a_time_that_a_thief_made_up_counts_no_longer_when_the_key_is_revoked(
    board: Board, source: ScriptedSource, repository: Repository, clock: Hand
) -> None:
    thief = Thief(repository, "timestamp")

    def later(signed: Any) -> None:
        signed.expires = expiry(NOW_S, 6 * DAY_S)
        signed.unrecognized_fields["issued"] = NOW_S + 5 * DAY_S

    thief.sign("timestamp", later)
    board.client(source).refresh()
    clock.unix_s += 3600
    repository.publish()
    # Five days ahead, today's signature has expired.
    with pytest.raises(TrustStale):
        board.client(source).refresh()
    repository.rotate("timestamp")
    assert board.client(source).refresh().clock == "ok"


def test_a_root_that_was_verified_once_is_never_forgotten(
    board: Board, source: ScriptedSource, repository: Repository, tmp_path: Path
) -> None:
    """Else whoever has the revoked key could hide the root that revokes it."""
    folder = tmp_path / "before"
    shutil.copytree(repository.folder, folder)
    repository.rotate("timestamp")
    source.lay("metadata/timestamp.json", (folder / "metadata/timestamp.json").read_bytes())
    with pytest.raises(TrustFailed):  # a board that sees the new root and the old timestamp
        board.client(source).refresh()
    source.folder = folder
    with pytest.raises(TrustFailed, match="root: version 1, but 2 was seen"):
        board.client(source).refresh()
    assert board.client(ScriptedSource(repository.folder)).refresh().versions["root"] == 2


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp", "models", "assign"])
def test_a_board_that_was_off_follows_when_a_key_was_rotated_twice(
    board: Board, source: ScriptedSource, repository: Repository, clock: Hand, role: str
) -> None:
    board.client(source).refresh()
    old = repository.status()
    for _ in range(2):
        clock.unix_s += 80 * DAY_S
        repository.rotate(role)
        repository.publish()
    clock.unix_s += 3600
    client = board.client(source)
    client.refresh()
    assert client.manifest("door", 2) is not None
    assert client.assignment("hall") is not None
    new = repository.status()
    before, after = ({r.name: {k.keyid for k in r.keys} for r in each.roles}[role] for each in (old, new))
    assert len(before & after) == (1 if role == "root" else 0)


def test_a_rotated_key_signs_nothing_any_more(
    board: Board, source: ScriptedSource, repository: Repository
) -> None:
    thief = Thief(repository, "models", "snapshot", "timestamp")
    repository.rotate("models")
    board.client(source).refresh()
    forged = thief.metadata.newest("models").signed
    forged.version += 1
    first: Metadata[Targets] = Metadata.from_file(str(repository.folder / "metadata/1.targets.json"))
    assert first.signed.delegations is not None
    old_keys = first.signed.delegations.keys
    thief.metadata.put("models", thief.metadata.sign("models", forged, old_keys.values(), 1))
    thief.sign_state()
    with pytest.raises(TrustFailed, match="models was signed by 0/1 keys"):
        board.client(source).refresh()
