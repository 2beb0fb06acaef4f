"""Slows whoever tries one token after another, without shutting out who is merely out of date. Pure.

An address has ten wrong tokens free, and one more every five seconds; beyond that no token from
there is looked at, right or wrong. The same wrong token again is no guess: a program that was
given an old token repeats it, and must not shut out its neighbours.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from gateway.serving.access.buckets import Buckets

FREE: Final = 10
PERIOD_S: Final = 5.0
_MOST_ADDRESSES: Final = 1024
_WRONG_KEPT: Final = 4


class Guesses:
    """Counts wrong tokens by address."""

    def __init__(self, most_addresses: int = _MOST_ADDRESSES) -> None:
        self._buckets = Buckets(1.0 / PERIOD_S, FREE, most_addresses)
        self._most_addresses = most_addresses
        # What was wrong lately, by address, as digests; in the order in which they were last wrong.
        self._wrong: OrderedDict[str, tuple[bytes, ...]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many addresses are remembered, at most."""
        return max(len(self._wrong), len(self._buckets))

    def wait_s(self, address: str, digest: bytes, now_s: float) -> float:
        """Return in how many seconds a token from an address is looked at again; 0 for now.

        Args:
            address: Where it comes from.
            digest: The token's digest; one that was wrong before is looked at, for it is wrong again.
            now_s: Monotonic seconds.
        """
        if digest in self._wrong.get(address, ()):
            return 0.0
        return self._buckets.wait_s(address, now_s)

    def was_wrong(self, address: str, digest: bytes, now_s: float) -> None:
        """Note a wrong token."""
        known = self._wrong.get(address, ())
        if digest in known:
            return
        self._buckets.take(address, now_s)
        self._wrong[address] = (*known[-_WRONG_KEPT + 1 :], digest)
        self._wrong.move_to_end(address)
        if len(self._wrong) > self._most_addresses:
            self._wrong.popitem(last=False)
