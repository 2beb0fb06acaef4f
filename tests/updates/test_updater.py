"""The updater session and its child, all real: signed repositories, a locked store, web servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.errors import (
    DiskFull,
    FetchFailed,
    FetchRefused,
    ManifestRefused,
    TrustFailed,
)
from gateway.updates.release import CHUNK_BYTES, manifest_digest
from gateway.updates.updater import UpdaterSession
from tests.ports import free_port
from tests.updates.transport.blobs import noise
from tests.updates.transport.static_server import Call, StaticServer
from tests.updates.updater_world import (
    MOST_RSS_BYTES,
    WEIGHTS,
    World,
    install,
    lives,
    look,
    silent,
    weights_of,
)


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
            assert not lives(session.pid)
            with pytest.raises(FetchFailed):
                await session.refresh(["door"])
        return session.pid

    assert not lives(asyncio.run(scenario()))


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
    before = contents(board)
    board.release(2)
    stamp = board.folder / "metadata/timestamp.json"
    stamp.write_bytes(stamp.read_bytes().replace(b'"version"', b'"versiom"'))
    with pytest.raises(TrustFailed):
        look(board)
    assert contents(board) == before


def contents(board: World) -> dict[str, bytes]:
    """Return every file of the store."""
    files = (path for path in board.store.root.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files}


def test_errors_carry_their_facts_across(board: World) -> None:
    with pytest.raises(FetchFailed) as caught:
        look(board, repository=f"http://127.0.0.1:{free_port()}")
    assert caught.value.attributes
