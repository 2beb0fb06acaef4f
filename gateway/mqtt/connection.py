"""A connection to the broker that lives across restarts, cut wires and refusals.

Who uses it: the link, which holds one for data and one for control. It tries
again for ever with growing pauses, subscribes anew, and keeps what is to be
sent meanwhile; its rules are those of the pure parts beside it (back-off,
version, subscriptions, outgoing).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from gateway.configuration.settings import MqttSettings
from gateway.errors import DeadlineExceeded, ForbiddenTopic, Unavailable
from gateway.mqtt.backoff import Backoff
from gateway.mqtt.dial import dial, read_target
from gateway.mqtt.handshake import Accepted, Closed, Hello, RefusalKind, Refused
from gateway.mqtt.message import Message, PublishProperties
from gateway.mqtt.outgoing import Outbox, Outgoing, OutgoingQueue
from gateway.mqtt.sender import Sender
from gateway.mqtt.state import ConnectionEvents, ConnectionOptions, ConnectionState, ConnectionStats
from gateway.mqtt.subscriptions import RETAINED_ALWAYS, RETAINED_NEVER, Subscription, Subscriptions
from gateway.mqtt.topic import is_valid_topic
from gateway.mqtt.transport import Transport
from gateway.mqtt.version import V5, VersionChoice
from gateway.mqtt.wait import Bell, done_by

GOODBYE_LIMIT_S = 1.0


class Connection:
    """One broker session as an asynchronous resource; enter it on the loop that is to drive it.

    Args:
        settings: Broker, credentials, limits.
        options: Client id, kind of session, will.
        events: Callbacks.
        outbox: Where messages wait for the broker; a bounded queue in memory by default.

    Raises:
        ConfigError: The broker's URL or a certificate file cannot be used.
    """

    def __init__(
        self,
        settings: MqttSettings,
        options: ConnectionOptions,
        events: ConnectionEvents | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        self._settings = settings
        self._options = options
        self._events = events or ConnectionEvents()
        self._target = read_target(settings)
        self._versions = VersionChoice(settings.version)
        self._backoff = Backoff(settings.reconnect_min_s, settings.reconnect_max_s)
        self._subscriptions = Subscriptions()
        if outbox is None:
            outbox = OutgoingQueue(settings.outgoing_messages, settings.outgoing_bytes)
        self._sender = Sender(outbox, self._events.on_drop)
        self._transport: Transport | None = None
        self._unacknowledged: dict[int, Message] = {}
        self._planning = False
        self._identified = False
        self._changed = Bell()
        self._task: asyncio.Task[None] | None = None
        self._connects = 0
        self._messages_in = 0
        self._old_bytes_in = 0
        self._old_bytes_out = 0
        self.state = ConnectionState.CLOSED
        self.version = 0

    async def __aenter__(self) -> Connection:
        """Begin to connect; return at once."""
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name=f"mqtt[{self._options.client_id}]"
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task that keeps connecting; it ends only by ``close``, or by a bug that its owner must see."""
        return self._task

    @property
    def connected(self) -> bool:
        """Whether the broker is there now."""
        return self.state is ConnectionState.ONLINE

    @property
    def stats(self) -> ConnectionStats:
        """Counts since the start."""
        transport = self._transport
        return ConnectionStats(
            connects=self._connects,
            messages_in=self._messages_in,
            messages_out=self._sender.messages_out,
            bytes_in=self._old_bytes_in + (transport.bytes_in if transport else 0),
            bytes_out=self._old_bytes_out + (transport.bytes_out if transport else 0),
            waiting=self._sender.waiting,
        )

    def subscribe(
        self,
        filter: str,
        qos: int,
        handler: Callable[[Message], None],
        *,
        retain_handling: int = RETAINED_ALWAYS,
        no_local: bool = False,
        manual: bool = False,
    ) -> None:
        """Let ``handler`` take the messages of a filter, now and after every reconnect.

        Calls of one turn of the event loop leave together, in few packets. See
        ``Subscription`` for the arguments.

        Raises:
            ForbiddenTopic: The filter is not valid.
        """
        self._subscriptions.add(Subscription(filter, qos, handler, retain_handling, no_local, manual))
        self._plan_soon()

    def unsubscribe(self, filter: str, handler: Callable[[Message], None] | None = None) -> None:
        """Give a filter up, for one handler or for all of them."""
        self._subscriptions.remove(filter, handler)
        self._plan_soon()

    def listens(self, topic: str) -> bool:
        """Return whether somebody here subscribed to this very topic; wildcards do not count."""
        return topic in self._subscriptions

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,
        properties: PublishProperties | None = None,
    ) -> bool:
        """Send a message, or keep it until the broker is there; never waits.

        Returns:
            False if it was refused; then, and whenever an older message has to
            go for it, ``on_drop`` is told.

        Raises:
            ForbiddenTopic: The topic is not valid.
        """
        return self._sender.submit(_outgoing(topic, payload, qos, retain, properties))

    async def publish_confirmed(
        self,
        topic: str,
        payload: bytes,
        deadline_s: float,
        *,
        retain: bool = False,
        properties: PublishProperties | None = None,
    ) -> None:
        """Send with QoS 1 and wait until the broker has it.

        Args:
            topic: Where to.
            payload: Its bytes.
            deadline_s: Monotonic time until which it is worth waiting.
            retain: Whether the broker shall keep it.
            properties: What MQTT 5 says beside the payload.

        Raises:
            ForbiddenTopic: The topic is not valid.
            Overloaded: It had to go from the queue.
            Unavailable: The broker refused it.
            DeadlineExceeded: No answer in time; the message may still arrive.

        Cancel-safe: the message stays on its way.
        """
        await self._sender.submit_confirmed(_outgoing(topic, payload, 1, retain, properties), deadline_s)

    def acknowledge(self, message: Message) -> bool:
        """Tell the broker that a message of a ``manual`` subscription is done with.

        Returns:
            False if there is nothing to acknowledge: QoS 0, done before, or
            received before a reconnect: a persistent session then gets it again.
        """
        if self._unacknowledged.get(message.mid) is not message or self._transport is None:
            return False
        del self._unacknowledged[message.mid]
        self._transport.acknowledge(message.mid)
        return True

    async def wait_connected(self, deadline_s: float) -> None:
        """Wait until the broker is there.

        Raises:
            DeadlineExceeded: It was not by ``deadline_s`` (monotonic).
        """
        await self._until(lambda: self.connected, deadline_s, "not connected in time")

    async def wait_settled(self, deadline_s: float) -> None:
        """Wait until the broker has answered every subscribe and unsubscribe.

        Raises:
            DeadlineExceeded: It had not by ``deadline_s`` (monotonic).
        """
        await self._until(
            lambda: self.connected and self._subscriptions.settled, deadline_s, "not subscribed in time"
        )

    async def close(self, drain_s: float = GOODBYE_LIMIT_S) -> None:
        """Send what waits, for at most ``drain_s``, then DISCONNECT; idempotent."""
        task, self._task = self._task, None
        if task is None:
            return
        transport = self._transport
        if self.connected and transport is not None and not task.done():
            await self._sender.emptied(drain_s)
            transport.disconnect()
            await done_by(transport.closed, time.monotonic() + GOODBYE_LIMIT_S)
        task.cancel()
        await asyncio.wait({task})
        self._set_state(ConnectionState.CLOSED, "")
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    def received(self, message: Message) -> None:
        """Hand a message to its subscribers."""
        self._messages_in += 1
        takers = self._subscriptions.match(message.topic, message.identifiers)
        if message.retain:
            # Brokers of MQTT 3.1.1, and some of 5, replay although they were told not to.
            takers = tuple(one for one in takers if one.retain_handling != RETAINED_NEVER)
        if not takers:
            self._events.on_drop("retained" if message.retain else "not_subscribed", message.topic)
        if message.qos:
            self._unacknowledged[message.mid] = message
        try:
            for one in takers:
                one.handler(message)
        finally:
            if message.qos and not any(one.manual for one in takers):
                self.acknowledge(message)

    def dropped(self, reason: str, topic: str) -> None:
        """Tell of a message that could not be taken."""
        self._events.on_drop(reason, topic)

    def confirmed(self, mid: int, code: int) -> None:
        """Note a PUBACK."""
        self._sender.confirmed(mid, code)

    def settled(self, mid: int, codes: Sequence[int]) -> None:
        """Note a SUBACK or UNSUBACK."""
        for refused, code in self._subscriptions.answered(mid, codes):
            self._events.on_refused(refused, code)
        self._changed.ring()

    def writable(self) -> None:
        """Send what waits."""
        self._sender.flush()

    async def _run(self) -> None:
        while True:
            pause_s = await self._attempt()
            await asyncio.sleep(pause_s)

    async def _attempt(self) -> float:
        """Connect once and stay while it lasts; return the pause before the next attempt, in seconds."""
        version = self._versions.next()
        limit_s = self._settings.connect_timeout_s
        deadline_s = time.monotonic() + limit_s
        self._set_state(ConnectionState.CONNECTING, f"MQTT {'5' if version == V5 else '3.1.1'}")
        try:
            sock = await dial(self._target, limit_s)
        except Unavailable as error:
            return self._pause(error.message)
        transport = Transport(sock, self._hello(version), self)
        self._transport = transport
        try:
            transport.open()
            if not await done_by(transport.answer, deadline_s):
                transport.abort(f"no answer to CONNECT within {limit_s:g} s")
            answer = await transport.answer
            if isinstance(answer, Refused):
                return self._refused(version, answer)
            self._online(transport, version, answer)
            return self._ended(await transport.closed)
        finally:
            transport.abort("stopped")
            self._transport = None
            self._old_bytes_in += transport.bytes_in
            self._old_bytes_out += transport.bytes_out
            self._unacknowledged.clear()
            self._subscriptions.lost()
            self._sender.detach()

    def _hello(self, version: int) -> Hello:
        settings = self._settings
        return Hello(
            client_id=self._options.client_id,
            version=version,
            clean=self._options.clean,
            keepalive_s=settings.keepalive_s,
            session_expiry_s=settings.session_expiry_s,
            max_packet_bytes=settings.max_packet_bytes,
            receive_maximum=settings.receive_maximum,
            username=self._target.username,
            password=self._target.password,
            will=self._options.will,
        )

    def _online(self, transport: Transport, version: int, accepted: Accepted) -> None:
        self.version = version
        self._connects += 1
        self._versions.accepted(version)
        self._backoff.connected(time.monotonic())
        self._identified = accepted.identifiers_available
        self._subscriptions.connected(accepted.session_present)
        self._plan()
        self._sender.attach(transport, accepted, version)
        self._set_state(ConnectionState.ONLINE, f"MQTT {'5' if version == V5 else '3.1.1'}")

    def _refused(self, version: int, refused: Refused) -> float:
        if refused.kind is RefusalKind.ACCESS:
            self._set_state(ConnectionState.REFUSED, refused.reason)
            return self._backoff.refused(random.random())
        if refused.kind is RefusalKind.VERSION:
            self._versions.unanswered(version)
            if self._versions.at_once:
                self._set_state(ConnectionState.OFFLINE, f"{refused.reason}; next with MQTT 3.1.1")
                return 0.0
        return self._pause(refused.reason)

    def _ended(self, closed: Closed) -> float:
        if closed.taken_over:
            words = f"{closed.reason}: another client uses the id {self._options.client_id}"
            self._set_state(ConnectionState.REFUSED, words)
            return self._backoff.refused(random.random())
        return self._pause(closed.reason)

    def _pause(self, reason: str) -> float:
        self._set_state(ConnectionState.OFFLINE, reason)
        return self._backoff.failed(time.monotonic(), random.random())

    def _plan_soon(self) -> None:
        if not self._planning and self.connected:
            self._planning = True
            asyncio.get_running_loop().call_soon(self._plan)

    def _plan(self) -> None:
        """Tell the broker what changed about the subscriptions."""
        self._planning = False
        transport = self._transport
        if transport is None:
            return
        plan = self._subscriptions.plan()
        for filters in plan.unsubscribe:
            mid = transport.unsubscribe(filters)
            if mid is not None:
                self._subscriptions.asked(mid, filters)
        for chunk in plan.subscribe:
            mid = transport.subscribe(chunk, identified=self._identified)
            if mid is not None:
                self._subscriptions.asked(mid, (one.filter for one in chunk))
        self._changed.ring()

    def _set_state(self, state: ConnectionState, reason: str) -> None:
        if self._task is None and state is not ConnectionState.CLOSED:
            return  # on the way out: what happens now was wanted
        self.state = state
        self._events.on_state(state, reason)
        self._changed.ring()

    async def _until(self, holds: Callable[[], bool], deadline_s: float, complaint: str) -> None:
        while not holds():
            if not await self._changed.heard_by(deadline_s):
                raise DeadlineExceeded(complaint)


def _outgoing(
    topic: str, payload: bytes, qos: int, retain: bool, properties: PublishProperties | None
) -> Outgoing:
    if not is_valid_topic(topic):
        raise ForbiddenTopic(f"{topic[:256]!r} is not a topic to publish on")
    expires_s = None
    if properties is not None and properties.expiry_s is not None:
        expires_s = time.monotonic() + properties.expiry_s
    return Outgoing(topic, payload, qos, retain, properties, expires_s)
