"""What the configuration says of model updates: an address that can be fetched, a root of trust, a window."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from gateway.configuration.checks import Finding
from gateway.configuration.file_checks import reason
from gateway.configuration.settings import Settings

_MOST_ROOT_BYTES = 512_000
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def check_updates(settings: Settings) -> Iterator[Finding]:
    """Yield everything that keeps updates from working.

    Args:
        settings: With absolute paths.
    """
    updates = settings.updates
    if updates.window:
        yield from _window(updates.window)
    bake = updates.bake
    if bake.seconds > bake.max_seconds:
        what = f"{bake.seconds:g} is more than updates.bake.max_seconds ({bake.max_seconds:g})"
        yield Finding("updates.bake.seconds", what)
    if not updates.repository:
        if updates.inbox_dir and not updates.root_file:
            what = "needs updates.root_file, which says whose releases are believed"
            yield Finding("updates.inbox_dir", what)
        return
    yield from _repository(updates.repository)
    if not updates.root_file:
        what = "missing; without the repository's root.json nothing that it says can be believed"
        yield Finding("updates.root_file", what)
    else:
        yield from _root(Path(updates.root_file))


def _repository(repository: str) -> Iterator[Finding]:
    if "://" not in repository:
        return  # a folder: it may be mounted later
    try:
        parts = urlsplit(repository)
    except ValueError as error:
        yield Finding("updates.repository", f"not an address: {error}")
        return
    if parts.scheme not in ("http", "https", "file") or (parts.scheme != "file" and not parts.hostname):
        yield Finding("updates.repository", "needs http://HOST, https://HOST, or the path of a folder")
    elif parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        what = "releases are signed, but who listens on the way sees them; https:// hides them"
        yield Finding("updates.repository", what, is_warning=True)


def _root(path: Path) -> Iterator[Finding]:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_ROOT_BYTES + 1)
    except (OSError, ValueError) as error:
        yield Finding("updates.root_file", f"{path} cannot be read: {reason(error)}")
        return
    try:
        signed = json.loads(data)["signed"]
        is_root = len(data) <= _MOST_ROOT_BYTES and signed["_type"] == "root"
    except (ValueError, KeyError, TypeError, RecursionError):
        is_root = False
    if not is_root:
        what = f"{path} is no root.json of a repository (gateway repo init makes one)"
        yield Finding("updates.root_file", what)


def _window(window: str) -> Iterator[Finding]:
    for text in window.split("-"):
        hours, _, minutes = text.partition(":")
        if int(hours) > 23 or int(minutes) > 59:
            yield Finding("updates.window", f"{text} is no time of day")
