"""What liars, thieves and wrong clocks can do to a board: delay it, never make it believe."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, MetaFile, Root, TargetFile

from gateway.errors import FetchFailed, FetchRefused, ManifestRefused, TrustFailed, TrustStale
from gateway.updates.publishing.assigning import Change
from gateway.updates.publishing.repository import Repository
from gateway.updates.publishing.signed import expiry
from gateway.updates.trust.client import TrustClient
from gateway.updates.trust.generations import Generations
from tests.updates.publishing.releases import BUILD_S, DAY_S, NOW_S, Hand, begin, pack
from tests.updates.trust.boards import Board, ScriptedSource
from tests.updates.trust.boards import board as new_board
from tests.updates.trust.thieves import Thief

FILES = (
    "metadata/timestamp.json",
    "metadata/2.snapshot.json",
    "metadata/1.targets.json",
    "metadata/3.models.json",
    "metadata/2.assign.json",
)


def zero_the_cache(board: Board) -> None:
    """Leave of python-tuf's files what a power cut leaves: their names."""
    for path in board.folder.glob("gen-*/*.json"):
        if not path.is_symlink():
            path.write_bytes(b"")


def nothing_came_of_it(board: Board, before: Path | None) -> None:
    """Check that the good generation is the one before, and the only one."""
    assert Generations(board.folder).current() == before
    assert list(board.folder.glob("gen-*")) == ([] if before is None else [before])


@pytest.mark.parametrize("place", [0.02, 0.3, 0.5, 0.8, 0.97])
@pytest.mark.parametrize("path", FILES)
def test_one_flipped_bit_anywhere_is_noticed(
    board: Board, source: ScriptedSource, path: str, place: float
) -> None:
    data = bytearray((source.folder / path).read_bytes())
    data[int(len(data) * place)] ^= 1
    source.lay(path, bytes(data))
    with pytest.raises(TrustFailed, match=path.rpartition("/")[2]):
        board.client(source).refresh()
    nothing_came_of_it(board, None)


@pytest.mark.parametrize("path", FILES)
def test_metadata_of_another_author_is_refused(
    board: Board, source: ScriptedSource, tmp_path: Path, clock: Hand, path: str
) -> None:
    other = begin(tmp_path / "other", clock)
    for number in (1, 2):
        other.add(pack(tmp_path, number))
    other.assign("hall", Change({"door": 2}))
    other.publish()
    source.lay(path, (other.folder / path).read_bytes())
    with pytest.raises(TrustFailed):
        board.client(source).refresh()


@pytest.mark.parametrize(("signatures", "good"), [(1, False), (2, True)])
def test_a_new_root_needs_two_signatures_of_the_old_one(
    board: Board, source: ScriptedSource, repository: Repository, signatures: int, good: bool
) -> None:
    repository.rotate("targets")
    root: Metadata[Root] = Metadata.from_file(str(repository.folder / "metadata/2.root.json"))
    for keyid in list(root.signatures)[signatures:]:
        del root.signatures[keyid]
    source.lay("metadata/2.root.json", root.to_bytes())
    if good:
        assert board.client(source).refresh().versions["root"] == 2
    else:
        with pytest.raises(TrustFailed, match="root was signed by 1/2 keys"):
            board.client(source).refresh()


def test_one_stolen_root_key_is_worth_nothing(board: Board, repository: Repository) -> None:
    thief = Thief(repository, "root")
    stolen = sorted(thief.metadata._keys.folders[0].iterdir())
    for path in stolen[1:]:
        path.unlink()
    root = thief.metadata.root()
    root.version += 1
    root.roles["targets"].keyids = []
    forged = thief.metadata.sign("root", root, thief.metadata.keys_of("root"), 1)
    thief.metadata.put("root", forged)
    with pytest.raises(TrustFailed, match="root was signed by 1/2 keys"):
        board.client(ScriptedSource(repository.folder)).refresh()


@pytest.fixture(name="yesterday")
def _yesterday(repository: Repository, tmp_path: Path) -> Path:
    """Return a copy of the repository as it was before release 3."""
    folder = tmp_path / "yesterday"
    shutil.copytree(repository.folder, folder)
    repository.add(pack(tmp_path, 3))
    repository.publish()
    return folder


def test_a_replayed_repository_is_refused(board: Board, source: ScriptedSource, yesterday: Path) -> None:
    board.client(source).refresh()
    before = Generations(board.folder).current()
    with pytest.raises(TrustFailed, match="version 2 must be >= 3"):
        board.client(ScriptedSource(yesterday)).refresh()
    nothing_came_of_it(board, before)


@pytest.mark.parametrize("lost", [zero_the_cache, lambda board: (board.folder / "current").unlink()])
def test_a_replayed_repository_is_refused_even_if_the_cache_is_gone(
    board: Board, source: ScriptedSource, yesterday: Path, lost: Callable[[Board], None]
) -> None:
    board.client(source).refresh()
    lost(board)
    with pytest.raises(TrustFailed, match="version 2, but 3 was accepted before"):
        board.client(ScriptedSource(yesterday)).refresh()
    assert board.client(source).refresh().versions["timestamp"] == 3


def test_without_our_floor_the_replay_would_be_believed(
    board: Board, source: ScriptedSource, yesterday: Path
) -> None:
    """The control of the test before: it is the floor that refuses, and nothing else."""
    board.client(source).refresh()
    zero_the_cache(board)
    (board.folder / "floor.json").unlink()
    assert board.client(ScriptedSource(yesterday)).refresh().versions["timestamp"] == 2


def test_the_floor_survives_the_loss_of_one_of_its_two_files(
    board: Board, source: ScriptedSource, yesterday: Path
) -> None:
    board.client(source).refresh()
    (board.folder / "floor.json").write_bytes(b"\0" * 80)
    for name in ("timestamp.json", "snapshot.json"):
        (board.folder / "gen-1" / name).write_bytes(b"")
    with pytest.raises(TrustFailed, match="but 3 was accepted"):
        board.client(ScriptedSource(yesterday)).refresh()


def test_a_factory_fresh_board_can_be_held_back_until_the_expiry_and_no_longer(
    board: Board, yesterday: Path, clock: Hand
) -> None:
    """What TUF cannot prevent: there is nothing that this board could know better."""
    assert board.client(ScriptedSource(yesterday)).refresh().versions["timestamp"] == 2
    clock.unix_s += DAY_S
    with pytest.raises(TrustStale):
        board.client(ScriptedSource(yesterday)).refresh()


def test_a_frozen_server_is_stale_after_a_day_and_believed_when_it_is_signed_anew(
    board: Board, source: ScriptedSource, repository: Repository, clock: Hand
) -> None:
    board.client(source).refresh()
    before = Generations(board.folder).current()
    clock.unix_s += DAY_S + 1
    with pytest.raises(TrustStale, match=r"timestamp\.json is expired") as caught:
        board.client(source).refresh()
    assert caught.value.attributes["clock"] == "ok"
    nothing_came_of_it(board, before)
    # All that is stored has expired by now; that must not stand in the way.
    clock.unix_s += 80 * DAY_S
    repository.publish()
    assert board.client(source).refresh().versions["timestamp"] == 3


@pytest.mark.parametrize("moment_s", [0.0, 1e6, 5e8])
def test_a_clock_in_the_past_revives_nothing(
    board: Board, source: ScriptedSource, repository: Repository, clock: Hand, moment_s: float
) -> None:
    board.client(source).refresh()
    clock.unix_s += 3 * DAY_S
    repository.publish()
    board.client(source).refresh()
    stale = {FILES[0]: (repository.folder / FILES[0]).read_bytes()}
    clock.unix_s += 2 * DAY_S
    repository.publish()
    board.client(source).refresh()
    clock.unix_s = moment_s
    report = board.client(source).refresh()
    assert report.clock == "untrusted"
    # Nor can the memory of versions be needed for that.
    (board.folder / "floor.json").unlink()
    zero_the_cache(board)
    source.twist = stale.get
    with pytest.raises(TrustStale) as caught:
        board.client(source).refresh()
    assert caught.value.attributes["clock"] == "untrusted"


def test_a_factory_fresh_board_in_1970_refuses_what_expired_before_it_was_built(tmp_path: Path) -> None:
    old = begin(tmp_path / "old", Hand(NOW_S - 300 * DAY_S))
    elderly = new_board(tmp_path / "elderly", old, Hand(0.0))
    with pytest.raises(TrustStale):
        elderly.client(ScriptedSource(old.folder)).refresh()


def test_a_clock_in_2090_installs_nothing_and_is_forgotten_when_it_is_right_again(
    board: Board, source: ScriptedSource, repository: Repository, clock: Hand
) -> None:
    board.client(source).refresh()
    before, right = Generations(board.folder).current(), clock.unix_s
    clock.unix_s = 3_786_912_000.0
    with pytest.raises(TrustStale) as caught:
        board.client(source).refresh()
    assert caught.value.attributes["clock"] == "untrusted"
    nothing_came_of_it(board, before)
    clock.unix_s = right + 60
    repository.publish()
    assert board.client(source).refresh().clock == "ok"


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
    old_keys = thief.metadata.at("targets", 1).signed.delegations.keys
    thief.metadata.put("models", thief.metadata.sign("models", forged, old_keys.values(), 1))
    thief.sign_state()
    with pytest.raises(TrustFailed, match="models was signed by 0/1 keys"):
        board.client(source).refresh()


def test_an_endless_file_is_cut_off(board: Board, source: ScriptedSource) -> None:
    class Endless(ScriptedSource):
        def read(self, path: str, most_bytes: int, deadline_s: float) -> bytes:
            super().read(path, most_bytes, deadline_s)
            return b" " * (most_bytes + 1)  # a source that does not keep to what it was told

    with pytest.raises(FetchRefused, match="more than"):
        board.client(Endless(source.folder)).refresh()


def test_a_source_that_drips_is_given_up_at_the_deadline(
    board: Board, source: ScriptedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed_s = 0.0
    start_s = time.monotonic()
    monkeypatch.setattr("gateway.updates.trust.fetcher.time.monotonic", lambda: start_s + passed_s)

    def slow(path: str, data: bytes | None) -> bytes | None:
        nonlocal passed_s
        del path
        passed_s += 12.0
        return data

    source.twist = slow
    with pytest.raises(FetchFailed, match="time for the metadata is up"):
        board.client(source, seconds=30.0).refresh()
    assert len(source.asked) == 3
    nothing_came_of_it(board, None)


def test_all_files_together_have_a_bound(board: Board, source: ScriptedSource) -> None:
    client = TrustClient(
        board.folder,
        board.root,
        source,
        now_unix_s=board.clock(),
        build_unix_s=BUILD_S,
        deadline_s=time.monotonic() + 30,
        most_bytes=1500,
    )
    with pytest.raises(FetchRefused, match="more than"):
        client.refresh()
