"""How long to wait before the next connect: doubling, jittered, bounded."""

from __future__ import annotations


class Backoff:
    """Pauses between attempts to connect.

    1. A pause lies between ``min_s`` and a ceiling that doubles with every
       failure, from ``2 * min_s`` up to ``max_s``; the jitter says where. So even
       the first pause spreads fifty gateways whose broker was restarted.
    2. A connection that held for ``max_s`` starts the ceiling anew. One that
       broke sooner does not: two clients that take each other's id away would
       otherwise fight at full speed for ever.
    3. A refusal that waiting does not heal (a wrong password) pauses for ``max_s``.
    """

    def __init__(self, min_s: float, max_s: float) -> None:
        self._min_s = min(min_s, max_s)
        self._max_s = max_s
        self._failures = 0
        self._connected_s: float | None = None

    def connected(self, now_s: float) -> None:
        """Note that the broker accepted a connection."""
        self._connected_s = now_s

    def failed(self, now_s: float, jitter: float) -> float:
        """Note that an attempt failed or a connection ended; return the pause in seconds.

        Args:
            now_s: Monotonic time.
            jitter: Random number in [0, 1).
        """
        if self._connected_s is not None and now_s - self._connected_s >= self._max_s:
            self._failures = 0
        self._connected_s = None
        self._failures = min(self._failures + 1, 64)  # beyond that the ceiling is max_s anyway
        ceiling_s = min(self._max_s, self._min_s * 2.0**self._failures)
        return self._min_s + jitter * (ceiling_s - self._min_s)

    def refused(self, jitter: float) -> float:
        """Note a refusal that needs somebody's hand; return the pause in seconds."""
        self._connected_s = None
        return self._max_s * (0.75 + 0.25 * jitter)
