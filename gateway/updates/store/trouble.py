"""The operating system's errors as the store's own: full, or failed, with the place."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from typing import Final

from gateway.errors import DiskFull, StoreFailed

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Turn an ``OSError`` of the block into the error that callers know.

    Args:
        what: What was being done, such as ``state of door``.

    Raises:
        DiskFull: There was no room.
        StoreFailed: Anything else that the system refused.
    """
    try:
        yield
    except OSError as error:
        raise refusal(what, error) from error


def refusal(what: str, error: OSError) -> DiskFull | StoreFailed:
    """Return the error that callers know for what the system said."""
    words = f"{what}: {error.strerror or error}"
    if error.errno in FULL:
        return DiskFull(f"{words}; free some room on the disk of the model store", errno=error.errno)
    return StoreFailed(words, errno=error.errno)
