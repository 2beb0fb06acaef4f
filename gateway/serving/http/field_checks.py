"""What the fields Host and Expect may say, in every version of HTTP. Pure."""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import Malformed, NotSupported

# RFC 9112, 3.2: a name, an address, or nothing; a port. Neither a user nor a path.
_HOST: Final = re.compile(rb"(?:\[[A-Za-z0-9:.%_~-]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")


def check_host(value: bytes) -> None:
    """Refuse a host, or the authority of a URL, that is none: two servers could take it for different ones.

    Raises:
        Malformed: It is none.
    """
    if not _HOST.fullmatch(value):
        raise Malformed("the header host is no name or address, with or without a port")


def check_expectation(value: bytes) -> None:
    """Refuse to meet an expectation that nobody here knows.

    Raises:
        NotSupported: It is another one than ``100-continue``; its attribute ``expected`` says which.
    """
    if value.lower() != b"100-continue":
        raise NotSupported("nothing but 100-continue can be expected", expected=value[:80].decode("latin-1"))
