"""Which kind of source an address means."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.errors import FetchRefused
from gateway.updates.transport.source import Source


def open_source(address: str, least_bytes_s: float) -> Source:
    """Return the source at an address; nothing is asked of it yet.

    Args:
        address: ``http://``, ``https://``, ``file://`` or the path of a folder.
        least_bytes_s: Rate below which a server is given up.

    Raises:
        FetchRefused: It is no such address.
    """
    scheme, colon, _ = address.partition("://")
    if colon and scheme in {"http", "https"}:
        from gateway.updates.transport.http import HttpLimits, HttpSource

        return HttpSource(address, HttpLimits(least_bytes_s=least_bytes_s))
    from gateway.updates.transport.folder import FolderSource

    if not colon:
        return FolderSource(Path(address))
    parts = urlsplit(address)
    if scheme != "file" or parts.netloc not in {"", "localhost"} or parts.query or parts.fragment:
        raise FetchRefused(
            f"{address.rpartition('@')[2][:200]!a} is no repository: http(s)://HOST[:PORT][/PATH] or a folder"
        )
    return FolderSource(Path(unquote(parts.path)))
