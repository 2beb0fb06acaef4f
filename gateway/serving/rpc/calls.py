"""One call over gRPC, whatever it asks: who asks, whether it may, what it is answered, how it is counted.

Requests and answers go through gRPC as bytes: what cannot be read is refused in our own
words, and tensors are not copied into messages on the way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from gateway.errors import GatewayBug, GatewayError, Malformed
from gateway.operations.log import log
from gateway.operations.tracing import begin_span, current_span, enter_span
from gateway.serving.access.caller import Caller
from gateway.serving.access.gate import Gate
from gateway.serving.access.peer import Peer
from gateway.serving.access.rpc_peer import rpc_peer
from gateway.serving.door_count import DoorCount, outcome_of
from gateway.serving.rpc import protocol
from gateway.serving.rpc.refusal import trailing_of
from gateway.serving.rpc.statuses import status_of, words_of

Answer = Callable[[Any, Caller], Any]
# How a client asks for compressed answers: that it understands some is said by all of them.
COMPRESSION_KEY: Final = "gateway-compression"
# Where a request says which model it is about.
_MODEL_FIELDS: Final = ("model_name", "modelId", "name")


@dataclass(frozen=True, slots=True)
class Visit:
    """What came with a call.

    Attributes:
        peer: Who is at the other end.
        metadata: Names and values, names in small letters.
    """

    peer: Peer
    metadata: tuple[tuple[str, str | bytes], ...]

    def word(self, name: str) -> str:
        """Return the value of a name; empty where there is none."""
        found = next((value for key, value in self.metadata if key == name), "")
        return found if isinstance(found, str) else ""


@dataclass(frozen=True, slots=True)
class Method:
    """One method that takes one request and gives one answer.

    Attributes:
        service: Full name of its service.
        name: Its name there.
        need: Returns the scope that a request needs.
        answer: Answers it; what it returns is awaited if need be.
    """

    service: str
    name: str
    need: Callable[[Any], str]
    answer: Answer


class Calls:
    """Lets calls in and sends errors out."""

    def __init__(self, gate: Gate, count: DoorCount, *, secure: bool) -> None:
        """Prepare.

        Args:
            gate: Who may what.
            count: Counts requests.
            secure: The door speaks TLS.
        """
        self.gate = gate
        self.count = count
        self._secure = secure

    def visit(self, context: Any) -> Visit:
        """Return what came with a call."""
        metadata = tuple(context.invocation_metadata() or ())
        for name, _ in metadata:
            if name == "traceparent":
                _enter_trace(context, metadata)
                break
        secured = context.auth_context() if self._secure else {}
        return Visit(rpc_peer(context.peer(), metadata, secured), metadata)

    def unary(self, method: Method) -> Any:
        """Return gRPC's handler of a method."""
        kind, _ = protocol.methods(method.service)[method.name]

        async def handle(_requests: Any, context: Any) -> bytes:
            async with self.answering(method.name, context):
                return await self._answer(method, kind, context)
            raise AssertionError("unreachable: an error ends the call")

        return handler_of(handle)

    async def _answer(self, method: Method, kind: Any, context: Any) -> bytes:
        visit = self.visit(context)
        data = await only_request(context)
        request, broken = None, None
        try:
            request = protocol.parsed(kind, data)
        except Malformed as error:
            broken = error  # who may not ask is told that first
        need = method.need(request if request is not None else kind())
        with self.gate.admit(visit.peer, need, method.name, _model(request)) as caller:
            if broken is not None:
                raise broken
            answer = method.answer(request, caller)
            if isinstance(answer, Awaitable):
                answer = await answer
            said: bytes = answer.SerializeToString()
            return said

    def answering(self, method: str, context: Any) -> Answering:
        """Return what ends a call with a status if an error leaves its block, and counts it either way."""
        return Answering(self.count, method, context)


class Answering:
    """One call's block; written out, because it is entered for each."""

    __slots__ = ("_context", "_count", "_method")

    def __init__(self, count: DoorCount, method: str, context: Any) -> None:
        self._count = count
        self._method = method
        self._context = context

    async def __aenter__(self) -> None:
        """Do nothing."""

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Count the call; end it with the status of what left the block."""
        error = None if exc is None else known(exc, self._method)
        self._count.ended(self._method, outcome_of(error or exc))
        if error is not None:
            await refuse(self._context, error)


def known(exc: BaseException, method: str) -> GatewayError | None:
    """Return what clients can be told of an exception; the log says the rest of what nobody foresaw.

    Returns:
        None for a cancellation, and for gRPC's own end of a call.
    """
    if isinstance(exc, GatewayError):
        return exc
    if not isinstance(exc, Exception) or type(exc).__module__.startswith("grpc"):
        return None
    log.event("rpc_failed", method=method, error=exc)
    return GatewayBug("the gateway failed on this call; its log says why")


def handler_of(handle: Callable[[Any, Any], Awaitable[bytes]]) -> Any:
    """Return gRPC's handler of a method that takes one request, which it reads, and gives one answer.

    gRPC has a kind of its own for these, which never answers a call that ends before its request.
    """
    import grpc

    return grpc.stream_unary_rpc_method_handler(handle)


async def only_request(context: Any) -> bytes:
    """Return the request of a call. Cancel-safe.

    Raises:
        Malformed: The client ended the call without one.
    """
    import grpc

    data = await context.read()
    if data is grpc.aio.EOF:
        raise Malformed("the call has no request")
    request: bytes = data
    return request


async def compress(context: Any, how: str) -> None:
    """Compress the answers of a call from here on.

    Args:
        context: gRPC's, of the call; nothing was sent on it yet.
        how: ``gzip`` or ``deflate``.

    Raises:
        Malformed: It is neither.
    """
    import grpc

    if how not in ("gzip", "deflate"):
        raise Malformed(f"{COMPRESSION_KEY} is gzip or deflate, not {how[:20]!a}")
    context.set_compression(grpc.Compression.Gzip if how == "gzip" else grpc.Compression.Deflate)
    await context.send_initial_metadata(())  # where it is said; else it would go without


async def refuse(context: Any, error: GatewayError) -> None:
    """End a call with the status of an error; does not return."""
    import grpc

    span = current_span()
    trailing = trailing_of(error) if span is None else (*trailing_of(error), *span.pairs)
    await context.abort(grpc.StatusCode[status_of(error)], words_of(error), trailing)


def _enter_trace(context: Any, metadata: tuple[tuple[str, str | bytes], ...]) -> None:
    """Let the rest of a call, which is a task of its own, belong to its trace, and tell the client so."""
    said = [(name, value) for name, value in metadata if isinstance(value, str)]
    parents = [value for name, value in said if name == "traceparent"]
    span = begin_span(parents, [value for name, value in said if name == "tracestate"])
    enter_span(span)
    context.set_trailing_metadata(span.pairs)


def _model(request: Any) -> str:
    if request is None:
        return ""
    fields = request.DESCRIPTOR.fields_by_name
    return next((getattr(request, name) for name in _MODEL_FIELDS if name in fields), "")
