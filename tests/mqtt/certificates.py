"""A made-up authority with a broker's and a client's certificate, by the openssl command."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

EXTENSIONS = """
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[broker]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1
authorityKeyIdentifier = keyid
[client]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
authorityKeyIdentifier = keyid
[req]
distinguished_name = name
[name]
"""


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files."""

    authority: Path
    broker: Path
    broker_key: Path
    client: Path
    client_key: Path


def make_certificates(folder: Path) -> Certificates:
    """Write an authority and what it signed into ``folder``."""
    (folder / "extensions.cnf").write_text(EXTENSIONS, encoding="utf-8")
    _openssl(
        folder, *_new("authority"), "-x509", "-days", "2", "-extensions", "authority", "-out", "authority.pem"
    )
    for name in ("broker", "client"):
        _openssl(folder, *_new(name), "-out", f"{name}.csr")
        _openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", "-days", "2", "-out", f"{name}.pem",
            "-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial",
            "-extfile", "extensions.cnf", "-extensions", name,
        )  # fmt: skip
    return Certificates(
        folder / "authority.pem",
        folder / "broker.pem",
        folder / "broker.key",
        folder / "client.pem",
        folder / "client.key",
    )


def _new(name: str) -> tuple[str, ...]:
    return (
        "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-config", "extensions.cnf", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
    )  # fmt: skip


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
