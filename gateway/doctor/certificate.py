"""Reads from when until when a certificate is valid, out of its DER or PEM bytes. Pure."""

from __future__ import annotations

import binascii
import re
from datetime import datetime, timezone
from typing import Final

from gateway.errors import Malformed

MOST_BYTES: Final = 1 << 16
_SEQUENCE, _UTC_TIME, _LONG_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0
_PEM: Final = re.compile(
    rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----"
    rb"([A-Za-z0-9+/=\s]+)"
    rb"-----END (?:TRUSTED |X509 )?CERTIFICATE-----"
)
_UTC_PIVOT: Final = 50  # years below belong to this century (RFC 5280)


def validity(data: bytes) -> tuple[float, float]:
    """Return from when until when the first certificate is valid, in seconds since 1970.

    Args:
        data: DER, or PEM with whatever else around it.

    Raises:
        Malformed: There is no certificate in it, or none that can be read.
    """
    if len(data) > MOST_BYTES:
        raise Malformed(f"a certificate of {len(data)} bytes")
    found = _PEM.search(data)
    try:
        return _validity(binascii.a2b_base64(found[1]) if found else data)
    except (IndexError, ValueError, OverflowError) as error:
        raise Malformed(f"not a certificate: {error}") from None


def _validity(der: bytes) -> tuple[float, float]:
    body, _ = _enter(der, 0, _SEQUENCE)
    fields, end = _enter(der, body, _SEQUENCE)
    at = fields
    if der[at] == _VERSION:
        at = _after(der, at)
    for _ in ("serial number", "signature", "issuer"):
        at = _after(der, at)
    if at >= end:
        raise ValueError("no validity in it")
    at, _ = _enter(der, at, _SEQUENCE)
    begins = _time(der, at)
    return begins, _time(der, _after(der, at))


def _enter(der: bytes, at: int, tag: int) -> tuple[int, int]:
    """Return where the content of an element begins and ends; it must have ``tag``."""
    if der[at] != tag:
        raise ValueError(f"tag 0x{der[at]:02x} where 0x{tag:02x} belongs")
    return _content(der, at)


def _after(der: bytes, at: int) -> int:
    return _content(der, at)[1]


def _content(der: bytes, at: int) -> tuple[int, int]:
    length, begin = der[at + 1], at + 2
    if length > 0x7F:
        count = length & 0x7F
        if not 1 <= count <= 4:
            raise ValueError("a length that cannot be")
        length = int.from_bytes(der[begin : begin + count], "big")
        begin += count
    if begin + length > len(der):
        raise ValueError("it ends too early")
    return begin, begin + length


def _time(der: bytes, at: int) -> float:
    begin, end = _content(der, at)
    text = der[begin:end].decode("ascii")
    if der[at] == _UTC_TIME and re.fullmatch(r"\d{12}Z", text):
        text = f"{'20' if int(text[:2]) < _UTC_PIVOT else '19'}{text}"
    elif der[at] != _LONG_TIME or not re.fullmatch(r"\d{14}Z", text):
        raise ValueError("a time that cannot be read")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
