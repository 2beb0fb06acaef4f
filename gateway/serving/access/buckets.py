"""How often each of many clients may ask: a steady rate, and a burst above it. Pure.

Rules (each one is a property in ``tests/serving/access/test_buckets.py``):

1. In any ``t`` seconds no client takes more than ``burst + rate * t``.
2. A client that asks no faster than the rate is never refused, unless more than ``most_clients`` ask.
3. No more than ``most_clients`` are remembered, whatever names they come under.
4. What is refused may be taken ``wait_s`` later, if the client takes nothing until then.

For each client one number is kept: the time at which its bucket will be full again. Once that
has passed, forgetting the client forgets nothing.
"""

from __future__ import annotations

from collections import OrderedDict

MOST_CLIENTS = 4096
# Sums of periods are rounded; nobody is refused for the last bits of a number.
_ROUNDING_S = 1e-9


class Buckets:
    """One bucket for each client, all of one size.

    Args:
        rate_per_s: What comes back each second, for each client; more than 0.
        burst: What a client that was silent may take at once; 1 or more.
        most_clients: How many are remembered; all for whom there is no room share one bucket.
    """

    def __init__(self, rate_per_s: float, burst: int, most_clients: int = MOST_CLIENTS) -> None:
        self._period_s = 1.0 / rate_per_s
        # How far ahead of now "full again" may lie and one more still be taken.
        self._slack_s = (burst - 1) * self._period_s
        self._most_clients = most_clients
        # In the order in which they were last taken from.
        self._full_s: OrderedDict[str, float] = OrderedDict()
        self._others_full_s = float("-inf")

    def __len__(self) -> int:
        """Return how many clients are remembered."""
        return len(self._full_s)

    def wait_s(self, client: str, now_s: float) -> float:
        """Return in how many seconds ``client`` may take one; 0 for now."""
        return self._until(self._full_at(client), now_s)

    def take(self, client: str, now_s: float) -> float:
        """Take one for ``client``, if it may; return as ``wait_s`` did before.

        Args:
            client: Who asks.
            now_s: Monotonic seconds; never less than before.
        """
        full_s = self._full_at(client)
        wait_s = self._until(full_s, now_s)
        if wait_s > 0.0:
            return wait_s
        full_s = max(full_s, now_s) + self._period_s
        if client in self._full_s:
            self._full_s[client] = full_s
            self._full_s.move_to_end(client)
            return 0.0
        self._forget_full(now_s)
        if len(self._full_s) < self._most_clients:
            self._full_s[client] = full_s
        else:
            self._others_full_s = full_s
        return 0.0

    def _until(self, full_s: float, now_s: float) -> float:
        wait_s = full_s - now_s - self._slack_s
        return wait_s if wait_s > _ROUNDING_S else 0.0

    def _full_at(self, client: str) -> float:
        # Who was among the others may have taken all that these took: a bucket of its own begins there.
        return self._full_s.get(client, self._others_full_s)

    def _forget_full(self, now_s: float) -> None:
        while self._full_s:
            client, full_s = next(iter(self._full_s.items()))
            if full_s > now_s:
                return
            del self._full_s[client]
