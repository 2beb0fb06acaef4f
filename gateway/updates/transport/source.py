"""Where the bytes of a repository come from: one seam for web servers, folders and brokers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from gateway.updates.release import Blob


class Source(Protocol):
    """One place that may deliver. Blocking: it runs in the updater child. Nothing that it says is believed.

    Attributes:
        name: What operators call it, without passwords: the address, or the folder.
    """

    name: str

    def read(self, path: str, most_bytes: int, deadline_s: float) -> bytes:
        """Return a small file: ``metadata/2.root.json``, ``targets/assign/<sha256>.door.json``.

        Args:
            path: Path below the repository; built by us, never taken from the network.
            most_bytes: More than this is refused while it comes.
            deadline_s: Monotonic time by which all of it must be here.

        Raises:
            FetchRefused: It has not got it (attribute ``missing`` is 1), or gives what cannot be used.
            FetchFailed: It is not there, or too slow.
        """
        ...

    def chunks(self, blob: Blob, wanted: Sequence[int], deadline_s: float) -> Iterator[tuple[int, bytes]]:
        """Yield wanted chunks of a blob as (index, bytes), in any order; unchecked.

        Args:
            blob: Which bytes.
            wanted: Indices of chunks of ``release.CHUNK_BYTES``, rising.
            deadline_s: Monotonic time by which the last must be here.

        Raises:
            FetchRefused: It has not got the blob, or gives what cannot be used.
            FetchFailed: It is not there, or too slow; chunks that were yielded stay good.
        """
        ...

    def close(self) -> None:
        """Let connections go. Idempotent."""
        ...
