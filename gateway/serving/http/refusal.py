"""What the HTTP server itself answers when it refuses: a status, and a sentence and a label as JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.errors import DeadlineExceeded, Malformed, NotSupported, Overloaded, RequestRefused, TooLarge

_STATUS: Final[Mapping[type[RequestRefused], int]] = {Malformed: 400, TooLarge: 431, NotSupported: 501}
_PHRASES: Final[Mapping[int, bytes]] = {
    200: b"OK",
    202: b"Accepted",
    204: b"No Content",
    304: b"Not Modified",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    409: b"Conflict",
    413: b"Content Too Large",
    415: b"Unsupported Media Type",
    417: b"Expectation Failed",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a client is not served.

    Attributes:
        status: HTTP's code.
        label: The stable name of its kind.
        why: One sentence for whoever wrote the client.
        retry_after_s: When to come again; 0 if that would not help.
    """

    status: int
    label: str
    why: str
    retry_after_s: int = 0

    def body(self) -> bytes:
        """Return the JSON that tells it."""
        return json.dumps({"error": self.why, "label": self.label}).encode()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of the answer."""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(self.body())).encode()),
        ]
        if self.retry_after_s:
            headers.append((b"retry-after", str(self.retry_after_s).encode()))
        return headers


TOO_MANY_CONNECTIONS: Final = Refusal(503, Overloaded.label, "too many connections; try again", 1)
BODY_TOO_SLOW: Final = Refusal(408, DeadlineExceeded.label, "the request's body came too slowly")
BODY_CUT: Final = Refusal(400, Malformed.label, "the connection ended before the request's body did")


def refusal_of(error: RequestRefused) -> Refusal:
    """Return how an error is told to a client."""
    if "expected" in error.attributes:
        return Refusal(417, error.label, error.message)
    return Refusal(_STATUS.get(type(error), 400), error.label, error.message)


def phrase(status: int) -> bytes:
    """Return the words that go with a status in HTTP/1.1; empty for one that has none."""
    return _PHRASES.get(status, b"")
