"""Where the child looks and fetches: a repository, a stick, a broker; whichever is newest or has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.errors import (
    FetchFailed,
    FetchRefused,
    ManifestRefused,
)
from gateway.mqtt.connection import Connection
from gateway.mqtt.message import Message, PublishProperties
from gateway.updates.transport.folder import READY_FILE
from tests.broker import Broker
from tests.mqtt.watch import settings_for
from tests.ports import free_port
from tests.updates.transport.static_server import StaticServer
from tests.updates.transport.test_mqtt import liar, responder
from tests.updates.updater_world import (
    MOST_RSS_BYTES,
    WEIGHTS,
    World,
    install,
    look,
    weights_of,
)


def drop(board: World, inbox: Path) -> None:
    """Copy the repository to a stick as it is now; the READY file comes last."""
    board.repository.publish(inbox)
    assert (inbox / READY_FILE).exists()


def test_a_dropped_repository_counts_once_it_is_ready_and_newest_wins(board: World, tmp_path: Path) -> None:
    old = tmp_path / "old"
    board.release(1, WEIGHTS)
    board.repository.publish(old)
    inbox = tmp_path / "inbox"
    release = board.release(2, WEIGHTS[::-1])
    board.repository.publish(inbox)
    (inbox / READY_FILE).unlink()

    before = look(board, repository=str(old), inbox_dir=inbox)
    assert before.releases["door"].ref.number == 1, "no READY, no look"
    (inbox / READY_FILE).touch()
    after = look(board, repository=str(old), inbox_dir=inbox)
    assert after.releases["door"].release == release
    install(board, 2, repository=str(old), inbox_dir=inbox)

    board.release(3)
    newest = look(board, inbox_dir=inbox)
    assert newest.releases["door"].ref.number == 3, "the stick is the older one now"
    assert len(newest.trouble) == 1
    assert newest.trouble[0].startswith("inbox: ")


def test_a_stick_is_enough_where_there_is_no_network(board: World, tmp_path: Path) -> None:
    board.release(1, WEIGHTS)
    drop(board, tmp_path / "inbox")
    nowhere = f"http://127.0.0.1:{free_port()}"
    found = look(board, repository=nowhere, inbox_dir=tmp_path / "inbox")
    assert found.releases["door"].ref.number == 1
    assert found.trouble[0].startswith("repository: ")
    install(board, repository=nowhere, inbox_dir=tmp_path / "inbox")


def test_a_fetch_that_began_elsewhere_is_finished_from_a_stick(
    board: World, server: StaticServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.release(1, WEIGHTS)
    monkeypatch.setenv("GATEWAY_FAILPOINT", "part.write#5:kill")
    with pytest.raises(FetchFailed, match="SIGKILL"):
        install(board, repository=server.url)
    monkeypatch.delenv("GATEWAY_FAILPOINT")
    drop(board, tmp_path / "inbox")
    before = server.sent_bytes
    install(board, repository=server.url, inbox_dir=tmp_path / "inbox")
    assert server.sent_bytes == before, "the stick had the rest"


@pytest.mark.parametrize("what", ["blob", "target", "metadata"])
def test_a_link_planted_in_the_inbox_is_not_followed(board: World, tmp_path: Path, what: str) -> None:
    path = weights_of(board.release(1, WEIGHTS))
    inbox = tmp_path / "inbox"
    drop(board, inbox)
    victim = {
        "blob": inbox / path,
        "target": next((inbox / "targets/models/door").glob("*.json")),
        "metadata": inbox / "metadata/timestamp.json",
    }[what]
    copy, empty = tmp_path / "copy", tmp_path / "empty"
    empty.mkdir()
    copy.write_bytes(victim.read_bytes())
    victim.unlink()
    victim.symlink_to(copy)
    with pytest.raises((FetchRefused, FetchFailed, ManifestRefused)):
        install(board, repository=str(empty), inbox_dir=inbox)
    assert not (board.store.root / "releases/door").exists()


def test_blobs_come_over_the_broker_where_the_repository_has_metadata_alone(
    board: World, tmp_path: Path
) -> None:
    board.release(1, WEIGHTS)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (board.folder / "blobs").rename(elsewhere / "blobs")
    with Broker() as broker:
        settings = settings_for(broker.url)
        with responder(settings, elsewhere) as served:
            assert install(board, mqtt=settings) < MOST_RSS_BYTES
        assert served.answer_bytes >= len(WEIGHTS)


def test_spoofed_chunks_over_the_broker_are_never_staged(board: World, tmp_path: Path) -> None:
    def spoof(connection: Connection, message: Message) -> None:
        wanted = json.loads(message.payload)["length"]
        same = PublishProperties(correlation=message.correlation)
        connection.publish(message.response_topic, bytes(wanted), properties=same)

    board.release(1, WEIGHTS)
    (board.folder / "blobs").rename(tmp_path / "away")
    with Broker() as broker:
        settings = settings_for(broker.url)
        with liar(settings, spoof), pytest.raises(FetchRefused, match="not what was signed"):
            install(board, mqtt=settings)
    assert not (board.store.root / "releases/door").exists()
