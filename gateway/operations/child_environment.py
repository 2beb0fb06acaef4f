"""What a child process gets of our environment: secrets that configuration takes from variables stay here."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Final

_ALWAYS: Final = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "TZ"}
)


def child_environment(names: Collection[str] = (), prefixes: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the variables that programs and libraries find their way by, and those that are named.

    Args:
        names: More of them.
        prefixes: More of them, by how their names begin.
    """
    kept = ("PYTHON", "MALLOC_", *prefixes)
    return {
        name: value
        for name, value in os.environ.items()
        if name in _ALWAYS or name in names or name.startswith(kept)
    }
