"""Payloads that crash workers: two strikes and the very same bytes are not run again. Pure."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

_STRIKES = 2


class Quarantine:
    """Remembers hashes of payloads that were running when a worker died.

    The first strike may be bad luck (the worker was killed from outside); the
    second, of the same bytes and pipeline, is not. Bounded: the oldest is forgotten first.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._strikes: OrderedDict[str, int] = OrderedDict()
        self._lengths: dict[int, int] = {}

    def __len__(self) -> int:
        """Return how many payloads are refused now."""
        return sum(1 for strikes in self._strikes.values() if strikes >= _STRIKES)

    def strike(self, pipeline: str, payload: bytes) -> tuple[str, bool]:
        """Note that a worker died on this payload; return (hash, whether it is refused from now on)."""
        digest = _digest(pipeline, payload)
        if digest not in self._strikes:
            length = len(payload)
            self._lengths[length] = self._lengths.get(length, 0) + 1
        self._strikes[digest] = self._strikes.pop(digest, 0) + 1
        if len(self._strikes) > self._capacity:
            self._strikes.popitem(last=False)  # its length stays: a needless hash, never a wrong answer
        return digest, self._strikes[digest] >= _STRIKES

    def refuses(self, pipeline: str, payload: bytes) -> str | None:
        """Return the hash if this payload is quarantined; costs a hash only where one may match."""
        if len(payload) not in self._lengths:
            return None
        digest = _digest(pipeline, payload)
        return digest if self._strikes.get(digest, 0) >= _STRIKES else None


def _digest(pipeline: str, payload: bytes) -> str:
    state = hashlib.sha256(pipeline.encode() + b"\0")
    state.update(payload)
    return state.hexdigest()
