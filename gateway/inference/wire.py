"""What crosses the socket between the front end and a worker: length, JSON head, raw tail.

A message is ``<u32 head bytes><u32 tail bytes><head: JSON><tail>``. Heads are
small; frames travel in shared memory, and only carried stream state is in the
tail. Nothing is pickled, so a worker may be written in any language.

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

HEADER = struct.Struct("<II")
MAX_MESSAGE_BYTES = 256 * 1024 * 1024

Head = dict[str, Any]


def encode(head: Head, tail: bytes = b"") -> bytes:
    """Return one message.

    Raises:
        TypeError, ValueError: The head holds what JSON cannot say.
    """
    text = json.dumps(head, separators=(",", ":"), allow_nan=False).encode()
    return HEADER.pack(len(text), len(tail)) + text + tail


class Splitter:
    """Cuts a byte stream into messages. Pure."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Head, bytes]]:
        """Yield every message that ``data`` completes.

        Raises:
            ValueError: A length is beyond reason, or a head is no JSON object.
        """
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
            head = json.loads(text)
            if not isinstance(head, dict):
                msg = "message head is no object"
                raise ValueError(msg)
            yield head, tail
