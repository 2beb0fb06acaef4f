"""What handlers get and give: one request that was let in, and one answer. Pure."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, NamedTuple

from gateway.serving.access.caller import Caller
from gateway.serving.call import Buffer
from gateway.serving.rest.json_writing import write_json

JSON: Final = b"application/json"
BINARY: Final = b"application/octet-stream"
EVENTS: Final = b"text/event-stream; charset=utf-8"

Headers = tuple[tuple[bytes, bytes], ...]


class Ask(NamedTuple):
    """One request.

    Attributes:
        names: ``model``, ``version`` and ``region``, as far as the path names them.
        headers: Their names in small letters; of a repeated one the last.
        body: Decompressed; belongs to the handler.
        caller: Who asks.
        arrived_s: When it came, monotonic seconds.
    """

    names: Mapping[str, str]
    headers: Mapping[bytes, bytes]
    body: Buffer
    caller: Caller
    arrived_s: float

    @property
    def model(self) -> str:
        """The model that the path names."""
        return self.names["model"]

    @property
    def version(self) -> str:
        """The version that the path names; empty for none."""
        return self.names.get("version", "")


class Reply(NamedTuple):
    """One answer.

    Attributes:
        status: HTTP's.
        body: The whole of it.
        content_type: Of the body; empty where there is none.
        headers: Further ones.
        label: Of the error that it tells; empty for none.
        is_page: Whether it says something of the gateway or of what is wrong, and is no answer of a model.
    """

    status: int = 200
    body: bytes = b""
    content_type: bytes = b""
    headers: Headers = ()
    label: str = ""
    is_page: bool = False


Handler = Callable[[Ask], Coroutine[Any, Any, Reply]]


def json_reply(value: object, status: int = 200, headers: Headers = (), label: str = "") -> Reply:
    """Return an answer in JSON."""
    return Reply(status, write_json(value), JSON, headers, label, is_page=True)
