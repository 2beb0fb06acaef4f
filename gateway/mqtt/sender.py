"""Decides when each message leaves: at once if the broker is there, else from the outbox, in order.

1. While online and nothing waits, a message goes straight to the socket.
2. Otherwise it waits in the outbox, which is bounded; so is what is on its way:
   one packet in the socket's queue, and as many unconfirmed of QoS 1 as the
   broker allows.
3. A message of QoS 1 that was not confirmed when the connection broke goes
   back to the front of the outbox: at least once, never silently lost.
4. Every message that is given up is told to ``on_drop`` with its reason.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from gateway.errors import DeadlineExceeded, Overloaded, TooLarge, Unavailable
from gateway.mqtt.handshake import Accepted
from gateway.mqtt.outgoing import Discarded, Outbox, Outgoing
from gateway.mqtt.transport import Transport
from gateway.mqtt.version import V5
from gateway.mqtt.wait import Bell, done_by

# Brokers allow 20 unless MQTT 5 says otherwise (mosquitto's and others' default).
WINDOW_V311 = 20
WINDOW_MAX = 100
FLUSH_MESSAGES = 64
# Fixed header, topic length, packet identifier and property length of a PUBLISH at most.
PUBLISH_HEAD_BYTES = 13
FAILURE_CODE = 0x80


class Sender:
    """Takes messages at any time and brings them to the transport that is there.

    Args:
        outbox: Where messages wait.
        on_drop: Called with the reason and the topic of each message given up.
    """

    def __init__(self, outbox: Outbox, on_drop: Callable[[str, str], None]) -> None:
        self._outbox = outbox
        self._on_drop = on_drop
        self._transport: Transport | None = None
        self._limits: Accepted | None = None
        self._window = WINDOW_V311
        self._unconfirmed: dict[int, Outgoing] = {}
        self._tickets: dict[int, asyncio.Future[None]] = {}
        self._last_ticket = 0
        self._flushing = False
        self._emptied = Bell()
        self.messages_out = 0

    @property
    def waiting(self) -> int:
        """Messages in the outbox."""
        return len(self._outbox)

    @property
    def idle(self) -> bool:
        """Whether everything was sent and confirmed."""
        ready = self._transport is None or self._transport.ready
        return ready and not self._unconfirmed and not len(self._outbox)

    def attach(self, transport: Transport, limits: Accepted, version: int) -> None:
        """Use a transport whose CONNECT was accepted, and send what waited."""
        self._transport = transport
        self._limits = limits
        self._window = min(WINDOW_MAX, limits.receive_maximum) if version == V5 else WINDOW_V311
        self.flush()

    def detach(self) -> None:
        """Forget the transport; what it had not confirmed waits again."""
        self._transport = None
        unconfirmed = tuple(self._unconfirmed.values())
        self._unconfirmed.clear()
        self._give_up(self._outbox.restore(unconfirmed))

    def submit(self, item: Outgoing) -> bool:
        """Send a message or let it wait; tell whether it was taken."""
        if not len(self._outbox) and self._may_send(item) and self._send(item):
            return True
        discarded = self._outbox.push(item)
        self._give_up(discarded)
        return all(one.item is not item for one in discarded)

    async def submit_confirmed(self, item: Outgoing, deadline_s: float) -> None:
        """Send a message of QoS 1 and wait for the broker's PUBACK.

        Raises:
            Overloaded: The outbox gave the message up, or never took it.
            Unavailable: The broker refused it.
            DeadlineExceeded: ``deadline_s`` (monotonic) passed; the message may still arrive.

        Cancel-safe: the message stays on its way.
        """
        self._last_ticket += 1
        ticket = self._last_ticket
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tickets[ticket] = done
        try:
            self.submit(replace(item, ticket=ticket))
            if not await done_by(done, deadline_s):
                raise DeadlineExceeded(f"no confirmation for {item.topic} in time", topic=item.topic)
            done.result()
        finally:
            del self._tickets[ticket]
            if not done.cancel() and not done.cancelled():
                done.exception()  # seen, or not wanted any more: asyncio need not complain

    async def emptied(self, limit_s: float) -> bool:
        """Wait until everything was sent and confirmed; tell whether it was."""
        deadline_s = time.monotonic() + limit_s
        while not self.idle:
            if not await self._emptied.heard_by(deadline_s):
                return self.idle
        return True

    def confirmed(self, mid: int, code: int) -> None:
        """Note a PUBACK."""
        item = self._unconfirmed.pop(mid, None)
        if item is None:
            return
        if code >= FAILURE_CODE:
            self._on_drop("refused_by_broker", item.topic)
            self._resolve(item, Unavailable(f"the broker refused the message (reason code {code})"))
        else:
            self._resolve(item, None)
        self.flush()

    def flush(self) -> None:
        """Send what waits as far as the transport takes it; the rest follows in later turns of the loop."""
        now_s = time.monotonic()
        left = FLUSH_MESSAGES
        while left and len(self._outbox) and self._has_room():
            left -= 1
            item, expired = self._outbox.take(now_s)
            self._give_up(expired)
            if item is not None and not self._send(_aged(item, now_s)):
                self._give_up(self._outbox.restore((item,)))
                return
        if not left and self._has_room() and not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush_on)
        if self.idle:
            self._emptied.ring()

    def _flush_on(self) -> None:
        self._flushing = False
        self.flush()

    def _has_room(self) -> bool:
        transport = self._transport
        return transport is not None and transport.ready and len(self._unconfirmed) < self._window

    def _may_send(self, item: Outgoing) -> bool:
        transport = self._transport
        return (
            transport is not None
            and transport.ready
            and (item.qos == 0 or len(self._unconfirmed) < self._window)
        )

    def _send(self, item: Outgoing) -> bool:
        """Give a message to the transport; False if that is gone and the message must wait."""
        transport, limits = self._transport, self._limits
        if transport is None or limits is None:
            return False
        if PUBLISH_HEAD_BYTES + len(item.topic) + len(item.payload) > limits.max_packet_bytes:
            self._give_up((Discarded(item, "too_large_for_broker"),))
            return True
        sent = item
        if item.qos > limits.maximum_qos or (item.retain and not limits.retain_available):
            retain = item.retain and limits.retain_available
            sent = replace(item, qos=min(item.qos, limits.maximum_qos), retain=retain)
        try:
            mid = transport.publish(sent)
        except TooLarge:
            self._give_up((Discarded(item, "properties_too_large"),))
            return True
        if mid is None:
            return False
        self.messages_out += 1
        if sent.qos:
            self._unconfirmed[mid] = item
        elif item.ticket:
            self._resolve(item, None)
        return True

    def _give_up(self, discarded: Iterable[Discarded]) -> None:
        for one in discarded:
            self._on_drop(one.reason, one.item.topic)
            self._resolve(one.item, Overloaded(f"message given up: {one.reason}", topic=one.item.topic))

    def _resolve(self, item: Outgoing, error: Exception | None) -> None:
        done = self._tickets.get(item.ticket) if item.ticket else None
        if done is None or done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def _aged(item: Outgoing, now_s: float) -> Outgoing:
    """Return the message with what is left of its life, as MQTT 5 asks of whoever kept it."""
    if item.expires_s is None or item.properties is None:
        return item
    left_s = max(1, math.ceil(item.expires_s - now_s))
    return replace(item, properties=replace(item.properties, expiry_s=left_s))
