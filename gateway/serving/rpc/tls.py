"""Credentials of the gRPC door: certificates from files, read anew when these change."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from gateway.configuration.serving_settings import TlsSettings
from gateway.operations.log import log
from gateway.serving.tls import build_tls

_Stamp = tuple[tuple[int, int, int], ...]


def credentials_of(settings: TlsSettings) -> Any:
    """Return the server's credentials; a certificate that is renewed serves from the next handshake on.

    Raises:
        ValueError: A file is missing or cannot be used; the message names it.
    """
    import grpc

    build_tls(settings)  # says what is wrong, which gRPC does not
    return grpc.dynamic_ssl_server_credentials(
        _configuration(settings),
        _Renewal(settings),
        require_client_authentication=bool(settings.client_ca_file),
    )


class _Renewal:
    """Called by gRPC's threads before each handshake."""

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._stamp = _stamp(settings)

    def __call__(self) -> Any:
        """Return new certificates; None while the files are as they were, or cannot be read."""
        with self._lock:
            try:
                stamp = _stamp(self._settings)
                if stamp == self._stamp:
                    return None
                build_tls(self._settings)
                renewed = _configuration(self._settings)
            except (OSError, ValueError) as error:
                log.event("rpc_certificate_unread", error=error)
                return None
            self._stamp = stamp
            return renewed


def _configuration(settings: TlsSettings) -> Any:
    import grpc

    roots = _bytes(settings.client_ca_file) if settings.client_ca_file else None
    return grpc.ssl_server_certificate_configuration(
        [(_bytes(settings.key_file), _bytes(settings.certificate_file))], root_certificates=roots
    )


def _bytes(name: str) -> bytes:
    return Path(name).read_bytes()


def _stamp(settings: TlsSettings) -> _Stamp:
    names = (settings.certificate_file, settings.key_file, settings.client_ca_file)
    found = [Path(name).stat() for name in names if name]
    return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)
