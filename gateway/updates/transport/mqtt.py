"""Pulls chunks through the broker from whoever serves blobs there: a window of pieces, each asked for.

Its event loop runs only while a chunk is waited for: no thread, and whatever
comes meanwhile waits in the socket. QoS 0 is enough: a piece that does not come
is asked for again, and a wrong one fails the chunk's hash.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.configuration.settings import MqttSettings
from gateway.errors import ConfigError, DeadlineExceeded, FetchFailed, FetchRefused
from gateway.mqtt.connection import Connection
from gateway.mqtt.message import Message, PublishProperties
from gateway.mqtt.state import ConnectionEvents, ConnectionOptions, ConnectionState
from gateway.mqtt.version import V5
from gateway.mqtt.wait import Bell
from gateway.updates.release import CHUNK_BYTES, Blob
from gateway.updates.transport.mqtt_blob import PIECE_BYTES, answer_topic, request_payload, request_topic
from gateway.updates.transport.spans import chunk_bytes

# Topic, properties and head of an answer at most; what is larger the broker keeps.
_HEAD_BYTES: Final = 2048
_CORRELATION: Final = struct.Struct(">QI")
_PIECES: Final = CHUNK_BYTES // PIECE_BYTES


@dataclass(frozen=True, slots=True)
class PullLimits:
    """How pieces are asked for.

    Attributes:
        window: Pieces on their way at once.
        answer_s: Longest wait for a piece before it is asked for again.
        tries: How often a piece is asked for.
    """

    window: int = 4
    answer_s: float = 5.0
    tries: int = 3


@dataclass
class _Pull:
    """Chunks on their way.

    Attributes:
        blob: Whose.
        nonce: Tells answers to this pull from late ones to an earlier.
        queue: Pieces that were not asked for yet.
        asked: Pieces on their way, the one asked for longest ago first: when, and how often.
        gathered: Pieces of chunks that are not whole yet.
        whole: Chunks that are.
    """

    blob: Blob
    nonce: int
    queue: Iterator[int]
    asked: dict[int, tuple[float, int]] = field(default_factory=dict)
    gathered: dict[int, dict[int, bytes]] = field(default_factory=dict)
    whole: list[tuple[int, bytes]] = field(default_factory=list)

    def piece_bytes(self, piece: int) -> int:
        """Return how long a piece is."""
        return min(PIECE_BYTES, self.blob.size_bytes - piece * PIECE_BYTES)

    def take(self, message: Message) -> bool:
        """Take an answer; False if it answers nothing that was asked."""
        if len(message.correlation) != _CORRELATION.size:
            return False
        nonce, piece = _CORRELATION.unpack(message.correlation)
        if nonce != self.nonce or piece not in self.asked or len(message.payload) != self.piece_bytes(piece):
            return False
        del self.asked[piece]
        index = piece // _PIECES
        pieces = self.gathered.setdefault(index, {})
        pieces[piece] = message.payload
        if len(pieces) == -(-chunk_bytes(self.blob, index) // PIECE_BYTES):
            self.whole.append((index, b"".join(pieces[each] for each in sorted(pieces))))
            del self.gathered[index]
        return True


class MqttSource:
    """Whoever answers requests for blobs at the gateway's broker. It has no metadata.

    Args:
        settings: The broker; MQTT 5 is needed.
        prefix: First level of the topics.
        limits: How pieces are asked for.
    """

    def __init__(self, settings: MqttSettings, prefix: str, limits: PullLimits | None = None) -> None:
        self.name = f"blobs over {settings.url.rpartition('@')[2]}"
        self._prefix = prefix
        self._limits = limits or PullLimits()
        self._settings = replace(settings, max_packet_bytes=max(PIECE_BYTES + _HEAD_BYTES, 1024))
        self._token = secrets.token_urlsafe(16)
        self._complaint = ""
        self._pull: _Pull | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Connection | None = None
        self._heard: Bell | None = None

    def read(self, path: str, most_bytes: int, deadline_s: float) -> bytes:  # noqa: ARG002 - the seam's
        """Refuse: metadata does not come this way.

        Raises:
            FetchRefused: Always.
        """
        raise FetchRefused(f"{self.name}: no metadata comes this way: {path}", source=self.name, missing=1)

    def chunks(
        self, blob: Blob, wanted: Sequence[int], deadline_s: float
    ) -> Generator[tuple[int, bytes], None, None]:
        """Yield wanted chunks, unchecked; see ``Source``.

        Raises:
            FetchRefused: The broker does not speak MQTT 5.
            FetchFailed: It is not there, or nobody answers (``silent`` is 1).
        """
        pieces = (
            piece
            for index in wanted
            for piece in range(index * _PIECES, index * _PIECES + -(-chunk_bytes(blob, index) // PIECE_BYTES))
        )
        pull = _Pull(blob, secrets.randbits(64), pieces)
        self._pull = pull
        try:
            for _ in wanted:
                if self._loop is None:
                    self._loop = asyncio.new_event_loop()
                yield self._loop.run_until_complete(self._next(pull, deadline_s))
        finally:
            self._pull = None

    def close(self) -> None:
        """Say goodbye to the broker. Idempotent."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        connection, self._connection = self._connection, None
        if connection is not None:
            loop.run_until_complete(connection.close(0.0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    async def _next(self, pull: _Pull, deadline_s: float) -> tuple[int, bytes]:
        connection = await self._connected(deadline_s)
        assert self._heard is not None
        # Answers may have come while the last chunk was written: only waiting from now on counts.
        began_s = time.monotonic()
        pull.asked = {piece: (began_s, times) for piece, (_, times) in pull.asked.items()}
        while not pull.whole:
            now_s = time.monotonic()
            if now_s >= deadline_s:
                raise FetchFailed(f"{self.name}: not here by its deadline", source=self.name)
            self._ask(connection, pull, now_s)
            patience_s = min((at for at, _ in pull.asked.values()), default=now_s) + self._limits.answer_s
            await self._heard.heard_by(min(patience_s, deadline_s))
        chunk = pull.whole.pop(0)
        self._ask(connection, pull, time.monotonic())  # the next come while this one is written
        return chunk

    async def _connected(self, deadline_s: float) -> Connection:
        if self._connection is None:
            self._heard = Bell()
            options = ConnectionOptions(f"{self._settings.client_id or 'gw'}-blobs-{self._token}", clean=True)
            try:
                connection = Connection(self._settings, options, ConnectionEvents(on_state=self._note))
            except ConfigError as error:
                raise FetchRefused(f"{self.name}: {error.message}", source=self.name) from error
            connection.subscribe(answer_topic(self._prefix, self._token), 0, self._take)
            self._connection = await connection.__aenter__()
        connection = self._connection
        limit_s = min(deadline_s, time.monotonic() + self._settings.connect_timeout_s)
        try:
            await connection.wait_settled(limit_s)
        except DeadlineExceeded as error:
            why = self._complaint or error.message
            raise FetchFailed(f"{self.name}: {why}", source=self.name) from None
        if connection.version != V5:
            raise FetchRefused(f"{self.name}: the broker does not speak MQTT 5", source=self.name)
        return connection

    def _ask(self, connection: Connection, pull: _Pull, now_s: float) -> None:
        """Keep the window full; ask again for what did not come.

        Raises:
            FetchFailed: A piece was asked for often enough.
        """
        for piece, (at, times) in tuple(pull.asked.items()):
            if now_s - at < self._limits.answer_s:
                break
            if times >= self._limits.tries:
                what = f"nobody answers for blob {pull.blob.sha256[:12]}"
                raise FetchFailed(f"{self.name}: {what}", source=self.name, silent=1)
            self._send(connection, pull, piece, (now_s, times + 1))
        while len(pull.asked) < self._limits.window and len(pull.whole) < 2:
            piece_or_end = next(pull.queue, None)
            if piece_or_end is None:
                return
            self._send(connection, pull, piece_or_end, (now_s, 1))

    def _send(self, connection: Connection, pull: _Pull, piece: int, note: tuple[float, int]) -> None:
        pull.asked.pop(piece, None)
        pull.asked[piece] = note
        connection.publish(
            request_topic(self._prefix, pull.blob.sha256),
            request_payload(piece * PIECE_BYTES, pull.piece_bytes(piece)),
            properties=PublishProperties(
                correlation=_CORRELATION.pack(pull.nonce, piece),
                response_topic=answer_topic(self._prefix, self._token),
                expiry_s=max(1, round(self._limits.answer_s)),
            ),
        )

    def _take(self, message: Message) -> None:
        if self._pull is not None and self._heard is not None and self._pull.take(message):
            self._heard.ring()

    def _note(self, state: ConnectionState, reason: str) -> None:
        if state in {ConnectionState.OFFLINE, ConnectionState.REFUSED}:
            self._complaint = reason
