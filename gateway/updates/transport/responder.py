"""Answers requests for blobs at the broker out of a folder: a repository, or another board's store.

It serves what anybody may read of a repository, bytes that are named by their
hash, and nothing else: only regular files below ``blobs/`` whose name is a
SHA-256. Requests that come faster than they may be answered are dropped: who
asked asks again.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

from gateway.errors import FetchFailed, FetchRefused
from gateway.mqtt.connection import Connection
from gateway.mqtt.message import Message, PublishProperties
from gateway.mqtt.wait import Bell
from gateway.updates.transport.folder import FolderSource
from gateway.updates.transport.mqtt_blob import PieceRequest, read_request, request_topic

# An answer that waits longer was asked for again.
_WORTH_S: Final = 5


@dataclass(frozen=True, slots=True)
class ServeLimits:
    """What serving may cost.

    Attributes:
        waiting: Most requests that wait; others are dropped.
        unsent: Most answers that wait for the broker to take them.
        rate_bytes_s: Most bytes a second; 0 for no bound.
    """

    waiting: int = 256
    unsent: int = 16
    rate_bytes_s: float = 0.0


@dataclass
class Served:
    """Counts since the start: answers, their bytes, requests for what is not here, and requests dropped."""

    answers: int = 0
    answer_bytes: int = 0
    unknown: int = 0
    dropped: int = 0


class BlobResponder:
    """Answers on one connection, one piece after another; run ``serve`` on its loop.

    Args:
        folder: Holds ``blobs/``.
        connection: To a broker that speaks MQTT 5.
        prefix: First level of the topics.
        limits: What serving may cost.
    """

    def __init__(
        self,
        folder: FolderSource,
        connection: Connection,
        prefix: str,
        limits: ServeLimits | None = None,
    ) -> None:
        self._folder = folder
        self._connection = connection
        self._prefix = prefix
        self._limits = limits or ServeLimits()
        self._waiting: deque[PieceRequest] = deque()
        self._rung = Bell()
        self._free_s = 0.0
        self.served = Served()
        connection.subscribe(request_topic(prefix, "+"), 0, self._take)

    async def serve(self) -> None:
        """Answer until cancelled."""
        while True:
            if not self._waiting or self._connection.stats.waiting >= self._limits.unsent:
                # A full queue of the broker's empties without a word: look again soon.
                await self._rung.heard_by(time.monotonic() + (0.01 if self._waiting else 60.0))
                continue
            request = self._waiting.popleft()
            data = await asyncio.get_running_loop().run_in_executor(None, self._piece, request)
            if data is None:
                self.served.unknown += 1
                continue
            await self._hold_back(len(data))
            self._answer(request, data)

    def _take(self, message: Message) -> None:
        request = read_request(self._prefix, message)
        if request is None or len(self._waiting) >= self._limits.waiting:
            self.served.dropped += 1
            return
        self._waiting.append(request)
        self._rung.ring()

    def _piece(self, request: PieceRequest) -> bytes | None:
        """Return the bytes; None if they are not all here."""
        try:
            file, _ = self._folder.open(f"blobs/{request.sha256}")
        except (FetchRefused, FetchFailed):
            return None
        try:
            data = os.pread(file, request.length, request.offset)
        except OSError:
            return None
        finally:
            os.close(file)
        return data if len(data) == request.length else None

    async def _hold_back(self, count: int) -> None:
        """Wait until so many bytes may be sent."""
        if not self._limits.rate_bytes_s:
            return
        now_s = time.monotonic()
        self._free_s = max(self._free_s, now_s) + count / self._limits.rate_bytes_s
        await asyncio.sleep(self._free_s - now_s)

    def _answer(self, request: PieceRequest, data: bytes) -> None:
        properties = PublishProperties(correlation=request.correlation, expiry_s=_WORTH_S)
        self._connection.publish(request.answer_topic, data, properties=properties)
        self.served.answers += 1
        self.served.answer_bytes += len(data)
