"""What crosses the socket between the front end and a worker: length, JSON head, raw tail.

A message is ``<u32 head bytes><u32 tail bytes><head: JSON><tail>``. Heads are
small, and their whole numbers have at most 64 bits; frames travel in shared
memory, and only carried stream state is in the tail. Nothing is pickled, so a
worker may be written in any language.

Front end → worker, by ``t``: ``load`` (a LoadSpec), ``run`` (a batch),
``pipelines`` (new pipelines), ``canary`` (run once on zeros), ``divide``. Worker
→ front end: ``ready``, ``done``, ``pipelines``, ``canary``, ``divided``,
``failed``. A closed socket tells the worker to end.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import orjson

HEADER = struct.Struct("<II")
MAX_MESSAGE_BYTES = 256 * 1024 * 1024

Head = dict[str, Any]


def encode(head: Head, tail: bytes = b"", *, is_finite: bool = False) -> bytes:
    """Return one message.

    Args:
        head: What is said.
        tail: What goes with it.
        is_finite: The head surely holds no NaN and no infinity. It is then written several times as
            fast, by a writer that would make null of them.

    Raises:
        TypeError, ValueError: The head holds what JSON cannot say.
    """
    text = _fast(head) if is_finite else None
    if text is None:
        text = json.dumps(head, separators=(",", ":"), allow_nan=False).encode()
    return HEADER.pack(len(text), len(tail)) + text + tail


def decode(text: bytes) -> Any:
    """Return what a head says.

    Raises:
        ValueError: It is no JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(
            text
        )  # half a character, as in the name of a file, is something only this one reads


def _fast(head: Head) -> bytes | None:
    """Return a head's JSON; None if it holds what only the slow writer can say."""
    try:
        return orjson.dumps(head)
    except orjson.JSONEncodeError:
        return None


class Splitter:
    """Cuts a byte stream into messages. Pure."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Head, bytes]]:
        """Yield every message that ``data`` completes.

        Raises:
            ValueError: A length is beyond reason, or a head is no JSON object.
        """
        if not self._buffer and (whole := _only(data)) is not None:
            yield whole
            return
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            head_bytes, tail_bytes = HEADER.unpack_from(self._buffer)
            if head_bytes + tail_bytes > MAX_MESSAGE_BYTES:
                msg = f"message of {head_bytes + tail_bytes} bytes"
                raise ValueError(msg)
            end = HEADER.size + head_bytes + tail_bytes
            if len(self._buffer) < end:
                return
            text = bytes(self._buffer[HEADER.size : HEADER.size + head_bytes])
            tail = bytes(self._buffer[HEADER.size + head_bytes : end])
            del self._buffer[:end]
            yield _head(text), tail


def _only(data: bytes) -> tuple[Head, bytes] | None:
    """Return the message that ``data`` is, if it is exactly one: what most reads bring."""
    if len(data) < HEADER.size:
        return None
    head_bytes, tail_bytes = HEADER.unpack_from(data)
    end = HEADER.size + head_bytes
    if end + tail_bytes != len(data):
        return None
    return _head(data[HEADER.size : end]), data[end:]


def _head(text: bytes) -> Head:
    head = decode(text)
    if not isinstance(head, dict):
        msg = "message head is no object"
        raise ValueError(msg)
    return head
