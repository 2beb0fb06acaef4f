"""Dates out of certificates: real ones in both encodings, and whatever else."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.doctor.certificate import MOST_BYTES, validity
from gateway.errors import Malformed


def certificate(folder: Path, *dates: str) -> bytes:
    """Return a self-signed certificate (PEM) that openssl made."""
    command = [
        "openssl", "req", "-x509", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-subj", "/CN=broker", "-keyout", "key.pem", "-out", "cert.pem", *dates,
    ]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return (folder / "cert.pem").read_bytes()


def openssl_dates(folder: Path) -> tuple[float, float]:
    shown = subprocess.run(
        ["openssl", "x509", "-in", "cert.pem", "-noout", "-dates"],
        cwd=folder,
        check=True,
        capture_output=True,
    ).stdout.decode()
    begins, ends = (line.partition("=")[2] for line in shown.splitlines())
    return ssl.cert_time_to_seconds(begins), ssl.cert_time_to_seconds(ends)


@pytest.mark.parametrize("days", ["1", "400", "20000"])  # the last ends after 2050: another encoding of time
def test_dates_are_those_that_openssl_tells_in_pem_and_der(days: str, tmp_path: Path) -> None:
    pem = certificate(tmp_path, "-days", days)
    expected = openssl_dates(tmp_path)
    assert validity(pem) == expected
    assert validity(ssl.PEM_cert_to_DER_cert(pem.decode())) == expected
    assert validity(b"Bag attributes\n" + pem + pem) == expected


@given(st.binary(max_size=200))
def test_any_bytes_give_dates_or_one_error(data: bytes) -> None:
    with pytest.raises(Malformed):
        validity(data)


@given(data=st.data())
def test_a_damaged_certificate_gives_dates_or_one_error(data: st.DataObject, whole: bytes) -> None:
    at = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.integers(0, len(whole)))
    changed = bytearray(whole)
    changed[at] = data.draw(st.integers(0, 255))
    for damaged in (bytes(changed), whole[:cut]):
        try:
            begins, ends = validity(damaged)
        except Malformed:
            continue
        assert isinstance(begins, float)
        assert isinstance(ends, float)


@pytest.fixture(name="whole", scope="module")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate(tmp_path_factory.mktemp("whole"), "-days", "2").decode())


def test_a_file_that_is_too_large_is_not_searched() -> None:
    with pytest.raises(Malformed, match="bytes"):
        validity(b"-" * (MOST_BYTES + 1))
