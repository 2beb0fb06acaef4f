"""Says what python-tuf found wrong in the gateway's own errors, one sentence each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    RepositoryError,
)

from gateway.errors import FetchFailed, FetchRefused, TrustFailed, TrustStale


@contextlib.contextmanager
def explained(source: str, last: Callable[[], str], clock: Callable[[], str]) -> Iterator[None]:
    """Turn what python-tuf raises in the block into the errors that callers know.

    Args:
        source: What operators call the source.
        last: Returns the path that was read last: there it went wrong.
        clock: Returns whether the system's clock can be right.

    Raises:
        TrustFailed: Signatures, versions or hashes do not hold.
        TrustStale: They hold, but have expired.
        FetchRefused: The source has not got a file (``missing``), or gives more than is read.
        FetchFailed: The source did not deliver.
    """
    try:
        yield
    except ExpiredMetadataError as error:
        raise TrustStale(
            f"{source}: {_words(error)}: nothing new is installed until the author signs it anew"
            + _aside(clock()),
            clock=clock(),
        ) from error
    except RepositoryError as error:
        raise TrustFailed(f"{source}: {last() or 'root'}: {_words(error)}", path=last()) from error
    except DownloadHTTPError as error:
        raise FetchRefused(f"{source}: {last()} is not there", missing=1, path=last()) from error
    except DownloadLengthMismatchError as error:
        raise FetchRefused(f"{source}: {last()}: {_words(error)}", path=last()) from error
    except DownloadError as error:
        raise FetchFailed(f"{source}: {last()}: {_words(error)}", path=last()) from error


def _words(error: Exception) -> str:
    """Return a foreign error's words as one short printable line."""
    words = str(error) or type(error).__name__
    return "".join(letter if letter.isprintable() else " " for letter in words)[:300].rstrip(".")


def _aside(clock: str) -> str:
    return "" if clock == "ok" else "; this board's clock cannot be right either, so look at that first"
