"""What every connection of one listener shares: the application, the limits, the door. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.serving.asgi import Application
from gateway.serving.http.limits import HttpLimits


class Door(Protocol):
    """What a connection needs to know of the listener that accepted it."""

    @property
    def closing(self) -> bool:
        """Whether no further request should be served."""
        ...


@dataclass(frozen=True, slots=True)
class Service:
    """What connections serve.

    Attributes:
        app: Answers the requests.
        limits: What one client may cost.
        door: The listener.
    """

    app: Application
    limits: HttpLimits
    door: Door
