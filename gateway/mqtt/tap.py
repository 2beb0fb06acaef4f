"""What paho is given instead of a socket: it sees control packets alone, while PUBLISH passes beside it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.mqtt.handshake import Hello
from gateway.mqtt.version import V5
from gateway.mqtt.wire import PINGREQ

if TYPE_CHECKING:
    from paho.mqtt.client import SocketLike


WOULD_BLOCK = -1


class Tap:
    """A socket to paho, a source of raw bytes to the transport.

    Args:
        sock: Connected, non-blocking; closed by ``close``.
        on_close: Called once, while the descriptor is still open.
    """

    def __init__(self, sock: socket.socket, on_close: Callable[[], None]) -> None:
        self._sock = sock
        self._on_close = on_close
        self._control = bytearray()
        self._open = True
        self.tls = isinstance(sock, ssl.SSLSocket)
        self.ended = False
        self.error: OSError | None = None
        self._rest = b""
        self.bytes_out = 0
        self.pinged = False
        # TLS may have to write before it can read, and the other way round.
        self.read_wants_write = False
        self.write_wants_read = False

    @property
    def is_open(self) -> bool:
        """Whether ``close`` has not been called yet."""
        return self._open

    @property
    def has_control(self) -> bool:
        """Whether paho has something to read: a packet, the end, or an error."""
        return self._open and bool(self._control or self.ended or self.error)

    def receive_into(self, space: memoryview) -> int:
        """Read raw bytes; return how many, or WOULD_BLOCK. The end and errors are left for paho to find."""
        try:
            count = self._sock.recv_into(space)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError):
            return WOULD_BLOCK
        except ssl.SSLWantWriteError:
            self.read_wants_write = True
            return WOULD_BLOCK
        except OSError as error:
            self.error = error
            return 0
        self.ended = count == 0
        return count

    def has_decrypted(self) -> bool:
        """Tell whether TLS holds bytes that the selector knows nothing of."""
        return isinstance(self._sock, ssl.SSLSocket) and self._open and self._sock.pending() > 0

    def feed(self, first: int, body: memoryview) -> None:
        """Let paho read one control packet."""
        self._control.append(first)
        length = len(body)
        while length > 127:
            self._control.append(length & 127 | 128)
            length >>= 7
        self._control.append(length)
        self._control += body

    @property
    def has_rest(self) -> bool:
        """Whether a packet that was given to ``send_packet`` is not written as a whole."""
        return bool(self._rest)

    def send_packet(self, packet: bytes) -> None:
        """Write a packet beside paho, which must be at the end of its own; what does not fit follows later.

        Raises:
            OSError: The socket is broken; paho will find the same.
        """
        self._rest = packet
        self.send_rest()

    def send_rest(self) -> None:
        """Write what is left of a packet, as much as the socket takes now.

        Raises:
            OSError: The socket is broken; paho will find the same.
        """
        try:
            count = self._sock.send(self._rest)
        except (BlockingIOError, InterruptedError, ssl.SSLWantWriteError):
            return
        except ssl.SSLWantReadError:
            self.write_wants_read = True
            return
        self.write_wants_read = False
        self.bytes_out += count
        self._rest = self._rest[count:]

    # What follows is paho's SocketLike.

    def recv(self, buffer_size: int) -> bytes:
        """Return control bytes; raise as a non-blocking socket does when there are none."""
        if self._control:
            piece = bytes(self._control[:buffer_size])
            del self._control[:buffer_size]
            return piece
        if self.error is not None:
            raise self.error
        if self.ended:
            return b""
        raise BlockingIOError

    def send(self, buffer: bytes | bytearray) -> int:
        """Write as much as the socket takes now, after what ``send_packet`` left over."""
        if self._rest:
            self.send_rest()
            if self._rest:
                raise BlockingIOError
        try:
            count = self._sock.send(buffer)
        except ssl.SSLWantReadError:
            self.write_wants_read = True
            raise BlockingIOError from None
        self.write_wants_read = False
        self.bytes_out += count
        if buffer[0] == PINGREQ and len(buffer) == 2:
            self.pinged = True
        return count

    def close(self) -> None:
        """Close the socket; does nothing the second time."""
        if self._open:
            self._open = False
            self._on_close()
            self._sock.close()

    def fileno(self) -> int:
        """Return the descriptor, -1 when closed."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """Do nothing: the socket stays non-blocking."""


class TappedClient(paho.Client):
    """A paho client for one network connection, whose socket is a Tap that is connected already."""

    def __init__(self, hello: Hello, tap: Tap) -> None:
        v5 = hello.version == V5
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=hello.client_id,
            clean_session=None if v5 else hello.clean,
            protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
            # 3.1.1 refused must not make paho connect by itself with 3.1
            reconnect_on_failure=False,
            # it never sees a PUBLISH; this lets ack() send what the gateway decides
            manual_ack=True,
        )
        self._tap = tap
        self.max_inflight_messages_set(0)  # the window is kept by the connection
        if hello.username:
            self.username_pw_set(hello.username, hello.password or None)
        if hello.will is not None:
            will = hello.will
            self.will_set(will.topic, will.payload, will.qos, will.retain)
        properties = None
        if v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = hello.max_packet_bytes
            properties.ReceiveMaximum = hello.receive_maximum
            if not hello.clean and hello.session_expiry_s:
                properties.SessionExpiryInterval = hello.session_expiry_s
        # The address is not used: the tap is connected.
        self.connect_async("broker", 1883, hello.keepalive_s, clean_start=hello.clean, properties=properties)

    def _create_socket(self) -> SocketLike:
        """Stand in for paho's blocking connect (the one private name of paho that is relied on)."""
        return self._tap
