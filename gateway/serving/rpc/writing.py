"""Writes a ModelInferResponse: its head from what is always the same, its tensors joined to it once. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, Final

from gateway.serving.call import InferReply, Parameter
from gateway.serving.rpc import protocol, wire

_ID_FIELD: Final = 3
_RAW_FIELD: Final = 6
_INFER_RESPONSE_FIELD: Final = 2
_FINAL: Final = "triton_final_response"
_INT64: Final = 2**63

Shapes = tuple[tuple[str, str, tuple[int, ...]], ...]


def response(reply: InferReply, elsewhere: Collection[str] = ()) -> bytes:
    """Return the answer to a call.

    Args:
        reply: What it was answered.
        elsewhere: Outputs that went to shared memory; their places are empty here.
    """
    return b"".join(_pieces(reply, elsewhere, final=False))


def stream_response(reply: InferReply, elsewhere: Collection[str] = ()) -> bytes:
    """Return the answer to one request of a stream: the only one, so also the last."""
    pieces = _pieces(reply, elsewhere, final=True)
    size = sum(map(len, pieces))
    tag = bytes((_INFER_RESPONSE_FIELD << 3 | 2,))
    return b"".join((tag, wire.length(size), *pieces))


def stream_error(words: str, request_id: str) -> bytes:
    """Return the error of one request of a stream, which goes on."""
    message = protocol.message("inference.ModelStreamInferResponse")(error_message=words)
    message.infer_response.id = request_id
    data: bytes = message.SerializeToString()
    return data


def _pieces(reply: InferReply, elsewhere: Collection[str], *, final: bool) -> list[wire.Part]:
    shapes = tuple((output.name, output.datatype, output.shape) for output in reply.outputs)
    pieces: list[wire.Part] = [_head(reply.model, reply.version, shapes, final)]
    if reply.id:
        pieces += wire.field(_ID_FIELD, (reply.id.encode("utf-8", "replace"),))
    if reply.parameters:
        pieces.append(_parameters(reply.parameters))
    raws = [b"" if output.name in elsewhere else _flat(output.data) for output in reply.outputs]
    return pieces + wire.field(_RAW_FIELD, raws)


def _flat(data: wire.Part) -> wire.Part:
    """Return data whose length counts bytes."""
    return data if isinstance(data, bytes) or data.itemsize == 1 else data.cast("B")


@lru_cache(maxsize=512)
def _head(model: str, version: str, shapes: Shapes, final: bool) -> bytes:
    message = protocol.message("inference.ModelInferResponse")(model_name=model, model_version=version)
    for name, datatype, shape in shapes:
        message.outputs.add(name=name, datatype=datatype, shape=shape)
    if final:
        message.parameters[_FINAL].bool_param = True
    data: bytes = message.SerializeToString()
    return data


def _parameters(parameters: Mapping[str, Parameter]) -> bytes:
    message = protocol.message("inference.ModelInferResponse")()
    for name, value in parameters.items():
        _put(message.parameters[name], value)
    data: bytes = message.SerializeToString()
    return data


def _put(into: Any, value: Parameter) -> None:
    if isinstance(value, bool):
        into.bool_param = value
    elif isinstance(value, int):
        if -_INT64 <= value < _INT64:
            into.int64_param = value
        elif 0 <= value < 2 * _INT64:
            into.uint64_param = value
        else:
            into.string_param = str(value)
    elif isinstance(value, float):
        into.double_param = value
    else:
        into.string_param = value
