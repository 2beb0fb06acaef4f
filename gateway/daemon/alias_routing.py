"""Which of an alias's targets a key leads to: by weight, the same one every time. Pure.

Rules (each a property in ``tests/daemon/test_alias_routing.py``):

1. A key leads to the same target as long as the targets and weights are the same, in any process.
2. Of many keys each target gets its weight's share.
3. When one target's weight rises keys move to it only, when it falls they move away from it only; so does a
   target that comes or goes. No key moves between two others.
4. A target of weight 0 gets nothing.
5. What a key falls back to, where its target does not answer, is fixed as well, by the weights of the rest.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Sequence
from typing import Final, Protocol

_UNIT: Final = 2.0**-64
_CACHED: Final = 8192


class Weighed(Protocol):
    """A target of an alias."""

    @property
    def model(self) -> str:
        """The model."""
        ...

    @property
    def version(self) -> str:
        """Its version; empty for the one that serves."""
        ...

    @property
    def weight(self) -> int:
        """Its share; 0 for none."""
        ...


def ranked(targets: Sequence[Weighed], key: str) -> tuple[int, ...]:
    """Return the indices of the targets that get a share, the one that ``key`` leads to first.

    Args:
        targets: Each model and version once.
        key: Who asks; the empty key leads to the greatest weight, of equals to the first.
    """
    open_ones = [index for index, target in enumerate(targets) if target.weight > 0]
    if len(open_ones) == 1:
        return (open_ones[0],)
    if not key:
        return tuple(sorted(open_ones, key=lambda index: -targets[index].weight))
    return tuple(sorted(open_ones, key=lambda index: _score(targets[index], key)))


def _score(target: Weighed, key: str) -> float:
    """Return the time at which a clock that rings at the rate of the weight rings first: the least one wins.

    Each clock is the key's and target's own, so that another target's weight does not change it (weighted
    rendezvous hashing).
    """
    return _clock(key, target.model, target.version) / target.weight


@functools.lru_cache(maxsize=_CACHED)  # who asks asks again
def _clock(key: str, model: str, version: str) -> float:
    seed = f"{key}\0{model}\0{version}".encode(errors="surrogatepass")
    number = int.from_bytes(hashlib.blake2b(seed, digest_size=8).digest(), "big")
    return -math.log((number + 0.5) * _UNIT)
