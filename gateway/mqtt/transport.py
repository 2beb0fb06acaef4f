"""One network connection to the broker, driven by the event loop: paho's protocol, the gateway's reading.

The connection (one per broker session, living across reconnects) opens a new
transport for each network connection; nothing here outlives the socket.

1. The socket is read and written only when the selector says so; a readiness
   event reads at most READ_BYTES or READ_PACKETS, then others have their turn.
2. A message that cannot be taken is acknowledged, counted, and nothing else.
3. One timer, never more often than once a second, keeps the connection alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Sequence
from typing import Any, Protocol, cast

from paho.mqtt.client import ConnectFlags, DisconnectFlags
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.errors import Malformed, RequestRefused
from gateway.mqtt.handshake import (
    ACCESS_CODES,
    TAKEN_OVER_CODE,
    VERSION_CODE,
    Accepted,
    Closed,
    Hello,
    RefusalKind,
    Refused,
)
from gateway.mqtt.message import Message
from gateway.mqtt.outgoing import Outgoing
from gateway.mqtt.subscriptions import Wanted
from gateway.mqtt.tap import WOULD_BLOCK, Tap, TappedClient
from gateway.mqtt.version import V5
from gateway.mqtt.wire import (
    PINGRESP,
    PUBACK,
    PUBLISH,
    Packet,
    Splitter,
    mid_of,
    pack_properties,
    pack_publish,
    parse_publish,
    topic_of,
)

READ_BYTES = 262_144
READ_PACKETS = 64
LONGEST_TICK_S = 15.0


class TransportEvents(Protocol):
    """What the transport tells its connection."""

    def received(self, message: Message) -> None:
        """Take a message."""

    def dropped(self, reason: str, topic: str) -> None:
        """Count a message that could not be taken."""

    def confirmed(self, mid: int, code: int) -> None:
        """Note the PUBACK of a message of QoS 1."""

    def settled(self, mid: int, codes: Sequence[int]) -> None:
        """Note the SUBACK or UNSUBACK of a request."""

    def writable(self) -> None:
        """Send what waits: the socket takes bytes again."""


class _Packed:
    """Properties that are bytes already, for paho to put into the packet."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def pack(self) -> bytes:
        return self._raw


class Transport:
    """One MQTT session over one socket.

    Attributes:
        answer: Resolves to the broker's answer to CONNECT.
        closed: Resolves when the socket is closed, for whatever reason.
        bytes_in: Bytes received.
    """

    def __init__(self, sock: socket.socket, hello: Hello, events: TransportEvents) -> None:
        self._loop = asyncio.get_running_loop()
        self._events = events
        self._v5 = hello.version == V5
        self._splitter = Splitter(hello.max_packet_bytes)
        self._fd = sock.fileno()
        self._tap = Tap(sock, self._release)
        self._writer_armed = False
        self._continuing = False
        self._heard_s = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self.answer: asyncio.Future[Accepted | Refused] = self._loop.create_future()
        self.closed: asyncio.Future[Closed] = self._loop.create_future()
        self.bytes_in = 0
        self._client = client = TappedClient(hello, self._tap)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_settled
        client.on_unsubscribe = self._on_settled

    @property
    def bytes_out(self) -> int:
        """Bytes sent."""
        return self._tap.bytes_out

    @property
    def ready(self) -> bool:
        """Whether a packet given now leaves at once: nothing waits for the socket."""
        return self._tap.is_open and not self._client.want_write() and not self._tap.has_rest

    def open(self) -> None:
        """Start reading and send CONNECT; ``answer`` tells the rest."""
        self._loop.add_reader(self._fd, self._on_readable)
        self._client.reconnect()
        self._arm()
        self._tick_later()

    def publish(self, item: Outgoing) -> int | None:
        """Send one message; return its packet identifier (0 for QoS 0), None if the socket is gone.

        Raises:
            TooLarge: Its properties cannot be said in MQTT 5.
        """
        if not item.qos and self.ready:
            return self._publish_beside_paho(item)
        properties = None
        if self._v5 and item.properties is not None:
            properties = cast("Properties", _Packed(pack_properties(item.properties)))
        info = self._client.publish(item.topic, item.payload, item.qos, item.retain, properties)
        self._arm()
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def _publish_beside_paho(self, item: Outgoing) -> int | None:
        """Write a PUBLISH that nobody confirms; paho would only carry it, at several times the cost."""
        packet = pack_publish(
            item.topic, item.payload, item.retain, item.properties if self._v5 else None, v5=self._v5
        )
        try:
            self._tap.send_packet(packet)
        except OSError:
            return None  # the reader finds the same error and closes
        if self._tap.has_rest:
            self._arm()
        return 0

    def subscribe(self, wanted: Sequence[Wanted], *, identified: bool) -> int | None:
        """Ask for filters of one identifier in one packet; return its mid, None if the socket is gone."""
        if self._v5:
            options = [
                (one.filter, SubscribeOptions(one.qos, one.no_local, retainHandling=one.retain_handling))
                for one in wanted
            ]
            properties = None
            if identified:
                properties = Properties(PacketTypes.SUBSCRIBE)  # type: ignore[no-untyped-call]
                properties.SubscriptionIdentifier = wanted[0].identifier
            mid = self._client.subscribe(options, properties=properties)[1]
        else:
            mid = self._client.subscribe([(one.filter, one.qos) for one in wanted])[1]
        self._arm()
        return mid

    def unsubscribe(self, filters: Sequence[str]) -> int | None:
        """Give filters up in one packet; return its identifier."""
        mid = self._client.unsubscribe(list(filters))[1]
        self._arm()
        return mid

    def acknowledge(self, mid: int) -> None:
        """Send the PUBACK of a received message."""
        self._client.ack(mid, 1)
        self._arm()

    def disconnect(self) -> None:
        """Send DISCONNECT, which makes the broker drop the will; ``closed`` follows when it is written."""
        self._client.disconnect()
        self._arm()

    def abort(self, reason: str) -> None:
        """Close the socket without a word: the broker publishes the will."""
        self._note_closed(Closed(reason))
        self._tap.close()

    def _on_readable(self) -> None:
        self._continuing = False
        now_s = time.monotonic()
        left = READ_PACKETS
        budget = READ_BYTES
        try:
            while self._tap.is_open:
                left = self._take(left, now_s)
                if left == 0 or budget <= 0:
                    self._continue(left == 0 or self._tap.has_decrypted())
                    break
                space = self._splitter.space()
                count = self._tap.receive_into(space)
                if count <= 0:
                    if count != WOULD_BLOCK:
                        self._let_paho_read()
                    break
                self._splitter.filled(count)
                self.bytes_in += count
                budget -= count
                self._heard_s = now_s
                if count < len(space) and not self._tap.tls:
                    self._continue(self._take(left, now_s) == 0)
                    break
        except BaseException:
            # A subscriber failed. The loop reports it; the packets behind it are still to be read.
            self._continue(True)
            raise
        self._arm()

    def _continue(self, wanted: bool) -> None:
        """Come back in the loop's next turn: the selector does not know of what is here already."""
        if wanted and not self._continuing and self._tap.is_open:
            self._continuing = True
            self._loop.call_soon(self._on_readable)

    def _take(self, limit: int, now_s: float) -> int:
        """Handle packets that are here as a whole; return what is left of ``limit``."""
        while limit and (packet := self._next_packet()) is not None:
            limit -= 1
            kind = packet.first & 0xF0
            if kind == PUBLISH:
                self._take_publish(packet, now_s)
            else:
                self._tap.feed(packet.first, packet.body)
                self._let_paho_read()
                if kind == PUBACK and len(packet.body) >= 2:
                    code = packet.body[2] if len(packet.body) > 2 else 0
                    self._events.confirmed(packet.body[0] << 8 | packet.body[1], code)
                elif kind == PINGRESP:
                    self._tap.pinged = False
            if not self._tap.is_open:
                return limit
        return limit

    def _next_packet(self) -> Packet | None:
        try:
            return self._splitter.take()
        except Malformed as error:
            self.abort(f"not MQTT: {error.message}")
            return None

    def _take_publish(self, packet: Packet, now_s: float) -> None:
        message = None
        reason = "packet_too_large"
        if not packet.skipped:
            try:
                message = parse_publish(packet.first, packet.body, self._v5, now_s)
            except RequestRefused as error:
                reason = "malformed" if isinstance(error, Malformed) else "properties_too_large"
        if message is not None:
            self._events.received(message)
            return
        # The broker must not send it again, nor count it as being on its way.
        if mid := mid_of(packet.first, packet.body):
            self.acknowledge(mid)
        self._events.dropped(reason, topic_of(packet.body))

    def _let_paho_read(self) -> None:
        while self._tap.has_control:
            self._client.loop_read()

    def _on_writable(self) -> None:
        if self._tap.has_rest:
            with contextlib.suppress(OSError):  # the reader finds the same error and closes
                self._tap.send_rest()
        self._client.loop_write()
        if self._tap.read_wants_write:
            self._tap.read_wants_write = False
            self._on_readable()
        self._arm()
        if self.ready:
            self._events.writable()

    def _arm(self) -> None:
        """Watch for writability exactly while there is something to write."""
        tap = self._tap
        wanted = tap.is_open and (
            tap.read_wants_write or ((tap.has_rest or self._client.want_write()) and not tap.write_wants_read)
        )
        if wanted != self._writer_armed and tap.is_open:
            self._writer_armed = wanted
            if wanted:
                self._loop.add_writer(self._fd, self._on_writable)
            else:
                self._loop.remove_writer(self._fd)

    def _tick_later(self) -> None:
        if self._tap.is_open:
            pause_s = min(max(1.0, self._client.keepalive / 5), LONGEST_TICK_S)
            self._timer = self._loop.call_later(pause_s, self._on_tick)

    def _on_tick(self) -> None:
        # While a large message trickles in, the PINGRESP stands behind it: bytes are an answer too.
        arriving = time.monotonic() - self._heard_s < self._client.keepalive
        if not (self._tap.pinged and arriving):
            self._client.loop_misc()
        self._arm()
        self._tick_later()

    def _release(self) -> None:
        """Let go of the descriptor, on whatever way the socket is closed."""
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        if self._timer is not None:
            self._timer.cancel()
        # paho says why it closes only afterwards.
        self._loop.call_soon(self._note_closed, Closed(self._why()))

    def _why(self) -> str:
        if self._tap.error is not None:
            return self._tap.error.strerror or type(self._tap.error).__name__
        return "closed by the broker" if self._tap.ended else "connection lost"

    def _note_closed(self, closed: Closed) -> None:
        if not self.closed.done():
            self.closed.set_result(closed)
        if not self.answer.done():
            self.answer.set_result(Refused(RefusalKind.VERSION, closed.reason))

    def _on_connect(
        self,
        _client: Any,
        _userdata: Any,
        flags: ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if self.answer.done():
            return
        if code.is_failure:
            kind = RefusalKind.ACCESS if code.value in ACCESS_CODES else RefusalKind.OTHER
            kind = RefusalKind.VERSION if code.value == VERSION_CODE else kind
            said = getattr(properties, "ReasonString", "")
            self.answer.set_result(Refused(kind, f"{code.getName()}{': ' if said else ''}{said}"))
            return
        self.answer.set_result(
            Accepted(
                session_present=flags.session_present,
                receive_maximum=getattr(properties, "ReceiveMaximum", 65_535),
                max_packet_bytes=getattr(properties, "MaximumPacketSize", 268_435_460),
                maximum_qos=getattr(properties, "MaximumQoS", 2),
                retain_available=bool(getattr(properties, "RetainAvailable", 1)),
                identifiers_available=bool(getattr(properties, "SubscriptionIdentifierAvailable", 1)),
                topic_alias_maximum=getattr(properties, "TopicAliasMaximum", 0),
            )
        )

    def _on_disconnect(
        self, _client: Any, _userdata: Any, flags: DisconnectFlags, code: ReasonCode, _properties: Any
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._note_closed(Closed(f"broker: {code.getName()}", code.value == TAKEN_OVER_CODE))
        elif self._tap.error is None and not self._tap.ended and code.is_failure:
            self._note_closed(Closed(code.getName()))

    def _on_settled(
        self, _client: Any, _userdata: Any, mid: int, codes: Sequence[ReasonCode], _properties: Any
    ) -> None:
        self._events.settled(mid, [code.value for code in codes])
