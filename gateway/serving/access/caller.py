"""Who asks, and what that allows: what a door gets back for a peer. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

INFER: Final = "infer"
READ: Final = "read"
ADMIN: Final = "admin"
ANYBODY: Final = ""


class Caller(NamedTuple):
    """Whoever asks, once it is known.

    Attributes:
        name: ``token:NAME``, ``certificate:NAME``, ``uid:NUMBER`` or ``unix`` for a Unix socket, else the
            address; goes into ``InferCall.caller`` and the log.
        scopes: What it may do: ``infer``, ``read``, ``admin``.
        is_local: It is a program of this machine, so memory may be shared with it.
    """

    name: str
    scopes: frozenset[str]
    is_local: bool
