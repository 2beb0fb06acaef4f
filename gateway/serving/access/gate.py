"""The one place at which every request through every door is let in or refused."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from gateway.serving.access.caller import Caller
from gateway.serving.access.peer import Peer


class Admission(Protocol):
    """One request that was let in; entered for as long as it runs, and counted until it is left."""

    @property
    def caller(self) -> Caller:
        """Who asks."""
        ...

    def failed(self, label: str) -> None:
        """Note the label of the error that the caller was answered, where no exception leaves the block."""
        ...

    def __enter__(self) -> Caller:
        """Return who asks."""
        ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Count the request no longer; write the audit line of an administrator's call."""
        ...


class Gate(Protocol):
    """Lets requests in; called in the event loop, never waits."""

    def admit(self, peer: Peer, need: str, call: str = "", on: str = "") -> Admission:
        """Let a request in, or say why not.

        Args:
            peer: Who asks.
            need: What the request needs: ``infer``, ``read``, ``admin``, or empty for nothing at all.
            call: What it does, in our words, such as ``load``: for the log.
            on: What it does it to, such as the model's name: for the log.

        Raises:
            Unauthenticated: No credentials, or none that are known here.
            Forbidden: They do not allow this, or not over this door.
            RateLimited: Too often, or too many at a time (``retry_after_s``).
            Overloaded: Too many clients at a time.
        """
        ...
