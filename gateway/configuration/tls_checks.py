"""What the doors' TLS files hold: a certificate, its key, authorities that sign clients' certificates."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from gateway.configuration.checks import Finding
from gateway.configuration.file_checks import check_pem, reason
from gateway.configuration.serving_settings import TlsSettings

_MISMATCH = "KEY_VALUES_MISMATCH"


def check_tls(tls: TlsSettings) -> Iterator[Finding]:
    """Yield every file that is missing, is no PEM, or does not fit its neighbours.

    Args:
        tls: With absolute paths.
    """
    wrong: list[Finding] = []
    for key in ("certificate_file", "key_file", "client_ca_file"):
        path = getattr(tls, key)
        if path:
            wrong += check_pem(f"serving.tls.{key}", Path(path), is_private=key == "key_file")
    yield from wrong
    if any(not finding.is_warning for finding in wrong):
        return
    if tls.certificate_file and tls.key_file:
        yield from _pair(tls)
    if tls.client_ca_file:
        yield from _authorities(tls.client_ca_file)


def _pair(tls: TlsSettings) -> Iterator[Finding]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a password of its own the library would ask the terminal for one.
        context.load_cert_chain(tls.certificate_file, tls.key_file, password=lambda: "")
    except ssl.SSLError as error:
        yield _unfit(tls, error)
    except (OSError, ValueError) as error:
        yield Finding("serving.tls.certificate_file", f"cannot be used: {reason(error)}")


def _unfit(tls: TlsSettings, error: ssl.SSLError) -> Finding:
    if error.reason == _MISMATCH:
        what = f"{tls.key_file} is not the key of the first certificate in {tls.certificate_file}"
        return Finding("serving.tls.key_file", what)
    if "PRIVATE KEY" not in _head(tls.key_file):
        return Finding("serving.tls.key_file", f"{tls.key_file} holds no private key")
    if "ENCRYPTED" in _head(tls.key_file):
        what = f"{tls.key_file} wants a password; write it without: openssl pkey -in {tls.key_file}"
        return Finding("serving.tls.key_file", what)
    what = f"{tls.certificate_file} and {tls.key_file} cannot be used: {error.reason or error}"
    return Finding("serving.tls.certificate_file", what)


def _authorities(path: str) -> Iterator[Finding]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(path)
    except (OSError, ValueError) as error:
        yield Finding("serving.tls.client_ca_file", f"{path} cannot be used: {reason(error)}")
        return
    if not context.cert_store_stats()["x509_ca"]:
        what = f"{path} holds no authority: a certificate that may sign others (CA:TRUE)"
        yield Finding("serving.tls.client_ca_file", what)


def _head(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(65_536).decode("latin-1")
    except OSError:
        return ""
