"""The updater child, real in every part: signed repositories, a locked store, web servers, signals."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.configuration.secret import Secret
from gateway.configuration.settings import MqttSettings
from gateway.errors import (
    DiskFull,
    FetchFailed,
    FetchRefused,
    ManifestRefused,
    StoreBusy,
    StoreFailed,
    TrustFailed,
)
from gateway.mqtt.connection import Connection
from gateway.mqtt.message import Message, PublishProperties
from gateway.updates import updater
from gateway.updates.release import CHUNK_BYTES, Release, manifest_digest
from gateway.updates.transport.folder import READY_FILE
from gateway.updates.updater import Refreshed, UpdaterSession
from tests.broker import Broker, free_port
from tests.mqtt.watch import settings_for
from tests.updates.transport.blobs import noise
from tests.updates.transport.static_server import Call, StaticServer
from tests.updates.transport.test_mqtt import liar, responder
from tests.updates.updater_world import World, world

MOST_RSS_BYTES = 80_000_000
WEIGHTS = noise(9 * CHUNK_BYTES + 99)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


@pytest.fixture
def server(board: World) -> Iterator[StaticServer]:
    with StaticServer(board.folder) as running:
        yield running


def silent(done_bytes: int, total_bytes: int) -> None:
    """Tell nobody."""


def look(board: World, *models: str, **changes: object) -> Refreshed:
    """Look at the repository in a child of its own."""

    async def scenario() -> Refreshed:
        async with UpdaterSession(board.with_options(**changes), board.store.lock_fd) as session:
            return await session.refresh(models or ("door",))

    return asyncio.run(scenario())


def install(board: World, number: int = 1, model: str = "door", **changes: object) -> int:
    """Fetch a release in a child of its own; return the child's most memory."""

    async def scenario() -> int:
        session = UpdaterSession(board.with_options(**changes), board.store.lock_fd)
        async with session:
            ref = await session.fetch(model, number, silent)
            assert ref.digest == manifest_digest(board.store.manifest(model, number))
            board.store.verify(model, ref)
        return session.peak_rss_bytes

    return asyncio.run(scenario())


def weights_of(release: Release) -> str:
    """Return the path of a release's weights in a repository."""
    return "blobs/" + next(file.blob.sha256 for file in release.files if file.path == "model.tflite")


def test_a_look_brings_what_is_signed_and_nothing_that_was_not_asked_for(board: World) -> None:
    release = board.release(3)
    board.release(1, model="cat")
    found = look(board)
    assert found.assignment is not None
    assert {model: wish.release for model, wish in found.assignment.models.items()} == {"door": 3, "cat": 1}
    assert {model: offer.release for model, offer in found.releases.items()} == {"door": release}
    offer = found.releases["door"]
    assert offer.ref.digest == manifest_digest(offer.manifest)
    assert found.trust.versions.keys() == {"root", "timestamp", "snapshot", "targets", "models", "assign"}
    assert (found.trust.clock, found.refused, found.trouble) == ("ok", {}, ())


def test_a_group_without_an_assignment_has_none(board: World) -> None:
    board.release(1)
    found = look(board, group="attic")
    assert (found.assignment, found.releases) == (None, {})


@pytest.mark.parametrize("way", ["folder", "http"])
def test_a_release_is_fetched_staged_and_verified_in_little_memory(
    board: World, server: StaticServer, way: str
) -> None:
    board.release(1, WEIGHTS)
    told: list[tuple[int, int]] = []

    async def scenario() -> int:
        repository = str(board.folder) if way == "folder" else server.url
        session = UpdaterSession(board.with_options(repository=repository), board.store.lock_fd)
        async with session:
            found = await session.refresh(["door"])
            ref = await session.fetch("door", 1, lambda done, total: told.append((done, total)))
            assert ref == found.releases["door"].ref
            board.store.verify("door", ref)
        return session.peak_rss_bytes

    assert 10_000_000 < asyncio.run(scenario()) < MOST_RSS_BYTES
    assert told[-1] == (told[-1][1], told[-1][1])
    assert told == sorted(told)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_model(board: World, server: StaticServer) -> None:
    board.release(1, noise(CHUNK_BYTES) + bytes(64 * CHUNK_BYTES) + noise(CHUNK_BYTES, 2))
    assert install(board, repository=server.url) < MOST_RSS_BYTES


def test_what_is_there_is_not_fetched_again(board: World, server: StaticServer) -> None:
    board.release(1, WEIGHTS)
    install(board, repository=server.url)
    before = server.sent_bytes
    board.release(2, WEIGHTS)
    install(board, 2, repository=server.url)
    assert server.sent_bytes == before, "a release with the same files costs nothing"


@pytest.mark.parametrize(
    ("point", "again"),
    [
        ("part.create#2", 10),
        ("part.write#7", 5),
        ("part.fdatasync", 2),
        ("part.seal#2", 0),
        ("blob.rename#2", 0),
        ("release.link#2", 0),
        ("release.rename", 0),
    ],
)
def test_a_child_killed_at_any_point_goes_on_with_what_is_missing_and_no_more(
    board: World, server: StaticServer, monkeypatch: pytest.MonkeyPatch, point: str, again: int
) -> None:
    """The second file of the release is the large one: nine chunks and a bit."""
    path = weights_of(board.release(1, WEIGHTS))
    monkeypatch.setenv("GATEWAY_FAILPOINT", f"{point}:kill")
    with pytest.raises(FetchFailed, match="SIGKILL"):
        install(board, repository=server.url)
    monkeypatch.delenv("GATEWAY_FAILPOINT")
    before = len(server.calls)
    install(board, repository=server.url)
    spans = [call.span for call in server.calls[before:] if call.path == path]
    refetched = sum(last - first + 1 for first, last in filter(None, spans))
    assert -(-refetched // CHUNK_BYTES) == again


def test_a_damaged_blob_in_the_store_is_fetched_again_when_it_is_staged(
    board: World, server: StaticServer
) -> None:
    path = weights_of(board.release(1, WEIGHTS))
    install(board, repository=server.url)
    board.release(2, WEIGHTS)
    kept = board.store.root / path
    kept.chmod(0o644)
    with kept.open("r+b") as file:
        file.write(b"rot")
    kept.chmod(0o444)
    install(board, 2, repository=server.url)


def damaged(call: Call) -> None:
    """Flip a bit of the third chunk of whatever is large."""

    def flip(part: bytes) -> bytes:
        first = call.span[0] if call.span else 0
        at = 2 * CHUNK_BYTES + 7 - first
        return part[:at] + bytes([part[at] ^ 4]) + part[at + 1 :] if 0 <= at < len(part) else part

    call.serve(flip if call.path.startswith("blobs/") else bytes)


def test_a_flipped_bit_is_refused_and_the_good_chunks_stay(board: World, server: StaticServer) -> None:
    path = weights_of(board.release(1, WEIGHTS))
    server.fault = damaged
    with pytest.raises(FetchRefused, match="not what was signed"):
        install(board, repository=server.url)
    server.fault, before = None, len(server.calls)
    install(board, repository=server.url)
    spans = [call.span for call in server.calls[before:] if call.path == path]
    assert spans == [(2 * CHUNK_BYTES, 3 * CHUNK_BYTES - 1)]


@pytest.mark.parametrize("change", [lambda part: part[:-5], lambda part: part + b"longer"])
def test_a_truncated_or_longer_blob_is_never_staged(
    board: World, server: StaticServer, change: Callable[[bytes], bytes]
) -> None:
    path = weights_of(board.release(1, WEIGHTS))
    (board.folder / path).chmod(0o644)
    (board.folder / path).write_bytes(change(WEIGHTS))
    with pytest.raises(FetchRefused):
        install(board, repository=server.url)
    with pytest.raises(FetchRefused):
        install(board)
    assert not (board.store.root / "releases/door").exists()


def test_a_release_beyond_the_quota_is_refused_before_any_byte_of_it_is_asked_for(
    board: World, server: StaticServer
) -> None:
    board.release(1, bytes(20 * CHUNK_BYTES))
    with pytest.raises(DiskFull) as caught:
        install(board, repository=server.url, quota_bytes=8 * CHUNK_BYTES)
    assert int(caught.value.attributes["needed_bytes"]) > 20 * CHUNK_BYTES
    assert int(caught.value.attributes["free_bytes"]) <= 8 * CHUNK_BYTES
    assert server.sent_bytes == 0


def test_a_blob_that_is_not_there_is_refused_at_once(board: World, server: StaticServer) -> None:
    path = weights_of(board.release(1, WEIGHTS))
    (board.folder / path).unlink()
    with pytest.raises(FetchRefused) as caught:
        install(board, repository=server.url)
    assert caught.value.attributes["missing"] == 1
    assert [call.path for call in server.calls].count(path) == 1, "404 is asked once"


def test_a_fetch_is_cancelled_in_the_middle_of_a_storm_and_leaves_no_process(
    board: World, server: StaticServer
) -> None:
    board.release(1, WEIGHTS)
    server.fault = lambda call: call.say("503 Busy") if call.path.startswith("blobs/") else call.serve()

    async def scenario() -> int:
        async with UpdaterSession(board.with_options(repository=server.url), board.store.lock_fd) as session:
            await session.refresh(["door"])
            work = asyncio.ensure_future(session.fetch("door", 1, silent))
            while server.sent_bytes == 0:  # noqa: ASYNC110 - another thread counts
                await asyncio.sleep(0.01)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            assert not _lives(session.pid)
            with pytest.raises(FetchFailed):
                await session.refresh(["door"])
        return session.pid

    assert not _lives(asyncio.run(scenario()))


def test_a_manifest_that_is_not_signed_hinders_no_other_model(board: World) -> None:
    release = board.release(1)
    board.release(1, model="cat")
    target = next((board.folder / "targets/models/cat").glob("*.1.json"))
    target.chmod(0o644)
    target.write_bytes(b"{}" + target.read_bytes()[2:])
    found = look(board, "door", "cat")
    assert [offer.release for offer in found.releases.values()] == [release]
    assert isinstance(found.refused["cat"], (TrustFailed, FetchRefused))
    with pytest.raises(ManifestRefused, match="nobody signed"):
        install(board, 7)


def test_forged_metadata_is_one_typed_error_and_the_store_is_untouched(board: World) -> None:
    board.release(1)
    look(board)
    board.release(2)
    stamp = board.folder / "metadata/timestamp.json"
    stamp.write_bytes(stamp.read_bytes().replace(b'"version"', b'"versiom"'))
    with pytest.raises(TrustFailed):
        look(board)


def test_errors_carry_their_facts_across(board: World) -> None:
    with pytest.raises(FetchFailed) as caught:
        look(board, repository=f"http://127.0.0.1:{free_port()}")
    assert caught.value.attributes


# Inbox.


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


# Broker.


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


# Ends.


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
def test_a_child_that_dies_or_hangs_is_one_typed_error(
    board: World, server: StaticServer, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    board.release(1)
    monkeypatch.setattr(updater, "_GRACE_S", 0.5)
    asked = threading.Event()

    def stuck(call: Call) -> None:
        asked.set()
        server.stopping.wait(30)

    server.fault = stuck

    async def scenario() -> None:
        options = board.with_options(repository=server.url, refresh_s=3.0)
        async with UpdaterSession(options, board.store.lock_fd) as session:
            work = asyncio.ensure_future(session.refresh(["door"]))
            await asyncio.to_thread(asked.wait, 20)
            os.kill(session.pid, number)
            with pytest.raises(FetchFailed) as caught:
                await work
            words = "in time" if number is signal.SIGSTOP else number.name
            assert words in caught.value.message
            assert not _lives(session.pid)

    asyncio.run(scenario())


RUBBISH = {
    "no JSON": "print('hello', flush=True)",
    "no object": "print('[1]', flush=True)",
    "another error": "print('{\"error\": 7}', flush=True)",
    "no end": "sys.stdout.write('x' * (3 << 20)); sys.stdout.flush()",
    "bytes": "os.write(1, bytes(range(256)) + b'\\n')",
    "half": 'os.write(1, b\'{"refreshed": {"assignment": null}}\\n\')',
}


@pytest.mark.parametrize("rubbish", RUBBISH.values(), ids=RUBBISH)
def test_a_child_that_writes_rubbish_is_one_typed_error(
    board: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rubbish: str
) -> None:
    program = tmp_path / "child"
    body = f"#!{sys.executable}\nimport os, sys\n{rubbish}\nsys.stdin.read()\n"
    program.write_text(body)
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(FetchFailed, match="nobody can read"):
        look(board)


def test_a_child_that_cannot_be_started_is_the_stores_fault(
    board: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(StoreFailed, match="cannot be started"):
        look(board)


def test_a_child_without_the_lock_does_nothing(board: World, tmp_path: Path) -> None:
    board.release(1)

    async def scenario(lock_fd: int) -> None:
        async with UpdaterSession(board.options, lock_fd) as session:
            await session.refresh(["door"])

    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    with pytest.raises((StoreBusy, StoreFailed)):
        asyncio.run(scenario(other))
    os.close(other)


def test_the_child_gets_no_secret_of_the_environment_and_shows_none_in_its_command_line(
    board: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "hunter2")
    mqtt = MqttSettings(username="ann", password=Secret("hunter2"))

    async def scenario() -> bytes:
        async with UpdaterSession(board.with_options(mqtt=mqtt), board.store.lock_fd) as session:
            await session.refresh(["door"])
            seen = Path(f"/proc/{session.pid}")
            return (seen / "environ").read_bytes() + (seen / "cmdline").read_bytes()

    shown = asyncio.run(scenario())
    assert b"hunter2" not in shown
    assert b"updater_child" in shown


def test_the_child_dies_with_its_parent(board: World, server: StaticServer) -> None:
    board.release(1)

    def stuck(call: Call) -> None:
        server.stopping.wait(30)

    server.fault = stuck
    parent = textwrap.dedent(
        f"""
        import asyncio, os
        from pathlib import Path
        from gateway.updates.store.store import Store
        from gateway.updates.updater import UpdaterOptions, UpdaterSession

        async def main():
            store = Store.open(Path({str(server.root / "other")!r}), quota_bytes=1 << 30, reserve_bytes=0)
            options = UpdaterOptions(store.root, {server.url!r}, {board.options.root!r}, "porch")
            async with UpdaterSession(options, store.lock_fd) as session:
                work = asyncio.ensure_future(session.refresh([]))
                print(session.pid, flush=True)
                await work

        asyncio.run(main())
        """
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        child = os.pidfd_open(pid)
        while not server.calls:
            assert process.poll() is None
        process.kill()
        process.wait()
    ended, _, _ = select.select([child], [], [], 20)
    os.close(child)
    assert ended


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
