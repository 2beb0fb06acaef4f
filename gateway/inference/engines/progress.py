"""Where an engine that takes long to build tells how far it is; nobody listens unless somebody asks to.

One listener per process: the process that builds passes on what it hears.
"""

from __future__ import annotations

from collections.abc import Callable

Listener = Callable[[str], None]

_listener: Listener | None = None


def listen(listener: Listener | None) -> None:
    """Let ``listener`` hear what engines of this process tell; None for nobody."""
    global _listener  # noqa: PLW0603 - one process, one listener
    _listener = listener


def tell(words: str) -> None:
    """Tell how far a build is, such as ``building an engine: 3 of 20``. Never fails, never waits for long."""
    if _listener is not None:
        _listener(words)
