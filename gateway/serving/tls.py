"""Makes the TLS context of the doors out of their settings; called again, it reads renewed files."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from gateway.configuration.serving_settings import TlsSettings

HTTP_PROTOCOLS: Final = ("h2", "http/1.1")
# For TLS 1.2; forward secret and authenticated, as HTTP/2 demands. TLS 1.3 has no others.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


def build_tls(settings: TlsSettings) -> ssl.SSLContext | None:
    """Return how connections are encrypted; None without a certificate.

    Every call reads the files: what was renewed on disk is in what it returns, and what cannot be
    used is said before anything in force is touched.

    Raises:
        ValueError: A file is missing or cannot be used; the message names it and says what to do.
    """
    if not settings.certificate_file:
        _no_leftovers(settings)
        return None
    if not settings.key_file:
        raise ValueError("serving.tls.certificate_file is set without key_file: name its private key too")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(list(HTTP_PROTOCOLS))
    # No renegotiation, which a client could ask for without end, and no compression, which tells secrets.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    _load_chain(context, settings.certificate_file, settings.key_file)
    if settings.client_ca_file:
        _load_clients(context, settings.client_ca_file)
    return context


def _no_leftovers(settings: TlsSettings) -> None:
    for name in ("key_file", "client_ca_file"):
        if getattr(settings, name):
            raise ValueError(
                f"serving.tls.{name} is set without certificate_file: set it, or remove this one"
            )


def _load_chain(context: ssl.SSLContext, certificate_file: str, key_file: str) -> None:
    _check_readable("certificate_file", certificate_file)
    _check_readable("key_file", key_file)
    try:
        # A key under a passphrase would make OpenSSL ask at the terminal.
        context.load_cert_chain(certificate_file, key_file, password=lambda: _no_passphrase(key_file))
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(
                f"serving.tls: the key in {key_file} is not that of the certificate in {certificate_file}"
            ) from None
        raise ValueError(
            f"serving.tls: {certificate_file} and {key_file} must hold a certificate chain and its key "
            f"without a passphrase, both as PEM ({_reason(error)})"
        ) from None
    except OSError as error:
        raise ValueError(f"serving.tls: cannot read {certificate_file} or {key_file}: {error}") from None


def _load_clients(context: ssl.SSLContext, client_ca_file: str) -> None:
    _check_readable("client_ca_file", client_ca_file)
    try:
        context.load_verify_locations(cafile=client_ca_file)
    except (ssl.SSLError, OSError) as error:
        raise ValueError(
            f"serving.tls.client_ca_file: {client_ca_file} must hold CA certificates as PEM "
            f"({_reason(error)})"
        ) from None
    context.verify_mode = ssl.CERT_REQUIRED


def _check_readable(key: str, name: str) -> None:
    try:
        with Path(name).open("rb") as file:
            file.read(1)
    except OSError as error:
        raise ValueError(f"serving.tls.{key}: cannot read {name}: {error.strerror}") from None


def _reason(error: OSError) -> str:
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    return str(reason).replace("_", " ").lower()


def _no_passphrase(key_file: str) -> str:
    raise ValueError(f"serving.tls.key_file: {key_file} is under a passphrase: give a key without one")
