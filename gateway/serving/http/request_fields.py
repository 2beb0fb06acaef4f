"""Makes method, target and headers of the fields of an HTTP/2 request. Pure."""

from __future__ import annotations

from gateway.errors import Malformed, NotSupported
from gateway.serving.http.field_checks import check_expectation, check_host

Headers = list[tuple[bytes, bytes]]


def request_fields(fields: Headers, most: int) -> tuple[str, bytes, Headers]:
    """Return method, target and headers of a request, with ``host`` from its authority.

    Raises:
        RequestRefused: It is no request that is served here.
    """
    pseudo: dict[bytes, bytes] = {}
    headers: Headers = []
    for name, value in fields:
        if name.startswith(b":"):
            pseudo[name] = value
        else:
            headers.append((name, value))
        if name == b"expect":
            check_expectation(value)
    if len(headers) > most:
        raise Malformed(f"the request has more than {most} headers")
    method = pseudo.get(b":method", b"").decode("latin-1")
    if method == "CONNECT":
        raise NotSupported("this is no proxy")
    authority = pseudo.get(b":authority")
    if authority is not None:
        check_host(authority)
        headers = [(b"host", authority), *(header for header in headers if header[0] != b"host")]
    return method, pseudo.get(b":path", b""), headers
