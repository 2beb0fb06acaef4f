"""A board and an honest repository: what it learns, remembers, and asks for."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from tuf.ngclient import Updater

from gateway.errors import FetchRefused, GatewayBug, ManifestRefused, TrustFailed
from gateway.updates.assignment_json import read_assignment
from gateway.updates.manifest import read_manifest
from gateway.updates.publishing.assigning import Change
from gateway.updates.publishing.repository import Repository
from gateway.updates.trust.fetcher import BoundedFetcher
from gateway.updates.trust.generations import Generations
from tests.updates.publishing.releases import DAY_S, Hand, pack
from tests.updates.trust.boards import Board, ScriptedSource
from tests.updates.trust.thieves import Thief


def test_a_fresh_board_learns_what_is_signed(board: Board, source: ScriptedSource) -> None:
    client = board.client(source)
    report = client.refresh()
    assert report.versions == {
        "root": 1,
        "timestamp": 2,
        "snapshot": 2,
        "targets": 1,
        "models": 3,
        "assign": 2,
    }
    assert (report.clock, report.root_expires_soon) == ("ok", False)
    assert report.expires_unix_s["timestamp"] == board.clock() + DAY_S
    found = client.assignment("hall")
    assert found is not None
    assert read_assignment(found).models["door"].release == 2
    manifest = client.manifest("door", 2)
    assert manifest is not None
    assert read_manifest(manifest).label == "2.0.0"


def test_what_nobody_signed_is_not_there(board: Board, source: ScriptedSource) -> None:
    client = board.client(source)
    client.refresh()
    assert client.manifest("door", 3) is None
    assert client.manifest("window", 1) is None
    assert client.assignment("cellar") is None


def test_a_second_look_fetches_the_timestamp_alone_and_writes_no_generation(
    board: Board, source: ScriptedSource
) -> None:
    board.client(source).refresh()
    current = Generations(board.folder).current()
    source.asked.clear()
    board.client(source).refresh()
    assert source.asked == ["metadata/2.root.json", "metadata/timestamp.json"]
    assert Generations(board.folder).current() == current


def test_a_change_makes_one_new_generation_and_leaves_no_other(
    board: Board, source: ScriptedSource, repository: Repository, tmp_path: Path
) -> None:
    board.client(source).refresh()
    repository.add(pack(tmp_path, 3))
    repository.publish()
    client = board.client(source)
    assert client.refresh().versions["models"] == 4
    assert client.manifest("door", 3) is not None
    assert sorted(path.name for path in board.folder.iterdir()) == [
        "clock.json",
        "current",
        "floor.json",
        "gen-2",
    ]


def test_before_it_is_published_no_board_sees_a_change(
    board: Board, source: ScriptedSource, repository: Repository, tmp_path: Path
) -> None:
    repository.add(pack(tmp_path, 3))
    client = board.client(source)
    client.refresh()
    assert client.manifest("door", 3) is None


@pytest.mark.parametrize("days", [300, 340, 364])
def test_a_root_that_expires_in_less_than_thirty_days_is_told(
    board: Board, source: ScriptedSource, repository: Repository, clock: Hand, days: int
) -> None:
    # Its author has lost the root keys, or sleeps.
    for path in repository.folder.with_suffix(".keys").glob("root-*"):
        path.unlink()
    clock.unix_s += days * DAY_S
    repository.publish()
    assert board.client(source).refresh().root_expires_soon == (days > 335)


def test_asking_before_the_refresh_is_a_bug(board: Board, source: ScriptedSource) -> None:
    with pytest.raises(GatewayBug):
        board.client(source).assignment("hall")
    with pytest.raises(GatewayBug):
        board.client(source).manifest("door", 1)


@pytest.mark.parametrize("name", ["..", "a/b", "/etc/passwd", "", "a\nb", "x" * 64, ".hidden", "con"])
def test_names_that_lead_elsewhere_are_not_asked_for(board: Board, source: ScriptedSource, name: str) -> None:
    client = board.client(source)
    client.refresh()
    source.asked.clear()
    with pytest.raises(ManifestRefused):
        client.assignment(name)
    with pytest.raises(ManifestRefused):
        client.manifest(name, 1)
    assert source.asked == []


def test_a_manifest_that_is_too_large_is_refused_before_it_is_fetched(
    board: Board, source: ScriptedSource, repository: Repository
) -> None:
    author = Thief(repository, "models", "snapshot", "timestamp")

    def grow(signed: Any) -> None:
        signed.targets["models/door/2.json"].length = 1 << 40

    author.sign("models", grow)
    author.sign_state()
    client = board.client(source)
    client.refresh()
    source.asked.clear()
    with pytest.raises(ManifestRefused, match="at most"):
        client.manifest("door", 2)
    assert source.asked == []


def test_a_manifest_of_another_release_under_this_name_is_refused(
    board: Board, source: ScriptedSource, repository: Repository
) -> None:
    author = Thief(repository, "models", "snapshot", "timestamp")

    def swap(signed: Any) -> None:
        targets = signed.targets
        one = targets["models/door/1.json"]
        author.put_target(
            f"models/door/{one.hashes['sha256']}.7.json",
            (repository.folder / "targets" / one.get_prefixed_paths()[0]).read_bytes(),
        )
        targets["models/door/7.json"] = one

    author.sign("models", swap)
    author.sign_state()
    client = board.client(source)
    client.refresh()
    with pytest.raises(ManifestRefused, match="door 7 says that it is door 1"):
        client.manifest("door", 7)


def test_an_assignment_of_another_group_under_this_name_is_refused(
    board: Board, source: ScriptedSource, repository: Repository
) -> None:
    author = Thief(repository, "assign", "snapshot", "timestamp")

    def swap(signed: Any) -> None:
        hall = signed.targets["assign/hall.json"]
        author.put_target(
            f"assign/{hall.hashes['sha256']}.roof.json",
            (repository.folder / "targets" / hall.get_prefixed_paths()[0]).read_bytes(),
        )
        signed.targets["assign/roof.json"] = hall

    author.sign("assign", swap)
    author.sign_state()
    client = board.client(source)
    client.refresh()
    with pytest.raises(ManifestRefused, match="assignment of roof says that it is for hall"):
        client.assignment("roof")


@pytest.mark.parametrize("harm", ["flip", "cut", "longer", "swap"])
@pytest.mark.parametrize("wanted", ["assign", "models"])
def test_a_manifest_or_assignment_that_is_not_what_was_signed_is_refused(
    board: Board, source: ScriptedSource, wanted: str, harm: str
) -> None:
    client = board.client(source)
    client.refresh()
    # Still a fine document: one that the hash alone tells from the signed one.
    harms = {
        "flip": lambda data: data.replace(b'"schema":1', b'"schema": 1').replace(b"}\n", b"}"),
        "cut": lambda data: data[:-1],
        "longer": lambda data: data + b"\n",
        "swap": lambda data: data.replace(b":2,", b":1,"),
    }
    source.twist = lambda path, data: harms[harm](data) if wanted in path and data else data
    with pytest.raises((TrustFailed, FetchRefused)) as caught:
        client.assignment("hall") if wanted == "assign" else client.manifest("door", 2)
    assert isinstance(caught.value, FetchRefused) is (harm == "longer")


def test_an_empty_server_is_told_from_a_lying_one(board: Board, source: ScriptedSource) -> None:
    source.twist = lambda path, data: None if "timestamp" in path else data
    with pytest.raises(FetchRefused, match=r"metadata/timestamp\.json is not there") as caught:
        board.client(source).refresh()
    assert caught.value.attributes["missing"] == 1


def test_a_root_that_is_none_is_named(board: Board, source: ScriptedSource) -> None:
    board.root = b"{}"
    with pytest.raises(TrustFailed, match="root"):
        board.client(source).refresh()


def test_an_older_assignment_than_one_that_was_accepted_is_refused(
    board: Board, source: ScriptedSource, repository: Repository
) -> None:
    old = repository.folder / "targets"
    first = {path.name: path.read_bytes() for path in (old / "assign").iterdir()}
    repository.assign("hall", Change({"door": 2}, percent=50))
    repository.publish()
    client = board.client(source)
    client.refresh()
    assert client.assignment("hall") is not None
    # The key of assign signs the first one again, under newer metadata.
    thief = Thief(repository, "assign", "snapshot", "timestamp")
    ((name, data),) = first.items()

    def back(signed: Any) -> None:
        target = signed.targets["assign/hall.json"]
        target.hashes, target.length = {"sha256": name.partition(".")[0]}, len(data)

    thief.sign("assign", back)
    thief.sign_state()
    client = board.client(source)
    client.refresh()
    with pytest.raises(TrustFailed, match="version 1, but 2"):
        client.assignment("hall")


def test_the_private_attribute_that_takes_the_time_is_there(board: Board, source: ScriptedSource) -> None:
    """python-tuf has no public way: if this fails after an upgrade, no clock floor works."""
    board.folder.mkdir()
    updater = Updater(
        str(board.folder),
        "metadata/",
        fetcher=BoundedFetcher(source, 0.0, 1),
        bootstrap=board.root,
    )
    trusted = updater._trusted_set
    assert isinstance(trusted.reference_time, dt.datetime)
    assert (trusted.root.version, trusted["root"].version, "models" in trusted) == (1, 1, False)


def test_a_delegation_that_was_taken_away_is_refused(
    board: Board, source: ScriptedSource, repository: Repository
) -> None:
    author = Thief(repository, "targets", "snapshot", "timestamp")

    def drop(signed: Any) -> None:
        signed.delegations.roles.pop("models")

    author.sign("targets", drop)
    author.sign_state()
    with pytest.raises(TrustFailed, match="delegated"):
        board.client(source).refresh()


def test_metadata_that_is_no_json_at_all_is_one_error(board: Board, source: ScriptedSource) -> None:
    for junk in (b"", b"\0" * 100, b"[" * 5000, json.dumps({"signed": {}}).encode(), b"\xff"):
        source.lay("metadata/timestamp.json", junk)
        with pytest.raises(TrustFailed, match=r"timestamp\.json"):
            board.client(source).refresh()
    assert Generations(board.folder).current() is None
