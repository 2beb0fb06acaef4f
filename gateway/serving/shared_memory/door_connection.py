"""One client of the memory door: its regions, its calls under way, and an end that leaves nothing of either.

Calls run side by side and are answered as they end. While answers wait for a
client that does not read them, nothing more is read from it.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from gateway.configuration.serving_settings import ServingSettings
from gateway.errors import AlreadyThere, GatewayBug, GatewayError, Malformed, Overloaded
from gateway.operations.log import log
from gateway.operations.series import OTHER
from gateway.operations.tracing import begin_span, in_span
from gateway.serving.access.caller import INFER, READ
from gateway.serving.access.gate import Admission, Gate
from gateway.serving.access.peer import Peer
from gateway.serving.call import InferCall
from gateway.serving.door_count import CANCELLED, DONE, DoorCount, outcome_of
from gateway.serving.model_view import Models
from gateway.serving.priorities import level_of
from gateway.serving.shared_memory.door_calls import Places, Times, call_of, inputs_of
from gateway.serving.shared_memory.door_words import (
    MAX_PACKET_BYTES,
    Cancel,
    Describe,
    Infer,
    Release,
    Share,
    answer,
    description,
    hello,
    inferred,
    refusal,
)
from gateway.serving.shared_memory.known_words import Known, KnownWords
from gateway.serving.shared_memory.names import check_region_name, no_region
from gateway.serving.shared_memory.packets import SENDING, Closer, Received, receive
from gateway.serving.shared_memory.sealed import SealedMemory, is_memory
from gateway.serving.unix_socket import user_of

_MOST_DRAINED: Final = 64
METHODS: Final = ("share", "release", "describe", "infer")


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """What clients may cost.

    Attributes:
        connections: Clients at a time; more are turned away.
        calls: Calls of one client under way.
        answer_s: Longest time for a client to take its answers.
        grace_s: Longest wait for calls under way when the door closes.
    """

    connections: int = 64
    calls: int = 64
    answer_s: float = 30.0
    grace_s: float = 0.5


@dataclass(frozen=True, slots=True)
class DoorParts:
    """What stands behind the door.

    Attributes:
        models: Answers calls.
        gate: Lets requests in.
        count: Counts them.
        settings: Limits of memory and time.
    """

    models: Models
    gate: Gate
    count: DoorCount
    settings: ServingSettings


class Door(Protocol):
    """What a connection needs of the door that accepted it."""

    parts: DoorParts
    limits: DoorLimits
    closer: Closer
    buffer: bytearray

    def add_region(self) -> None:
        """Count one region more.

        Raises:
            TooLarge: There are too many.
        """
        ...

    def drop_regions(self, count: int) -> None:
        """Count regions no longer."""
        ...

    def closed(self, connection: MemoryConnection) -> None:
        """Forget a connection."""
        ...


class MemoryConnection:
    """Speaks with one client."""

    def __init__(self, sock: socket.socket, door: Door) -> None:
        """Greet the client and begin to read; the socket is owned from now on.

        Raises:
            OSError: The client is gone already.
        """
        self._sock = sock
        self._door = door
        self._parts = door.parts
        self._loop = asyncio.get_running_loop()
        self._peer = Peer(is_local=True, uid=user_of(sock))
        self._regions: dict[str, SealedMemory] = {}
        self._words = KnownWords()
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._outgoing: deque[bytes] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._ending = False
        self.is_closed = False
        self._loop.add_reader(sock, self._readable)
        settings = self._parts.settings
        greeting = hello(settings.name, settings.shared_memory.max_region_bytes, door.limits.calls)
        self._send(greeting)

    @property
    def tasks(self) -> tuple[asyncio.Task[None], ...]:
        """The calls under way."""
        return tuple(self._calls.values())

    def retire(self) -> None:
        """Take no further packet; end when the calls under way are answered."""
        if self.is_closed:
            return
        self._ending = True
        self._loop.remove_reader(self._sock)
        self._end_if_idle()

    def close(self) -> None:
        """End now: calls that wait never run, regions go when nothing reads them any more. Idempotent."""
        if self.is_closed:
            return
        self.is_closed = True
        self._disarm()
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._drain()
        self._sock.close()
        for task in self._calls.values():
            task.cancel()
        self._outgoing.clear()
        self._door.drop_regions(len(self._regions))
        self._regions.clear()
        self._words.forget()
        self._door.closed(self)

    def _readable(self) -> None:
        """Take one packet: a client's next one waits until the others had their turn."""
        try:
            received = receive(self._sock, self._door.buffer)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        try:
            self._take(received)
        finally:
            if received.fds:
                self._door.closer.close(received.fds)

    def _take(self, received: Received) -> None:
        if received.size == 0:
            self.close()
            return
        try:
            if received.is_cut:
                raise Malformed(f"the packet is longer than {MAX_PACKET_BYTES} bytes")
            number, known = self._words.read(memoryview(self._door.buffer)[: received.size])
        except GatewayError as error:
            self._refuse(None, error, OTHER)
            self._end()
            return
        if isinstance(known, GatewayError):
            self._refuse(number, known, OTHER)
        else:
            try:
                if received.lost_fds:
                    raise Malformed("share brings one descriptor; more came along")
                self._do(number, known, received.fds)
            except GatewayError as error:
                self._refuse(number, error, type(known.word).__name__.lower())
        if received.fds and not all(is_memory(fd) for fd in received.fds):
            self._end()

    def _do(self, number: int, known: Known, fds: tuple[int, ...]) -> None:
        word = known.word
        if fds and not isinstance(word, Share):
            raise Malformed("a descriptor comes with share alone")
        match word:
            case Infer() if word.trace:
                with in_span(begin_span([word.trace])):
                    self._infer(number, word, known)
            case Infer():
                self._infer(number, word, known)
            case Share():
                self._share(word.region, fds)
                region = self._regions[word.region]
                self._done(number, "share", byte_size=region.byte_size, writable=region.writable)
            case Release():
                if self._regions.pop(word.region, None) is None:
                    raise no_region(word.region)
                self._words.forget()
                self._door.drop_regions(1)
                self._done(number, "release")
            case Describe():
                with self._parts.gate.admit(self._peer, READ, "describe", word.model):
                    view = self._parts.models.view(word.model, word.version)
                self._parts.count.ended("describe", DONE)
                self._send(description(number, view))
            case Cancel():
                task = self._calls.get(number)
                if task is not None:
                    task.cancel()

    def _share(self, name: str, fds: tuple[int, ...]) -> None:
        check_region_name(name)
        if len(fds) != 1:
            raise Malformed(f"share brings one descriptor, not {len(fds)}")
        if name in self._regions:
            raise AlreadyThere(f"region {name!r} is there already: release it first")
        if not is_memory(fds[0]):
            raise Malformed(f"region {name!r}: the descriptor is no memory of memfd_create; this is the end")
        self._parts.gate.admit(self._peer, INFER, "share", name).close()
        self._door.add_region()
        try:
            self._words.forget()
            self._regions[name] = SealedMemory(
                fds[0], name, self._parts.settings.shared_memory.max_region_bytes
            )
        except GatewayError:
            self._door.drop_regions(1)
            raise

    def _infer(self, number: int, word: Infer, known: Known) -> None:
        if number in self._calls:
            raise Malformed(f"call {number} is under way: take another number")
        if len(self._calls) >= self._door.limits.calls:
            raise Overloaded(f"{len(self._calls)} calls of this client are under way; wait for one of them")
        admission = self._parts.gate.admit(self._peer, INFER, "infer", word.model)
        try:
            settings = self._parts.settings
            level = level_of(0, settings.priority)
            times = Times(time.monotonic(), settings.timeout_s, settings.max_timeout_s, level)
            inputs, places = known.inputs, known.places or Places(word, self._regions)
            known.places = places
            if inputs is None:
                inputs, are_views = inputs_of(word, self._regions)
                known.inputs = inputs if are_views else None
            work = self._answer(number, call_of(word, inputs, admission.caller.name, times), places)
        except BaseException:
            admission.close()
            raise
        task = self._loop.create_task(work, name="memory_door.call")
        self._calls[number] = task
        task.add_done_callback(partial(self._ended, number, admission))

    async def _answer(self, number: int, call: InferCall, places: Places) -> None:
        try:
            reply = await self._parts.models.infer(call)
            packet = inferred(number, reply, places.put(reply))
        except GatewayError as error:
            self._refuse(number, error, "infer")
        except Exception as error:  # noqa: BLE001 - one call's supervisor: whoever asked gets an answer
            log.event("task_failed", task="memory_door.call", error=error)
            self._refuse(number, GatewayBug("the gateway failed on this call"), "infer")
        else:
            self._parts.count.ended("infer", DONE)
            self._send(packet)

    def _ended(self, number: int, admission: Admission, task: asyncio.Task[None]) -> None:
        del self._calls[number]
        admission.close()
        if task.cancelled():
            self._parts.count.ended("infer", CANCELLED)
            self._send(answer(number, cancelled=True))
        if self._ending:
            self._end_if_idle()

    def _done(self, number: int, method: str, **fields: bool | int) -> None:
        self._parts.count.ended(method, DONE)
        self._send(answer(number, **fields))

    def _refuse(self, number: int | None, error: GatewayError, method: str) -> None:
        self._parts.count.ended(method, outcome_of(error))
        self._send(refusal(number, error))

    def _end(self) -> None:
        """Give up every call, and end when the client was told."""
        for task in self._calls.values():
            task.cancel()
        self.retire()

    def _send(self, packet: bytes) -> None:
        if self.is_closed:
            return
        self._outgoing.append(packet)
        if len(self._outgoing) == 1:
            self._writable()

    def _writable(self) -> None:
        try:
            while self._outgoing:
                self._sock.send(self._outgoing[0], SENDING)
                self._outgoing.popleft()
        except BlockingIOError:
            if self._timer is None:
                self._timer = self._loop.call_later(self._door.limits.answer_s, self.close)
                self._loop.remove_reader(self._sock)
                self._loop.add_writer(self._sock, self._writable)
            return
        except OSError:
            self.close()
            return
        if self._timer is None:
            return
        self._disarm()
        self._loop.remove_writer(self._sock)
        if self._ending:
            self._end_if_idle()
        else:
            self._loop.add_reader(self._sock, self._readable)

    def _end_if_idle(self) -> None:
        if not self._calls and not self._outgoing:
            self.close()

    def _drain(self) -> None:
        """Take what nobody will read: a socket closed before that gives its peer an error for an end."""
        try:
            for _ in range(_MOST_DRAINED):
                received = receive(self._sock, self._door.buffer)
                self._door.closer.close(received.fds)
                if received.size == 0:
                    return
        except OSError:
            return

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
