"""The fields of an HTTP/2 request: whether they are well-formed, and which request they make. Pure."""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import Malformed, NotSupported, TooLarge
from gateway.serving.http.field_checks import check_expectation, check_host

Headers = list[tuple[bytes, bytes]]

# RFC 9113, 8.2.1, and no more than HTTP/1.1 takes: a token in small letters; no controls, no space around.
_NAME: Final = re.compile(rb":?[a-z0-9!#$%&'*+.^_`|~-]+")
_VALUE: Final = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_OF_CONNECTIONS: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)
_NEEDED: Final = frozenset({b":method", b":scheme", b":path"})
_KNOWN: Final = _NEEDED | {b":authority"}
_OF_TUNNELS: Final = frozenset({b":method", b":authority"})
_ONCE: Final = frozenset({b"host", b"content-length"})


def flaw_of_request(fields: Headers) -> str:
    """Return what makes a request malformed (RFC 9113, 8.1.1); empty if nothing does."""
    pseudo: dict[bytes, bytes] = {}
    once: dict[bytes, bytes] = {}
    is_regular = False
    for name, value in fields:
        flaw = _flaw(name, value)
        if flaw:
            return flaw
        if name.startswith(b":"):
            if is_regular or name in pseudo or name not in _KNOWN:
                return f"{_shown(name)} is unknown, there twice, or behind other fields"
            pseudo[name] = value
            continue
        is_regular = True
        if name in _ONCE:
            if name in once:
                return f"{_shown(name)} is there twice"
            once[name] = value
    return _flaw_of_target(pseudo) or _flaw_of_once(pseudo.get(b":authority"), once)


def flaw_of_trailers(fields: Headers) -> str:
    """Return what makes the fields behind a body malformed; empty if nothing does."""
    for name, value in fields:
        if name.startswith(b":"):
            return f"{_shown(name)} is behind the body"
        flaw = _flaw(name, value)
        if flaw:
            return flaw
    return ""


def request_fields(fields: Headers, most: int) -> tuple[str, bytes, Headers]:
    """Return method, target and headers of a well-formed request, with ``host`` from its authority.

    Raises:
        RequestRefused: It is no request that is served here.
    """
    pseudo: dict[bytes, bytes] = {}
    headers: Headers = []
    for name, value in fields:
        if name.startswith(b":"):
            pseudo[name] = value
            continue
        headers.append((name, value))
        if name == b"expect":
            check_expectation(value)
    if len(headers) > most:
        raise TooLarge(f"the request has more than {most} headers")
    method = pseudo.get(b":method", b"").decode("latin-1")
    if method == "CONNECT":
        raise NotSupported("this is no proxy")
    authority = pseudo.get(b":authority")
    if authority is not None:
        check_host(authority)
        headers = [(b"host", authority), *(header for header in headers if header[0] != b"host")]
    path = pseudo.get(b":path", b"")
    if path[:1] not in {b"/", b"*"}:  # a URL is a target of HTTP/1.1 alone
        raise Malformed("the request's target must be a path that begins with /")
    return method, path, headers


def _flaw(name: bytes, value: bytes) -> str:
    if not _NAME.fullmatch(name):
        return f"{_shown(name)} is no name of a field"
    if not _VALUE.fullmatch(value):
        return f"{_shown(name)} has a value that none can have"
    if name in _OF_CONNECTIONS or (name == b"te" and value.lower() != b"trailers"):
        return f"{_shown(name)} is of HTTP/1.1"
    return ""


def _flaw_of_target(pseudo: dict[bytes, bytes]) -> str:
    if pseudo.get(b":method") == b"CONNECT":
        return "" if pseudo.keys() == _OF_TUNNELS else "a tunnel has an authority, and no more"
    missing = _NEEDED - pseudo.keys()
    if missing:
        return f"{_shown(min(missing))} is missing"
    return "" if pseudo[b":path"] else "':path' is empty"


def _flaw_of_once(authority: bytes | None, once: dict[bytes, bytes]) -> str:
    host, length = once.get(b"host"), once.get(b"content-length")
    if length is not None and not _LENGTH.fullmatch(length):
        return "'content-length' is no length"
    if authority is None and host is None:
        return "':authority' is missing"
    if authority is not None and host is not None and authority != host:
        return "'host' is another one than ':authority'"
    return ""


def _shown(name: bytes) -> str:
    return ascii(name[:80].decode("latin-1"))
