"""Open the way to the broker: address, name look-up, TCP, TLS; nothing of it blocks the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.config_issue import ConfigIssue
from gateway.configuration.settings import MqttSettings
from gateway.errors import ConfigError, Unavailable
from gateway.mqtt.wait import done_by

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}
URL_RULE = "is not mqtt://HOST[:PORT] or mqtts://HOST[:PORT]"


@dataclass(frozen=True, slots=True)
class Target:
    """Where the broker is and how to speak to it.

    Attributes:
        host: Name or address.
        port: TCP port.
        tls: Context for TLS; None for plain TCP.
        username: User name; empty for none.
        password: Password; empty for none. Never in a log line.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    username: str
    password: str

    def __repr__(self) -> str:
        return f"Target({'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port})"


def read_target(settings: MqttSettings) -> Target:
    """Read the address and load the certificates, so that a wrong file is told before the first connect.

    Raises:
        ConfigError: The URL cannot be used, or a file is missing, unreadable,
            no PEM, or a key does not belong to its certificate.
    """
    wrong = _wrong("mqtt.url", f"{_shown(settings.url)} {URL_RULE}")
    try:
        url = urlsplit(settings.url)
        port = url.port
    except ValueError:
        raise wrong from None
    if (
        url.scheme not in DEFAULT_PORTS
        or not url.hostname
        or url.path.strip("/")
        or url.query
        or url.fragment
    ):
        raise wrong
    if url.scheme == "mqtt":
        _refuse_certificates(settings)
    return Target(
        host=url.hostname,
        port=port or DEFAULT_PORTS[url.scheme],
        tls=_tls_context(settings) if url.scheme == "mqtts" else None,
        username=settings.username or unquote(url.username or ""),
        password=settings.password.value or unquote(url.password or ""),
    )


async def dial(target: Target, limit_s: float) -> socket.socket:
    """Connect, with the TLS handshake done; the socket is non-blocking and the caller's to close.

    Raises:
        Unavailable: The name is unknown, nobody listens, the certificate is not
            trusted, or ``limit_s`` passed.

    Cancel-safe: a connection that is made too late is closed.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[socket.socket] = loop.create_future()

    def settle(sock: socket.socket | None, error: Exception | None) -> None:
        if done.done():
            if sock is not None:
                sock.close()
        elif sock is not None:
            done.set_result(sock)
        else:
            done.set_exception(error or Unavailable("no connection"))

    def work() -> None:
        sock, error = None, None
        try:
            sock = _open(target, limit_s)
        except (OSError, ValueError) as problem:  # ValueError: a name that IDNA cannot say
            error = Unavailable(f"{target.host}:{target.port}: {_reason(problem)}")
        try:
            loop.call_soon_threadsafe(settle, sock, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            if sock is not None:
                sock.close()

    # A thread of its own and not the loop's pool: a name look-up can hang for
    # half a minute, and the end of the program must not wait for it.
    threading.Thread(target=work, name="mqtt.dial", daemon=True).start()
    try:
        if not await done_by(done, time.monotonic() + limit_s):
            raise Unavailable(f"{target.host}:{target.port}: no connection within {limit_s:g} s")
        return done.result()
    except asyncio.CancelledError:
        if done.done() and done.exception() is None:
            done.result().close()
        raise
    finally:
        done.cancel()


def _open(target: Target, limit_s: float) -> socket.socket:
    deadline_s = time.monotonic() + limit_s
    sock = socket.create_connection((target.host, target.port), timeout=limit_s)
    try:
        # Results are small: they must not wait for each other.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target.tls is not None:
            sock.settimeout(max(0.05, deadline_s - time.monotonic()))
            sock = target.tls.wrap_socket(sock, server_hostname=target.host)
        sock.setblocking(False)
    except BaseException:
        with contextlib.suppress(OSError):
            sock.close()
        raise
    return sock


def _tls_context(settings: MqttSettings) -> ssl.SSLContext:
    for key in ("ca_file", "client_certificate_file", "client_key_file"):
        path = getattr(settings, key)
        if path and not Path(path).is_file():
            raise _wrong(f"mqtt.{key}", f"{path} is not a file")
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise _wrong("mqtt.ca_file", f"{settings.ca_file}: {_reason(error)}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.client_certificate_file:
        try:
            # Without the empty password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(
                settings.client_certificate_file, settings.client_key_file or None, password=lambda: ""
            )
        except (OSError, ssl.SSLError, ValueError) as error:
            what = f"{settings.client_certificate_file} with {settings.client_key_file or 'no key'}"
            raise _wrong("mqtt.client_certificate_file", f"{what}: {_reason(error)}") from None
    elif settings.client_key_file:
        raise _wrong("mqtt.client_key_file", "a key without mqtt.client_certificate_file")
    return context


def _refuse_certificates(settings: MqttSettings) -> None:
    for key in ("ca_file", "client_certificate_file", "client_key_file"):
        if getattr(settings, key):
            raise _wrong(f"mqtt.{key}", "has no effect without TLS: use an mqtts:// address in mqtt.url")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "timed out"
    text = getattr(error, "strerror", None) or str(error)
    return text or type(error).__name__


def _shown(url: str) -> str:
    """Return the URL without what might be a password."""
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://***@{tail}" if at else url


def _wrong(path: str, what: str) -> ConfigError:
    return ConfigError((ConfigIssue("", 0, 0, path, what),))
