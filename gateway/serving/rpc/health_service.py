"""gRPC's health checking: the gateway's readiness now, and each time that it changes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from gateway.errors import UnknownModel
from gateway.mqtt.wait import Bell
from gateway.serving.access.caller import ANYBODY, Caller
from gateway.serving.model_view import Health
from gateway.serving.rpc.calls import Calls, Method
from gateway.serving.rpc.protocol import HEALTH, message, parsed

# Readiness also changes with time alone, so whoever watches is looked after this often.
_LOOK_S: Final = 1.0


class HealthService:
    """Answers probes; they need no credentials."""

    def __init__(self, health: Health, services: Sequence[str], calls: Calls) -> None:
        """Prepare.

        Args:
            health: Whether the gateway answers.
            services: Full names of the services that share its health.
            calls: Lets calls in.
        """
        self._health = health
        self._names = ("", *services)
        self._calls = calls
        self._bell = Bell()
        self._closing = False

    def methods(self) -> tuple[Method, ...]:
        """Return the methods of one answer."""
        return (
            Method(HEALTH, "Check", lambda _request: ANYBODY, self._check),
            Method(HEALTH, "List", lambda _request: ANYBODY, self._list),
        )

    def changed(self) -> None:
        """Tell those who watch at once."""
        self._bell.ring()

    def close(self) -> None:
        """Say from now on that nothing is served, and end what is watched."""
        self._closing = True
        self._bell.ring()

    def watch(self) -> Any:
        """Return gRPC's handler of Watch."""
        import grpc

        async def handle(data: bytes, context: Any) -> None:
            async with self._calls.answering("Watch", context):
                await self._watch(data, context)

        return grpc.unary_stream_rpc_method_handler(handle)

    async def _watch(self, data: bytes, context: Any) -> None:
        name = parsed(message("grpc.health.v1.HealthCheckRequest"), data).service
        kind = message("grpc.health.v1.HealthCheckResponse")
        said = None
        while True:
            closing = self._closing  # what is said below may take a while
            status = self._status(kind) if name in self._names else kind.SERVICE_UNKNOWN
            if status != said:
                await context.write(kind(status=status).SerializeToString())
                said = status
            if closing:
                return
            if not self._closing:
                await self._bell.heard_by(time.monotonic() + _LOOK_S)

    def _check(self, request: Any, _caller: Caller) -> Any:
        if request.service not in self._names:
            raise UnknownModel(f"no service is named {request.service[:80]!a}")
        kind = message("grpc.health.v1.HealthCheckResponse")
        return kind(status=self._status(kind))

    def _list(self, _request: Any, _caller: Caller) -> Any:
        made = message("grpc.health.v1.HealthListResponse")()
        status = self._status(message("grpc.health.v1.HealthCheckResponse"))
        for name in self._names:
            made.statuses[name].status = status
        return made

    def _status(self, kind: Any) -> Any:
        serves = not self._closing and self._health.is_live() and self._health.is_ready()
        return kind.SERVING if serves else kind.NOT_SERVING
