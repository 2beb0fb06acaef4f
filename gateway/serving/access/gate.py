"""The one place at which every request through every door is let in or refused.

It counts, logs and forgets; who may what is ``policy``'s, how often ``buckets``' and
``concurrency``'s. Nothing of a token is ever logged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, NamedTuple

from gateway.configuration.serving_settings import AccessSettings
from gateway.errors import AccessRefused, Overloaded, RateLimited, Unauthenticated
from gateway.operations.log import log
from gateway.operations.series import Counters
from gateway.serving.access.buckets import Buckets
from gateway.serving.access.caller import ADMIN, Caller
from gateway.serving.access.concurrency import Concurrency
from gateway.serving.access.credentials import Token, find, presented
from gateway.serving.access.guesses import Guesses
from gateway.serving.access.networks import client_of
from gateway.serving.access.peer import Peer, place_of
from gateway.serving.access.policy import Policy, allow, identify
from gateway.serving.door_count import DONE, outcome_of

# Names come from outside and go into the log.
_LONGEST: Final = 128
_MOST_KNOWN: Final = 256


class Act(NamedTuple):
    """What a request does, for the log.

    Attributes:
        need: The scope that it needs.
        call: What it does, such as ``load``.
        on: What it does it to, such as a model's name.
    """

    need: str
    call: str
    on: str


class Admission:
    """One request that was let in: counted from ``Gate.admit`` until it is left, so enter it at once.

    Attributes:
        caller: Who asks.
    """

    __slots__ = ("_act", "_client", "_label", "_peer", "_running", "caller")

    def __init__(self, caller: Caller, peer: Peer, act: Act, running: Concurrency | None) -> None:
        self.caller = caller
        self._peer = peer
        self._act = act
        self._client = _client(caller, peer)
        self._running = running
        self._label = DONE
        if running is not None:
            running.enter(self._client)

    def failed(self, label: str) -> None:
        """Note the label of the error that the caller was answered, where no exception leaves the block."""
        self._label = label

    def close(self) -> None:
        """Count the request no longer; a second time does nothing."""
        running, self._running = self._running, None
        if running is not None:
            running.leave(self._client)

    def outlast(self, task: asyncio.Future[Any]) -> None:
        """Count the request until a task has ended, or a future, even after its block is left."""
        running, self._running = self._running, None
        if running is not None:
            client = self._client
            task.add_done_callback(lambda _: running.leave(client))

    def __enter__(self) -> Caller:
        """Return who asks."""
        return self.caller

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Count the request no longer; write the audit line of an administrator's call."""
        self.close()
        if self._act.need != ADMIN:
            return
        if exc is not None:
            self._label = outcome_of(exc)
        log.event(
            "admin_call",
            who=self.caller.name,
            address=place_of(self._peer),
            call=self._act.call,
            on=self._act.on,
            outcome=self._label,
        )


class Gate:
    """Lets requests in; called in the event loop, never waits."""

    def __init__(
        self,
        policy: Policy,
        access: AccessSettings,
        refused: Counters,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare.

        Args:
            policy: Who may what.
            access: How often.
            refused: Counts refusals by reason.
            clock: Monotonic seconds.
        """
        self._refused = refused
        self._clock = clock
        self._guesses = Guesses()
        # Peers without a token whom this policy lets in: most ask again.
        self._known: dict[Peer, Caller] = {}
        self._concurrency = Concurrency(access.concurrent)
        self._policy = policy
        self._rate = (0.0, 0)
        self._buckets: Buckets | None = None
        self.apply(policy, access)

    def apply(self, policy: Policy, access: AccessSettings) -> None:
        """Go by another configuration from the next request on; those under way stay counted."""
        self._policy = policy
        self._known.clear()
        self._concurrency.most = access.concurrent
        rate = (access.requests_per_s, access.burst)
        # The same buckets go on: a reload gives nobody another burst.
        if rate != self._rate:
            self._rate = rate
            self._buckets = Buckets(*rate) if access.requests_per_s > 0 else None

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
        act = Act(need, call, on[:_LONGEST])
        try:
            return self._admit(peer, act)
        except (AccessRefused, RateLimited, Overloaded) as error:
            reason = str(error.attributes.get("reason", error.label))
            self._refused.add(1, reason)
            log.event(
                "access_refused",
                address=place_of(peer),
                reason=reason,
                need=need,
                call=call,
                on=on,
                error=error,
            )
            raise

    def _admit(self, peer: Peer, act: Act) -> Admission:
        if not act.need:
            # Probes carry no credentials and must be answered under any load: they are not counted.
            return Admission(Caller(place_of(peer), frozenset(), is_local=False), peer, act, None)
        now_s = self._clock()
        caller = self._identify(peer, now_s)
        allow(caller, peer, act.need)
        if self._buckets is not None:
            wait_s = self._buckets.take(_client(caller, peer), now_s)
            if wait_s > 0.0:
                what = f"this client asks too often; wait {wait_s:.3f} s"
                raise RateLimited(what, reason="rate", retry_after_s=wait_s)
        return Admission(caller, peer, act, self._concurrency)

    def _identify(self, peer: Peer, now_s: float) -> Caller:
        if peer.authorization:
            return identify(self._policy, peer, self._token(peer, now_s))
        caller = self._known.get(peer)
        if caller is None:
            caller = identify(self._policy, peer)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[peer] = caller
        return caller

    def _token(self, peer: Peer, now_s: float) -> Token:
        digest = presented(peer.authorization)
        place = client_of(place_of(peer))
        wait_s = self._guesses.wait_s(place, digest, now_s)
        if wait_s > 0.0:
            what = f"too many wrong tokens came from this address; wait {wait_s:.3f} s"
            raise RateLimited(what, reason="guessing", retry_after_s=wait_s)
        token = find(digest, self._policy.tokens)
        if token is None:
            self._guesses.was_wrong(place, digest, now_s)
            raise Unauthenticated("the token is not known here", reason="unknown_token")
        return token


def _client(caller: Caller, peer: Peer) -> str:
    """Return under which name a caller is limited: credentials are one client wherever they are used."""
    return client_of(caller.name) if caller.name == peer.address else caller.name
