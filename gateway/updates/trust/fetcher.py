"""Gives python-tuf its metadata from a ``Source``, within one deadline and one budget of bytes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Final

from tuf.api.exceptions import DownloadHTTPError, DownloadLengthMismatchError
from tuf.ngclient.fetcher import FetcherInterface

from gateway.errors import FetchFailed, FetchRefused
from gateway.updates.transport.source import Source

METADATA: Final = "metadata/"
_NAME: Final = re.compile(r"metadata/(?:[1-9][0-9]{0,9}\.)?[A-Za-z0-9_-]{1,64}\.json")
_MISSING: Final = 404


class BoundedFetcher(FetcherInterface):
    """One refresh's way to the source. Not for several threads.

    The fetchers of python-tuf have a timeout between two reads and none over all: a
    server that sends a byte now and then holds them for ever.

    Attributes:
        last: The path that was asked for last; empty before.
    """

    def __init__(self, source: Source, deadline_s: float, most_bytes: int) -> None:
        """Prepare; nothing is fetched.

        Args:
            source: Where the bytes come from; the caller closes it.
            deadline_s: Monotonic time by which everything must be here.
            most_bytes: Most bytes of everything together.
        """
        self._source = source
        self._deadline_s = deadline_s
        self._left_bytes = most_bytes
        self.last = ""

    def read(self, path: str, most_bytes: int) -> bytes:
        """Return one small file.

        Raises:
            FetchRefused: The source has not got it, or gives what cannot be used.
            FetchFailed: The source is not there, or the time is up.
        """
        self.last = path
        if time.monotonic() >= self._deadline_s:
            raise FetchFailed(f"{self._source.name}: {path}: the time for the metadata is up")
        bound = min(most_bytes, self._left_bytes)
        data = self._source.read(path, bound, self._deadline_s)
        if len(data) > bound:
            raise FetchRefused(f"{self._source.name}: {path}: more than the {bound} bytes that are read")
        self._left_bytes -= len(data)
        return data

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """Return one metadata file, as ``FetcherInterface`` wants it, without a temporary file on the way.

        Raises:
            DownloadHTTPError: The source has not got it.
            DownloadLengthMismatchError: The budget is spent.
            FetchRefused: The source gives what cannot be used.
            FetchFailed: The source is not there, or the time is up.
        """
        if not _NAME.fullmatch(url):
            # A delegated role may be called anything; ours are words.
            raise DownloadHTTPError(f"{url[:80]!a} is no name that is asked for", _MISSING)
        if self._left_bytes <= 0:
            raise DownloadLengthMismatchError("the metadata is larger than all that is read of it")
        try:
            return self.read(url, max_length)
        except FetchRefused as error:
            if error.attributes.get("missing"):
                raise DownloadHTTPError(error.message, _MISSING) from error
            raise

    def _fetch(self, url: str) -> Iterator[bytes]:
        """Yield a file in one piece; for callers of ``download_file``, of which this gateway has none."""
        yield self.download_bytes(url, self._left_bytes)
