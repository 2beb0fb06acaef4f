"""The verified-chunk loop into a real store, from sources that fail in every order."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import FetchFailed, FetchRefused
from gateway.updates.release import CHUNK_BYTES, Blob
from gateway.updates.store.store import Store
from gateway.updates.transport.download import Downloader, Fetch, FetchLimits, pause_s
from tests.updates.transport.blobs import blob_of, noise
from tests.updates.transport.scripted import Scripted

DATA = noise(3 * CHUNK_BYTES + 11)
BLOB = blob_of(DATA)
QUICK = FetchLimits(rounds=3, first_pause_s=0, longest_pause_s=0)
STEPS = ("ok", "refuse", "missing", "fail", "silent", "cut", "wrong", "wrong-first", "foreign")


def soon() -> float:
    return time.monotonic() + 20


def silent(done_bytes: int, total_bytes: int) -> None:
    """Tell nobody."""


def fetch_into(store: Store, sources: Sequence[Scripted], limits: FetchLimits = QUICK) -> Fetch:
    """Fetch the blob, and leave what came."""
    downloader = Downloader(sources, limits)
    fetch = downloader.begin(BLOB.size_bytes, soon(), threading.Event(), silent)
    with closing(store.partial(BLOB)) as incoming:
        downloader.fetch(BLOB, incoming, fetch)
        incoming.finish()
    return fetch


def missing(store: Store) -> list[int]:
    with closing(store.partial(BLOB)) as incoming:
        return incoming.missing()


def test_a_blob_comes_whole_and_is_asked_for_once(store: Store) -> None:
    source = Scripted(DATA)
    fetch = fetch_into(store, [source])
    assert store.blob_path(BLOB.sha256).read_bytes() == DATA
    assert source.asked == [[0, 1, 2, 3]]
    assert (fetch.good_bytes, fetch.come_bytes) == (len(DATA), len(DATA))


def test_a_wrong_chunk_is_asked_of_the_next_source_and_the_good_ones_are_not(store: Store) -> None:
    first, second = Scripted(DATA, ["wrong-first"]), Scripted(DATA)
    fetch_into(store, [first, second])
    assert (first.asked, second.asked) == ([[0, 1, 2, 3]], [[0]])


def test_a_source_that_only_lies_is_left_and_the_blob_comes_from_another(store: Store) -> None:
    liar, honest = Scripted(DATA, forever="wrong"), Scripted(DATA)
    fetch_into(store, [liar, honest])
    assert len(liar.asked) == 1


def test_a_lone_source_that_lies_is_refused_and_nothing_of_it_is_kept(store: Store) -> None:
    with pytest.raises(FetchRefused, match="not what was signed"):
        fetch_into(store, [Scripted(DATA, forever="wrong")])
    assert missing(store) == [0, 1, 2, 3]


def test_a_chunk_that_came_wrong_once_may_come_right_from_the_same_source(store: Store) -> None:
    source = Scripted(DATA, ["wrong-first"])
    fetch_into(store, [source])
    assert source.asked == [[0, 1, 2, 3], [0]]


def test_a_chunk_that_a_lone_source_always_gives_wrong_is_refused_and_the_others_stay(store: Store) -> None:
    source = Scripted(DATA, forever="wrong-first")
    with pytest.raises(FetchRefused, match="not what was signed"):
        fetch_into(store, [source])
    assert source.asked == [[0, 1, 2, 3], [0]]
    assert missing(store) == [0]


def test_a_blob_that_nobody_has_is_refused_as_missing(store: Store) -> None:
    with pytest.raises(FetchRefused) as caught:
        fetch_into(store, [Scripted(DATA, forever="missing"), Scripted(DATA, forever="missing")])
    assert caught.value.attributes["missing"] == 1
    with pytest.raises(FetchRefused, match="no source"):
        fetch_into(store, [])


def test_a_refusal_is_final_only_when_every_source_refused(store: Store) -> None:
    refusing, failing = Scripted(DATA, forever="refuse"), Scripted(DATA, ["fail", "fail"])
    fetch_into(store, [refusing, failing])
    assert len(refusing.asked) == 1, "whoever refused is not asked again"
    assert len(failing.asked) == 3


def test_whoever_is_silent_is_asked_once_and_may_speak_another_time(store: Store) -> None:
    missing_here, silent_there = Scripted(DATA, forever="missing"), Scripted(DATA, forever="silent")
    with pytest.raises(FetchFailed, match="silent"):
        fetch_into(store, [missing_here, silent_there])
    assert len(silent_there.asked) == 1


def test_a_storm_of_failures_is_given_up_after_so_many_rounds(store: Store) -> None:
    source = Scripted(DATA, forever="fail")
    with pytest.raises(FetchFailed, match="given up after 3 rounds"):
        fetch_into(store, [source])
    assert len(source.asked) == 3


def test_progress_buys_new_tries_but_the_budget_ends_them(store: Store) -> None:
    source = Scripted(DATA, forever="cut")
    fetch_into(store, [source])
    assert source.asked == [[0, 1, 2, 3], [1, 2, 3], [2, 3], [3]]


def test_bytes_that_came_for_nothing_are_bounded(store: Store) -> None:
    liars = [Scripted(DATA, forever="wrong", name=f"liar {number}") for number in range(40)]
    with pytest.raises(FetchFailed, match="budget") as caught:
        fetch_into(store, liars, FetchLimits(rounds=3, first_pause_s=0, budget_factor=2.0))
    assert int(caught.value.attributes["come_bytes"]) <= 2 * len(DATA) + 2 * CHUNK_BYTES


def test_what_came_is_never_asked_for_again_not_even_by_another_process(store: Store) -> None:
    with pytest.raises(FetchFailed):
        fetch_into(store, [Scripted(DATA, ["cut"], forever="fail")])
    assert missing(store) == [1, 2, 3]
    later = Scripted(DATA)
    fetch_into(store, [later])
    assert later.asked == [[1, 2, 3]]


def test_a_chunk_that_was_damaged_on_the_disk_is_fetched_again_and_no_other(store: Store) -> None:
    with closing(store.partial(BLOB)) as incoming:
        for index, data in Scripted(DATA).chunks(BLOB, [0, 1, 2, 3], 0):
            incoming.write(index, data)
    part = store.layout.part(BLOB.sha256)
    with part.open("r+b") as file:
        file.seek(2 * CHUNK_BYTES + 5)
        file.write(b"rot")
    source = Scripted(DATA)
    fetch_into(store, [source])
    assert source.asked == [[2]]
    assert store.blob_path(BLOB.sha256).read_bytes() == DATA


def test_it_ends_when_it_is_told_to_even_in_a_pause(store: Store) -> None:
    stop = threading.Event()
    downloader = Downloader([_Stopping(stop)], FetchLimits(rounds=10, first_pause_s=1e9, longest_pause_s=1e9))
    fetch = downloader.begin(BLOB.size_bytes, time.monotonic() + 1e6, stop, silent)
    with closing(store.partial(BLOB)) as incoming, pytest.raises(FetchFailed, match="stopped") as caught:
        downloader.fetch(BLOB, incoming, fetch)
    assert caught.value.attributes["stopped"] == 1


class _Stopping(Scripted):
    """Fails, and is stopped a moment later by somebody else."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(DATA)
        self._timer = threading.Timer(0.05, stop.set)

    def chunks(self, blob: Blob, wanted: Sequence[int], deadline_s: float) -> NoReturn:
        self._timer.start()
        raise FetchFailed("later")


def test_pauses_double_up_to_a_bound_and_are_all_jitter() -> None:
    limits = FetchLimits(first_pause_s=0.5, longest_pause_s=30)
    assert [pause_s(limits, idle, 1) for idle in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert pause_s(limits, 8, 0) == 0
    assert pause_s(limits, 3, 0.25) == 0.5


def test_the_deadline_ends_it_in_a_pause_too(store: Store) -> None:
    downloader = Downloader(
        [Scripted(DATA, forever="fail")], FetchLimits(rounds=99, first_pause_s=1e9, longest_pause_s=1e9)
    )
    fetch = downloader.begin(BLOB.size_bytes, time.monotonic() + 0.1, threading.Event(), silent)
    with closing(store.partial(BLOB)) as incoming, pytest.raises(FetchFailed, match="took too long"):
        downloader.fetch(BLOB, incoming, fetch)


@given(st.lists(st.tuples(st.lists(st.sampled_from(STEPS), max_size=4), st.sampled_from(STEPS)), max_size=3))
def test_whatever_sources_do_the_end_is_the_right_bytes_or_one_typed_error(
    tmp_path_factory: pytest.TempPathFactory, scripts: list[tuple[list[str], str]]
) -> None:
    folder: Path = tmp_path_factory.mktemp("store")
    store = Store.open(folder, quota_bytes=1 << 30, reserve_bytes=0)
    sources = [Scripted(DATA, list(script), forever=forever) for script, forever in scripts]
    try:
        fetch = fetch_into(store, sources)
    except (FetchFailed, FetchRefused):
        assert not store.has(BLOB)
    else:
        assert store.blob_path(BLOB.sha256).read_bytes() == DATA
        assert fetch.come_bytes <= 3 * len(DATA) + CHUNK_BYTES
    finally:
        store.close()
    if any(forever in {"ok", "foreign"} and not script for script, forever in scripts):
        assert (folder / "blobs" / BLOB.sha256).exists(), "one source was good enough"
