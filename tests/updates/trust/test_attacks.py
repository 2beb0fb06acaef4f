"""What liars, old copies and wrong clocks can do to a board: delay it, never make it believe."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Root

from gateway.errors import FetchFailed, FetchRefused, TrustFailed, TrustStale
from gateway.updates.publishing.assigning import Change
from gateway.updates.publishing.repository import Repository
from gateway.updates.trust.client import TrustClient
from gateway.updates.trust.generations import Generations
from tests.updates.publishing.releases import BUILD_S, DAY_S, NOW_S, Hand, begin, pack
from tests.updates.trust.boards import Board, ScriptedSource, nothing_came_of_it, zero_the_cache
from tests.updates.trust.boards import board as new_board
from tests.updates.trust.thieves import Thief

FILES = (
    "metadata/timestamp.json",
    "metadata/2.snapshot.json",
    "metadata/1.targets.json",
    "metadata/3.models.json",
    "metadata/2.assign.json",
)


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
