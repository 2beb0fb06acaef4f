"""What a door knows of whoever is at the other end of a connection, as plain values. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Peer(NamedTuple):
    """The other end of a connection, and what came with the request. Nothing in it is believed yet.

    Attributes:
        address: IP address without port; empty for a Unix socket.
        is_local: It came over a Unix socket, or from a loopback address.
        authorization: Value of the ``authorization`` header; empty for none.
        certificate: Names in the client certificate that TLS verified, the best one first; empty for none.
        uid: User of the process at the other end of a Unix socket; None if unknown.
        is_encrypted: The connection is TLS.
        is_forwarded: A proxy says that it asks for somebody else.
        host: Value of the ``host`` header; empty for none.
        origin: Value of the ``origin`` header, by which browsers name the page that asks; empty for none.
    """

    address: str = ""
    is_local: bool = False
    authorization: str = ""
    certificate: tuple[str, ...] = ()
    uid: int | None = None
    is_encrypted: bool = False
    is_forwarded: bool = False
    host: str = ""
    origin: str = ""


def place_of(peer: Peer) -> str:
    """Return in a word where a peer is: its address, or whose process it is at a Unix socket."""
    if peer.address:
        return peer.address
    if not peer.is_local:
        return "unknown"
    return "unix" if peer.uid is None else f"uid:{peer.uid}"
