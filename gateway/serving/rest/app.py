"""The REST door: the Open Inference Protocol with Triton's extensions as one ASGI application.

Every request goes the same way: its path is looked up, its caller let in, its body
taken within bounds, its handler asked, and whatever comes of it, answer or error,
is said in one form. Who leaves is not waited for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.configuration.serving_settings import ServingSettings
from gateway.errors import GatewayBug, GatewayError, Overloaded, UnknownMedia
from gateway.operations.log import log
from gateway.operations.tracing import begin_span, in_span
from gateway.serving.access.caller import Caller
from gateway.serving.access.gate import Gate
from gateway.serving.access.http_peer import http_peer
from gateway.serving.alias_view import Aliases
from gateway.serving.asgi import Receive, Scope, Send
from gateway.serving.door_count import CANCELLED, DONE, DoorCount
from gateway.serving.error_words import error_words
from gateway.serving.model_view import Health, Models, Repository
from gateway.serving.regions import Regions
from gateway.serving.rest.alias_pages import AliasPages
from gateway.serving.rest.answering import Answers, answer
from gateway.serving.rest.bodies import Body, ClientLeft, Room
from gateway.serving.rest.error_codes import error_headers, status_of
from gateway.serving.rest.exchange import Ask, Handler, Reply, json_reply
from gateway.serving.rest.infer_call import Timing
from gateway.serving.rest.infer_page import InferPage, check_content_type
from gateway.serving.rest.leaving import while_there
from gateway.serving.rest.memory_pages import MemoryPages
from gateway.serving.rest.model_pages import ModelPages
from gateway.serving.rest.routes import Match, Route, match
from gateway.serving.rest.server_pages import ServerPages
from gateway.serving.rest.setting_pages import LogLevel, SettingPages

EXTENSIONS: Final = (
    "binary_tensor_data",
    "classification",
    "generate",
    "logging",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "sequence",
    "statistics",
)
_SHARED_MEMORY: Final = "system_shared_memory"

# What is taken back when the client leaves; a load that has begun goes on for everybody else.
_CANCELLED_WITH_CLIENT: Final = frozenset({"infer", "generate", "generate_stream"})


@dataclass(frozen=True, slots=True)
class RestParts:
    """What stands behind the door.

    Attributes:
        models: Answers.
        repository: Loads and unloads.
        health: Whether the gateway answers.
        regions: Shared memory of programs of this machine; None where it is off.
        gate: Lets requests in.
        count: Counts them.
        log: What is logged.
        aliases: Names that lead to models; None where there are none.
    """

    models: Models
    repository: Repository
    health: Health
    regions: Regions | None
    gate: Gate
    count: DoorCount
    log: LogLevel
    aliases: Aliases | None = None


class _Came(NamedTuple):
    """A request as the server handed it over, and where its path leads."""

    found: Match
    scope: Scope
    receive: Receive
    headers: Mapping[bytes, bytes]


class RestApp:
    """The application; an instance is called once per request."""

    def __init__(self, parts: RestParts, settings: ServingSettings) -> None:
        """Prepare.

        Args:
            parts: What stands behind it.
            settings: Its name and limits.
        """
        self._gate = parts.gate
        self._count = parts.count
        self._room = Room(settings.max_body_bytes)
        self._answers = Answers(settings.max_body_bytes)
        self._handlers = _handlers(parts, settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Raises:
            ValueError: The scope is not of HTTP: there is nothing else here.

        Cancel-safe: what was asked of models is cancelled.
        """
        if scope["type"] != "http":
            raise ValueError(f"the REST door does not speak {scope['type']}")
        headers = {name.lower(): value for name, value in scope["headers"]}
        if b"traceparent" in headers:
            reply = await self._reply_traced(scope, receive, headers)
        else:
            reply = await self._reply(scope, receive, headers)
        if reply is None:
            return
        try:
            await self._answers.send(reply, scope["method"], headers, send)
        except Overloaded as error:
            await answer(error_reply(error), scope["method"], headers, send)

    async def _reply_traced(
        self, scope: Scope, receive: Receive, headers: Mapping[bytes, bytes]
    ) -> Reply | None:
        """Return the same, as a part of the client's trace, with its own place in that."""
        span = begin_span(_lines(scope, b"traceparent"), _lines(scope, b"tracestate"))
        with in_span(span):
            reply = await self._reply(scope, receive, headers)
        if reply is None:
            return None
        said = tuple((name.encode(), value.encode()) for name, value in span.pairs)
        return reply._replace(headers=(*reply.headers, *said))

    async def _reply(self, scope: Scope, receive: Receive, headers: Mapping[bytes, bytes]) -> Reply | None:
        """Return what is said, None if nobody is there to hear it."""
        found = match(_raw_path(scope))
        if found is None:
            return json_reply({"error": "Not Found", "label": "refused.unknown_path"}, 404)
        method = scope["method"]
        route = found.route(method)
        if route is None:
            return _no_such_method(method, found)
        with self._count.request(route.action) as counted:
            reply = await self._let_in(route, _Came(found, scope, receive, headers))
            counted.failed(_outcome(reply))
            return reply

    async def _let_in(self, route: Route, came: _Came) -> Reply | None:
        arrived_s = time.monotonic()
        names = came.found.names
        on = names.get("model") or names.get("region") or names.get("alias") or ""
        try:
            admission = self._gate.admit(http_peer(came.scope), route.need, route.action, on)
            with admission as caller:
                reply = await self._handle(route, came, caller, arrived_s)
                admission.failed(_outcome(reply))
                return reply
        except GatewayError as error:
            return error_reply(error)

    async def _handle(self, route: Route, came: _Came, caller: Caller, arrived_s: float) -> Reply | None:
        """Answer a request that was let in: every error of the gateway's becomes an answer here."""
        try:
            with Body(self._room) as body:
                read = await self._body(route, body, came)
                work = self._handlers[route.action](
                    Ask(came.found.names, came.headers, read, caller, arrived_s)
                )
                if route.action in _CANCELLED_WITH_CLIENT:
                    return await while_there(came.scope, came.receive, work)
                return await work
        except GatewayError as error:
            if isinstance(error, GatewayBug):
                log.event("http_failed", path=route.path, error=error)
            return error_reply(error)
        except ClientLeft:
            return None
        except Exception as error:  # noqa: BLE001 - one broken request must not end the connection or the gateway
            log.event("http_failed", path=route.path, error=error)
            return error_reply(GatewayBug("the gateway failed at this request; its log says why"))

    async def _body(self, route: Route, body: Body, came: _Came) -> bytes | memoryview:
        if route.method == "GET":
            return b""
        read = await body.read(came.receive, came.headers)
        if len(read):
            check_content_type(came.headers.get(b"content-type", b""))
        return read


def _lines(scope: Scope, wanted: bytes) -> list[str]:
    """Return every value of a header, in their order."""
    return [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == wanted]


def _outcome(reply: Reply | None) -> str:
    return CANCELLED if reply is None else reply.label or DONE


def error_reply(error: GatewayError) -> Reply:
    """Return the answer that tells of an error."""
    headers = error_headers(error)
    if isinstance(error, UnknownMedia):
        headers = (*headers, (b"accept-encoding", b"gzip, deflate"))
    return json_reply(error_words(error), status_of(error), headers, error.label)


def _no_such_method(method: str, found: Match) -> Reply:
    allow = ((b"allow", found.allow),)
    if method == "OPTIONS":
        return Reply(204, headers=allow)
    return json_reply({"error": "Method Not Allowed", "label": "refused.method"}, 405, allow)


def _raw_path(scope: Scope) -> bytes:
    """Return the path as it was sent; a server that does not keep it gives it decoded alone."""
    raw: bytes | None = scope.get("raw_path")
    return raw.partition(b"?")[0] if raw is not None else scope["path"].encode("utf-8", "replace")


def _handlers(parts: RestParts, settings: ServingSettings) -> Mapping[str, Handler]:
    depth = settings.max_json_depth
    extensions = EXTENSIONS if parts.regions is None else (*EXTENSIONS, _SHARED_MEMORY)
    server = ServerPages(settings, extensions, parts.models, parts.repository, parts.health)
    model = ModelPages(parts.models)
    timing = Timing(settings.timeout_s, settings.max_timeout_s, settings.priority)
    infer = InferPage(parts.models, parts.regions, timing, depth)
    memory = MemoryPages(parts.regions, depth, settings.shared_memory.max_region_bytes)
    alias = AliasPages(parts.aliases, depth)
    setting = SettingPages(parts.log, parts.models, depth)
    return {
        "server_metadata": server.metadata,
        "openapi": server.openapi,
        "live": server.live,
        "ready": server.ready,
        "models": server.models,
        "index": server.index,
        "aliases": alias.listed,
        "alias": alias.one,
        "change_alias": alias.change,
        "load": server.load,
        "unload": server.unload,
        "model_metadata": model.metadata,
        "model_ready": model.ready,
        "model_config": model.config,
        "statistics": model.statistics,
        "all_statistics": model.all_statistics,
        "infer": infer.infer,
        "generate": infer.generate,
        "generate_stream": infer.generate_stream,
        "system_memory": memory.status,
        "register_system_memory": memory.register,
        "unregister_system_memory": memory.unregister,
        "cuda_memory": memory.cuda_status,
        "register_cuda_memory": memory.register_cuda,
        "unregister_cuda_memory": memory.unregister_cuda,
        "log_settings": setting.log_settings,
        "set_log_settings": setting.set_log_settings,
        "trace_settings": setting.trace_settings,
        "set_trace_settings": setting.set_trace_settings,
    }
