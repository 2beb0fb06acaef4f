"""The way to the source: only names of ours, and never more time or bytes than there are."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadHTTPError, DownloadLengthMismatchError

from gateway.errors import FetchFailed, FetchRefused
from gateway.updates.trust.fetcher import BoundedFetcher
from tests.updates.trust.boards import ScriptedSource


@pytest.fixture(name="source")
def _source(tmp_path: Path) -> ScriptedSource:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "timestamp.json").write_bytes(b"0123456789")
    return ScriptedSource(tmp_path)


def fetcher(source: ScriptedSource, most_bytes: int = 100, seconds: float = 30.0) -> BoundedFetcher:
    return BoundedFetcher(source, time.monotonic() + seconds, most_bytes)


@pytest.mark.parametrize(
    "path",
    [
        "metadata/../secret.json",
        "metadata/3.a%2Fb.json",
        "metadata/.json",
        "metadata/timestamp.json/..",
        "metadata/timestamp.json\n",
        "http://elsewhere/timestamp.json",
        "metadata/0.root.json",
        "targets/timestamp.json",
    ],
)
def test_names_that_are_not_ours_are_not_asked_for(source: ScriptedSource, path: str) -> None:
    with pytest.raises(DownloadHTTPError) as caught:
        fetcher(source).download_bytes(path, 10)
    assert caught.value.status_code == 404
    assert source.asked == []


def test_a_file_that_is_missing_is_told_as_python_tuf_wants_it(source: ScriptedSource) -> None:
    with pytest.raises(DownloadHTTPError) as caught:
        fetcher(source).download_bytes("metadata/2.root.json", 10)
    assert caught.value.status_code == 404


def test_other_refusals_go_up_as_they_are(source: ScriptedSource) -> None:
    with pytest.raises(FetchRefused, match="more than 9"):
        fetcher(source).download_bytes("metadata/timestamp.json", 9)


def test_the_budget_is_for_all_files_together(source: ScriptedSource) -> None:
    bounded = fetcher(source, most_bytes=25)
    for _ in range(2):
        assert bounded.download_bytes("metadata/timestamp.json", 10) == b"0123456789"
    with pytest.raises(FetchRefused, match="more than 5"):
        bounded.download_bytes("metadata/timestamp.json", 10)


def test_with_nothing_left_nothing_is_asked_for(source: ScriptedSource) -> None:
    bounded = fetcher(source, most_bytes=10)
    bounded.download_bytes("metadata/timestamp.json", 10)
    with pytest.raises(DownloadLengthMismatchError):
        bounded.download_bytes("metadata/timestamp.json", 10)
    assert len(source.asked) == 1


def test_after_the_deadline_nothing_is_asked_for(source: ScriptedSource) -> None:
    with pytest.raises(FetchFailed, match="time"):
        fetcher(source, seconds=-1.0).download_bytes("metadata/timestamp.json", 10)
    assert source.asked == []


def test_the_other_way_in_gives_the_same_bytes(source: ScriptedSource) -> None:
    with fetcher(source).download_file("metadata/timestamp.json", 10) as file:
        assert file.read() == b"0123456789"
