"""Bearer tokens: out of a header, and compared in a time that tells nothing. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import Unauthenticated

# What RFC 6750 allows, and whatever else an operator may have chosen that a header carries unchanged.
_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +(?P<token>[\x21-\x7e]{1,8192})")
_SHAPE: Final = re.compile(r"[\x21-\x7e]{1,8192}")


@dataclass(frozen=True, slots=True)
class Token:
    """One token that is known, without the token itself.

    Attributes:
        name: Who carries it.
        digest: SHA-256 of it.
        scopes: What it allows.
    """

    name: str
    digest: bytes = field(repr=False)
    scopes: frozenset[str]


def is_sendable(token: str) -> bool:
    """Return whether a token can stand in a header."""
    return _SHAPE.fullmatch(token) is not None


def digest_of(token: str) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


def presented(authorization: str) -> bytes:
    """Return the digest of the token in the value of an ``authorization`` header.

    Raises:
        Unauthenticated: There is none in it.
    """
    match = _BEARER.fullmatch(authorization)
    if match is None:
        what = "the authorization header holds no bearer token; write: Authorization: Bearer TOKEN"
        raise Unauthenticated(what, reason="no_bearer")
    return digest_of(match["token"])


def find(digest: bytes, tokens: Iterable[Token]) -> Token | None:
    """Return the token with a digest; None if none has it.

    Every token is compared, each in constant time: how long it takes says neither which of
    them came near nor which one it was.
    """
    found = None
    for token in tokens:
        if hmac.compare_digest(digest, token.digest):
            found = token
    return found
