"""The door's messages and services, from the compiled .proto files, in a pool of their own.

In a pool of their own because other packages of the same process may know messages of the
same names (clients of the same protocol do), and one pool takes a name once only.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

from gateway.errors import Malformed

INFERENCE: Final = "inference.GRPCInferenceService"
RUNTIME: Final = "mmesh.ModelRuntime"
HEALTH: Final = "grpc.health.v1.Health"
REFLECTION: Final = "grpc.reflection.v1.ServerReflection"
REFLECTION_DRAFT: Final = "grpc.reflection.v1alpha.ServerReflection"

_COMPILED: Final = Path(__file__).parent / "protocol" / "protocol.binpb"


@cache
def pool() -> Any:
    """Return the pool, filled on first use."""
    from google.protobuf import descriptor_pb2, descriptor_pool

    files = descriptor_pb2.FileDescriptorSet.FromString(_COMPILED.read_bytes())
    made = descriptor_pool.DescriptorPool()
    for each in files.file:  # in the order of their imports
        made.AddSerializedFile(each.SerializeToString())
    return made


@cache
def message(name: str) -> Any:
    """Return the class of a message, by its full name."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(pool().FindMessageTypeByName(name))


@cache
def methods(service: str) -> dict[str, tuple[Any, Any]]:
    """Return a service's methods: name, and the classes of request and response."""
    return {
        method.name: (message(method.input_type.full_name), message(method.output_type.full_name))
        for method in pool().FindServiceByName(service).methods
    }


def parsed(kind: Any, data: bytes) -> Any:
    """Return the message that bytes hold.

    Raises:
        Malformed: They hold none.
    """
    from google.protobuf.message import DecodeError

    try:
        return kind.FromString(data)
    except DecodeError:
        raise Malformed(f"the request is no {kind.DESCRIPTOR.full_name}") from None
