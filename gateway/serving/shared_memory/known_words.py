"""Reads packets, and those of one client that differ by the number of the call alone only once.

A client that asks for every frame in the same way, ``{"do":"infer","call":N,``
first and the same bytes behind it, spares itself and the gateway most of the
work of words. What the bytes mean is a matter of the bytes alone, so nothing
but time tells such a call from any other.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import GatewayError
from gateway.serving.call import InputTensor
from gateway.serving.shared_memory.door_calls import Places
from gateway.serving.shared_memory.door_words import Infer, Word, call_number, read_packet, word_of

_BEGIN: Final = re.compile(rb'\{"do":"infer","call":(0|[1-9][0-9]{0,14}),')
_LONGEST_BYTES: Final = 4096
_MOST: Final = 64


class Known:
    """A word that was read.

    Attributes:
        word: It.
        inputs: Its inputs in the regions that there are now; None until they were looked up.
        places: Where its outputs go; likewise.
    """

    __slots__ = ("inputs", "places", "word")

    def __init__(self, word: Word) -> None:
        self.word = word
        self.inputs: tuple[InputTensor, ...] | None = None
        self.places: Places | None = None


class KnownWords:
    """The words that one client uses again and again, a bounded number of them."""

    def __init__(self) -> None:
        self._known: dict[bytes, Known] = {}

    def forget(self) -> None:
        """Forget everything, since the regions are others now."""
        self._known.clear()

    def read(self, packet: memoryview) -> tuple[int, Known | GatewayError]:
        """Return the number of a call, and what is wanted or what is wrong with it.

        Raises:
            Malformed: It is no packet of the protocol: not even a number can be read.
        """
        begin = _BEGIN.match(packet)
        if begin is None or len(packet) > _LONGEST_BYTES:
            return _read(packet)
        rest = bytes(packet[begin.end() :])
        known = self._known.get(rest)
        if known is not None:
            return int(begin[1]), known
        number, found = _read(packet)
        # JSON lets a key come twice, and be written with escapes: then the first number is not what counts.
        if isinstance(found, Known) and isinstance(found.word, Infer) and not _says_more(rest):
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[rest] = found
        return number, found


def _read(packet: memoryview) -> tuple[int, Known | GatewayError]:
    head = read_packet(packet)
    number = call_number(head)
    try:
        return number, Known(word_of(head))
    except GatewayError as error:
        return number, error


def _says_more(rest: bytes) -> bool:
    return b"\\" in rest or b'"call"' in rest or b'"do"' in rest
