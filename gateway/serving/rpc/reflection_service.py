"""gRPC's server reflection: tools such as grpcurl learn the door's services from the door."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from gateway.serving.access.caller import READ
from gateway.serving.rpc.calls import Calls
from gateway.serving.rpc.protocol import message, parsed, pool

METHOD: Final = "ServerReflectionInfo"
_NOT_FOUND: Final = 5
_UNIMPLEMENTED: Final = 12


class ReflectionService:
    """Answers under one of the two names that the protocol has."""

    def __init__(self, service: str, services: Sequence[str], calls: Calls) -> None:
        """Prepare.

        Args:
            service: Full name of this service.
            services: Full names of all services.
            calls: Lets calls in.
        """
        self._package = service.rpartition(".")[0]
        self._services = sorted(services)
        self._calls = calls

    def handler(self) -> Any:
        """Return gRPC's handler of the one method."""
        import grpc

        end: Any = vars(grpc.aio)["EOF"]

        async def handle(_requests: Any, context: Any) -> None:
            async with self._calls.answering(METHOD, context):
                visit = self._calls.visit(context)
                with self._calls.gate.admit(visit.peer, READ, METHOD):
                    while (data := await context.read()) is not end:
                        request = parsed(message(f"{self._package}.ServerReflectionRequest"), data)
                        await context.write(self._answer(request).SerializeToString())

        return grpc.stream_stream_rpc_method_handler(handle)

    def _answer(self, request: Any) -> Any:
        made = message(f"{self._package}.ServerReflectionResponse")(
            valid_host=request.host, original_request=request
        )
        asked = request.WhichOneof("message_request")
        if asked == "list_services":
            for name in self._services:
                made.list_services_response.service.add(name=name)
            return made
        if asked in ("file_by_filename", "file_containing_symbol"):
            try:
                find = (
                    pool().FindFileByName if asked == "file_by_filename" else pool().FindFileContainingSymbol
                )
                file = find(getattr(request, asked))
            except KeyError:
                made.error_response.error_code = _NOT_FOUND
                made.error_response.error_message = "there is no such file or name here"
                return made
            made.file_descriptor_response.file_descriptor_proto.extend(_with_imports(file, set()))
            return made
        if asked == "all_extension_numbers_of_type":
            # No message here takes extensions.
            made.all_extension_numbers_response.base_type_name = request.all_extension_numbers_of_type
            return made
        made.error_response.error_code = _NOT_FOUND if asked else _UNIMPLEMENTED
        made.error_response.error_message = (
            "there are no extensions here" if asked else "nothing is asked for"
        )
        return made


def _with_imports(file: Any, seen: set[str]) -> Iterator[bytes]:
    """Yield a file and every file that it imports, each once."""
    if file.name in seen:
        return
    seen.add(file.name)
    yield file.serialized_pb
    for each in file.dependencies:
        yield from _with_imports(each, seen)
