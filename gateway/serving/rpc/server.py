"""The gRPC door: binds its address, serves its services, and lets its clients go.

An asynchronous context manager. gRPC's own threads wait for the network; every call is
answered in the event loop that entered the door.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

from gateway.configuration.serving_settings import ServingSettings
from gateway.operations.series import Counters
from gateway.serving.access.caller import INFER
from gateway.serving.access.gate import Gate
from gateway.serving.address import Descriptor, HostPort, UnixPath, format_address, parse_address
from gateway.serving.door_count import DoorCount
from gateway.serving.rest.infer_call import Timing
from gateway.serving.rpc import protocol, streaming
from gateway.serving.rpc.asking import LARGE_BYTES, Arrival, Asking, words_of_request
from gateway.serving.rpc.calls import COMPRESSION_KEY, Calls, Method, compress, handler_of, only_request
from gateway.serving.rpc.health_service import HealthService
from gateway.serving.rpc.inference_service import Behind, InferenceService
from gateway.serving.rpc.mesh_service import Memory, MeshService
from gateway.serving.rpc.options import server_options
from gateway.serving.rpc.reflection_service import METHOD as REFLECTION_METHOD
from gateway.serving.rpc.reflection_service import ReflectionService
from gateway.serving.rpc.setting_service import SettingService
from gateway.serving.rpc.streaming import Stream, room_of
from gateway.serving.rpc.tls import credentials_of
from gateway.serving.rpc.writing import response
from gateway.serving.unix_socket import clear_path

INFER_METHOD: Final = "ModelInfer"
_MODE: Final = 0o660
_GRACE_S: Final = 5.0


class RpcServer:
    """Serves between entry and exit."""

    def __init__(
        self,
        behind: Behind,
        settings: ServingSettings,
        gate: Gate,
        requests: Counters,
        memory: Memory | None = None,
    ) -> None:
        """Prepare.

        Args:
            behind: Who answers.
            settings: Where to listen, and limits.
            gate: Lets requests in.
            requests: ``Metrics.door_requests``.
            memory: What models take; None serves no mesh.

        Raises:
            ValueError: ``settings.grpc.listen`` is no address, or that of a socket that was handed over.
        """
        self._behind = behind
        self._settings = settings
        self._address = parse_address(settings.grpc.listen)
        if isinstance(self._address, Descriptor):
            raise ValueError(
                "the gRPC door takes no socket that was handed over: write HOST:PORT or unix:/PATH"
            )
        self._secure = not isinstance(self._address, UnixPath) and bool(settings.tls.certificate_file)
        services = [protocol.INFERENCE, *([protocol.RUNTIME] if memory is not None else [])]
        count = DoorCount("grpc", _method_names(), requests, settings.slow_request_s)
        self._calls = Calls(gate, count, secure=self._secure)
        timing = Timing(settings.timeout_s, settings.max_timeout_s, settings.priority)
        self._asking = Asking(behind.models, behind.regions, timing)
        self._health = HealthService(behind.health, services, self._calls)
        self._memory = memory
        self._services = services
        self._streams: set[Stream] = set()
        self._room = room_of(settings.grpc.max_message_bytes, settings.access.concurrent)
        self._server: Any = None
        self._port = 0

    @property
    def address(self) -> str:
        """The bound address, with the real port."""
        assert self._server is not None, "not entered"
        if isinstance(self._address, UnixPath):
            return f"unix:{self._address.path}"
        assert not isinstance(self._address, Descriptor)
        return format_address(self._address.host, self._port)

    def health_changed(self) -> None:
        """Tell those who watch the gateway's health at once that it may have changed."""
        self._health.changed()

    async def __aenter__(self) -> RpcServer:
        """Bind and begin to serve.

        Raises:
            OSError: The address cannot be bound.
            ValueError: A certificate or key cannot be used.
        """
        # Its own lines on standard error would be no events of the log.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        import grpc

        server = grpc.aio.server(options=server_options(self._settings))
        server.add_generic_rpc_handlers(self._handlers())
        self._bind(server)
        await server.start()
        self._server = server
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take no more calls, answer those under way within the grace time, cut the rest."""
        if self._server is None:
            return
        self._health.close()
        for stream in tuple(self._streams):
            stream.retire()
        await self._server.stop(_GRACE_S)

    def _bind(self, server: Any) -> None:
        address = self._address
        assert not isinstance(address, Descriptor)
        if isinstance(address, UnixPath):
            clear_path(address.path)
            before = os.umask(0o777 & ~_MODE)
            try:
                self._port = self._add_port(server, f"unix:{address.path}")
            finally:
                os.umask(before)
        else:
            self._port = self._add_port(server, format_address(address.host or "::", address.port))

    def _add_port(self, server: Any, address: str) -> int:
        try:
            if self._secure:
                port: int = server.add_secure_port(address, credentials_of(self._settings.tls))
            else:
                port = server.add_insecure_port(address)
        except RuntimeError:
            raise _unbound(self._address) from None
        return port

    def _handlers(self) -> tuple[Any, ...]:
        import grpc

        methods: list[Method] = [*self._health.methods()]
        methods += InferenceService(self._settings, self._behind, self._asking.regions_for).methods()
        methods += SettingService(self._behind.log, self._behind.models).methods()
        if self._memory is not None:
            behind = self._behind
            methods += MeshService(behind.models, behind.repository, behind.health, self._memory).methods()
        handlers: dict[str, dict[str, Any]] = {}
        for method in methods:
            handlers.setdefault(method.service, {})[method.name] = self._calls.unary(method)
        handlers[protocol.HEALTH]["Watch"] = self._health.watch()
        handlers[protocol.INFERENCE] |= self._inference(grpc)
        if self._settings.grpc.reflection:
            names = [*handlers, protocol.REFLECTION, protocol.REFLECTION_DRAFT]
            for name in (protocol.REFLECTION, protocol.REFLECTION_DRAFT):
                reflection = ReflectionService(name, names, self._calls)
                handlers[name] = {REFLECTION_METHOD: reflection.handler()}
        return tuple(
            grpc.method_handlers_generic_handler(service, found) for service, found in handlers.items()
        )

    def _inference(self, grpc: Any) -> Mapping[str, Any]:
        return {
            INFER_METHOD: handler_of(self._infer),
            streaming.METHOD: grpc.stream_stream_rpc_method_handler(self._stream),
        }

    async def _infer(self, _requests: Any, context: Any) -> bytes:
        async with self._calls.answering(INFER_METHOD, context):
            visit = self._calls.visit(context)
            data = await only_request(context)
            arrived_s = time.monotonic()
            admission = self._calls.gate.admit(visit.peer, INFER, INFER_METHOD)
            with admission as caller:
                words = await words_of_request(data)
                arrival = Arrival(arrived_s, context.time_remaining())
                reply, places = await self._asking.answer(words, caller, arrival)
                if how := visit.word(COMPRESSION_KEY):
                    await compress(context, how)
                answer = response(reply, places)
                if len(answer) >= LARGE_BYTES:
                    # gRPC keeps it for as long as its client likes, which may open no window ever.
                    task = asyncio.current_task()
                    assert task is not None, "gRPC calls handlers in tasks"
                    admission.outlast(task)
                return answer
        raise AssertionError("unreachable: an error ends the call")

    async def _stream(self, _requests: Any, context: Any) -> None:
        async with self._calls.answering("stream", context):
            stream = Stream(self._calls, self._asking, context, self._room)
            self._streams.add(stream)
            try:
                await stream.run()
            finally:
                self._streams.discard(stream)


def _unbound(address: HostPort | UnixPath | Descriptor) -> OSError:
    """Return why an address cannot be bound, which gRPC does not say: by trying."""
    if not isinstance(address, HostPort):
        return OSError(errno.EACCES, f"cannot listen at {address}")
    where = format_address(address.host, address.port)
    try:
        socket.create_server((address.host, address.port), family=_family(address.host)).close()
    except OSError as error:
        return OSError(error.errno, f"cannot listen at {where}: {error.strerror or error}")
    return OSError(errno.EADDRINUSE, f"cannot listen at {where}")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host or not host else socket.AF_INET


def _method_names() -> list[str]:
    services = (protocol.INFERENCE, protocol.RUNTIME, protocol.HEALTH, protocol.REFLECTION)
    return ["stream", *(name for service in services for name in protocol.methods(service))]
