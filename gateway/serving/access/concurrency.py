"""How many requests of each client run at a time. Pure.

Only clients with a request under way are remembered, so there are never more than requests.
"""

from __future__ import annotations

from gateway.errors import GatewayBug, Overloaded, RateLimited

MOST_CLIENTS = 16_384
# When one of a client's own requests ends is not known; this is when to look again.
_RETRY_S = 1.0


class Concurrency:
    """Counts requests under way, by client.

    Args:
        most: Requests of one client.
        most_clients: Clients with requests under way.
    """

    def __init__(self, most: int, most_clients: int = MOST_CLIENTS) -> None:
        self.most = most
        self._most_clients = most_clients
        self._running: dict[str, int] = {}

    def __len__(self) -> int:
        """Return how many clients have requests under way."""
        return len(self._running)

    def running(self, client: str) -> int:
        """Return how many requests of a client are under way."""
        return self._running.get(client, 0)

    def enter(self, client: str) -> None:
        """Count one more request.

        Raises:
            RateLimited: The client has as many under way as it may.
            Overloaded: There are too many clients.
        """
        count = self._running.get(client, 0)
        if count >= self.most:
            what = f"{count} requests of this client run already; send the next when one is answered"
            raise RateLimited(what, reason="concurrency", retry_after_s=_RETRY_S)
        if not count and len(self._running) >= self._most_clients:
            raise Overloaded("too many clients ask at this moment; try again", reason="clients")
        self._running[client] = count + 1

    def leave(self, client: str) -> None:
        """Count one request less.

        Raises:
            GatewayBug: None is under way.
        """
        count = self._running.get(client, 0)
        if count < 1:
            raise GatewayBug("a request ended that never began")
        if count == 1:
            del self._running[client]
        else:
            self._running[client] = count - 1
