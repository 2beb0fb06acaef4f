"""Looks at the certificates of both sides: the gateway's in its file, the broker's by a handshake."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway.configuration.settings import MqttSettings
from gateway.doctor.certificate import validity
from gateway.doctor.rules.tls import Certificate, TlsFacts
from gateway.errors import ConfigError, Malformed
from gateway.mqtt.dial import Target, read_target

LIMIT_S: Final = 5.0
_MOST_FILE_BYTES: Final = 1 << 16
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def read_tls(mqtt: MqttSettings, *, offline: bool) -> TlsFacts:
    """Read the certificates' dates; the broker is only asked for its own, and gets no credentials.

    Args:
        mqtt: Where the broker is, and which files are used with it.
        offline: Whether to leave the broker alone.
    """
    try:
        target = read_target(mqtt)
    except ConfigError as error:
        trouble = "; ".join(f"{issue.path}: {issue.what}" for issue in error.issues)
        # An address that cannot be read is the broker's matter, and said there.
        trouble = "" if trouble.startswith("mqtt.url") else trouble
        encrypted = mqtt.url.startswith("mqtts:")
        return TlsFacts(encrypted, is_local(mqtt.url), time.time(), trouble=trouble, client=_client(mqtt))
    facts = TlsFacts(target.tls is not None, is_local(mqtt.url), time.time(), client=_client(mqtt))
    if target.tls is None:
        return facts
    if offline:
        return TlsFacts(
            True, facts.local, facts.now_s, client=facts.client, unseen="it was not asked (--offline)"
        )
    refusal = ""
    try:
        der = _certificate(target, target.tls)
    except (OSError, ValueError) as error:
        refusal = _words(error) if isinstance(error, ssl.SSLError) else ""
        der, unseen = _unverified(target, mqtt), _words(error)
    else:
        unseen = ""
    broker = None
    if der:
        try:
            broker = Certificate(f"{target.host}:{target.port}", *validity(der))
        except Malformed as error:
            unseen = error.message
    return TlsFacts(True, facts.local, facts.now_s, broker, refusal, unseen, facts.client)


def is_local(url: str) -> bool:
    """Say whether a broker's address is on this machine."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host in _LOCAL or host.startswith("127.")


def _client(mqtt: MqttSettings) -> Certificate | None:
    if not mqtt.client_certificate_file:
        return None
    try:
        with Path(mqtt.client_certificate_file).open("rb") as file:
            return Certificate(mqtt.client_certificate_file, *validity(file.read(_MOST_FILE_BYTES)))
    except (OSError, Malformed):
        return None  # what is wrong with the file was found when it was loaded


def _certificate(target: Target, context: ssl.SSLContext) -> bytes | None:
    """Return the broker's certificate (DER) after one handshake.

    Raises:
        OSError: Nobody listens, or the handshake failed (ssl.SSLError).
        ValueError: The host is no name.
    """
    with socket.create_connection((target.host, target.port), timeout=LIMIT_S) as plain:
        plain.settimeout(LIMIT_S)
        with context.wrap_socket(plain, server_hostname=target.host) as secure:
            return secure.getpeercert(binary_form=True)


def _unverified(target: Target, mqtt: MqttSettings) -> bytes | None:
    """Return the certificate although it is not trusted: only to read its dates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(OSError, ValueError):
        if mqtt.client_certificate_file:
            context.load_cert_chain(
                mqtt.client_certificate_file, mqtt.client_key_file or None, password=lambda: ""
            )
        return _certificate(target, context)
    return None


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return f"no answer within {LIMIT_S:g} s"
    return getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
