"""Payloads that crash workers: two strikes and the very same bytes are not run again. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict

_STRIKES = 2


class Quarantine:
    """Remembers hashes of payloads that were running when a worker died.

    The first strike may be bad luck (the worker was killed from outside), and a
    run that ends well takes it back; the second in a row, of the same bytes and
    pipeline, is no luck. Bounded: the oldest is forgotten first.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._strikes: OrderedDict[str, tuple[int, int]] = OrderedDict()  # hash: (strikes, bytes)
        self._lengths: Counter[int] = Counter()

    def __len__(self) -> int:
        """Return how many payloads are refused now."""
        return sum(1 for strikes, _ in self._strikes.values() if strikes >= _STRIKES)

    def strike(self, pipeline: str, payload: bytes | memoryview) -> tuple[str, bool]:
        """Note that a worker died on this payload; return (hash, whether it is refused from now on)."""
        digest = _digest(pipeline, payload)
        strikes = self._forget(digest) + 1
        self._strikes[digest] = (strikes, len(payload))
        self._lengths[len(payload)] += 1
        if len(self._strikes) > self._capacity:
            self._forget(next(iter(self._strikes)))
        return digest, strikes >= _STRIKES

    def refuses(self, pipeline: str, payload: bytes | memoryview) -> str | None:
        """Return the hash if this payload is quarantined; costs a hash only where one may match."""
        if len(payload) not in self._lengths:
            return None
        digest = _digest(pipeline, payload)
        return digest if self._strikes.get(digest, (0, 0))[0] >= _STRIKES else None

    def acquit(self, pipeline: str, payload: bytes | memoryview) -> None:
        """Note that this payload was answered: a strike against it was bad luck."""
        if len(payload) in self._lengths:
            self._forget(_digest(pipeline, payload))

    def _forget(self, digest: str) -> int:
        """Drop a hash; return how many strikes it had."""
        strikes, length = self._strikes.pop(digest, (0, -1))
        if strikes:
            self._lengths[length] -= 1
            if not self._lengths[length]:
                del self._lengths[length]
        return strikes


def _digest(pipeline: str, payload: bytes | memoryview) -> str:
    state = hashlib.sha256(pipeline.encode() + b"\0")
    state.update(payload)
    return state.hexdigest()
