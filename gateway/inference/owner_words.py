"""What crosses the control socket between the front end and the GPU owner: one JSON object a packet. Pure.

Front end → owner, by ``t``: ``lane`` (open one; three descriptors travel with it),
``leave`` (nobody waits for it any more), ``end`` (it hangs). Owner → front end:
``turn`` (it may load now), ``progress`` (how far a load is), ``ended`` (a lane has
gone), ``fatal`` (the owner ends, why, and for which lane's fault). Lanes have numbers, ``n``, that the front
end gives and never gives twice. A closed socket tells the owner to end.
"""

from __future__ import annotations

import json
from typing import Final

from gateway.inference.wire import Head

MOST_BYTES: Final = 64 * 1024
MOST_WORDS: Final = 2000  # of a reason, in letters
DESCRIPTORS: Final = 3  # of a lane: its socket, two pages

# How the owner exits when it cannot go on; none is a code of Python or of a shell.
EXIT_STICKY: Final = 75  # the GPU's context is lost: only a new process can use it
EXIT_HUNG: Final = 76  # a lane hangs, and no thread can be ended alone


def pack(head: Head) -> bytes:
    """Return one packet.

    Raises:
        ValueError: It is larger than the other side reads.
    """
    packet = json.dumps(head, separators=(",", ":")).encode()
    if len(packet) > MOST_BYTES:
        msg = f"a packet of {len(packet)} bytes"
        raise ValueError(msg)
    return packet


def unpack(packet: bytes) -> Head:
    """Return what a packet says.

    Raises:
        ValueError: It is no JSON object that names a kind.
    """
    try:
        head = json.loads(packet)
    except RecursionError:
        head = None
    if not isinstance(head, dict) or not isinstance(head.get("t"), str):
        msg = f"no message: {packet[:80]!r}"
        raise ValueError(msg)
    return head
