"""Requests to, and answers of, a server over HTTP: JSON with tensors in it or behind it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from gateway.cli.remote.server import RemoteCall, RemoteModel
from gateway.errors import GatewayError, Malformed
from gateway.inference.texts import join_bytes, split_bytes
from gateway.serving.call import Buffer, InferReply, InputTensor, OutputTensor
from gateway.serving.datatypes import Datatype, Kind, check_bytes, datatype_named
from gateway.serving.model_view import TensorView

_MICROSECONDS: Final = 1e6
_MOST_WORDS: Final = 2000


def write_request(call: RemoteCall, *, binary: bool) -> tuple[bytes, int | None]:
    """Return a request's body, and how many of its first bytes are JSON; None for all of them.

    Args:
        call: What is asked.
        binary: Whether the server takes tensors behind the JSON.

    Raises:
        Malformed: A tensor has no form in JSON, and the server takes no other.
    """
    said: dict[str, Any] = {"parameters": {"timeout": int(call.timeout_s * _MICROSECONDS)}}
    said["inputs"] = [_input(tensor, binary=binary) for tensor in call.inputs]
    if binary and not call.outputs:
        said["parameters"]["binary_data_output"] = True
    if call.outputs:
        said["outputs"] = [
            {
                "name": output.name,
                "parameters": {"classification": output.classes}
                if output.classes
                else {"binary_data": binary},
            }
            for output in call.outputs
        ]
    head = json.dumps(said, separators=(",", ":"), allow_nan=False).encode()
    if not binary:
        return head, None
    return b"".join((head, *(bytes(tensor.data) for tensor in call.inputs))), len(head)


def _input(tensor: InputTensor, *, binary: bool) -> dict[str, Any]:
    said: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    if binary:
        return said | {"parameters": {"binary_data_size": len(tensor.data)}}
    return said | {"data": plain_values(tensor.datatype, tensor.data, tensor.name)}


def plain_values(datatype: str, data: Buffer, name: str) -> list[Any]:
    """Return a tensor's elements as JSON has them, flat.

    Raises:
        Malformed: They have no form there.
    """
    kind = datatype_named(datatype, name)
    if kind.kind is Kind.BYTES:
        try:
            return [str(element, "utf-8") for element in split_bytes(data, name)]
        except UnicodeDecodeError:
            raise Malformed(f"{name}: holds bytes that are no text: JSON cannot say them") from None
    if not kind.dtype:
        raise Malformed(f"{name}: {datatype} has no form in JSON")
    values = np.frombuffer(data, kind.dtype)
    if kind.kind is Kind.FLOAT and not np.isfinite(values).all():
        raise Malformed(f"{name}: holds NaN or an infinity: JSON cannot say them")
    return list(values.tolist())


def read_answer(body: bytes, header_bytes: str | None) -> InferReply:
    """Return a server's answer.

    Args:
        body: As it came.
        header_bytes: What ``Inference-Header-Content-Length`` says; None where it is not there.

    Raises:
        Malformed: It is not the protocol's.
    """
    length = len(body)
    if header_bytes is not None:
        if not (header_bytes.isascii() and header_bytes.isdigit() and int(header_bytes) <= len(body)):
            raise Malformed(f"the server says that {header_bytes[:40]!r} of {len(body)} bytes are JSON")
        length = int(header_bytes)
    said = read_object(body[:length])
    rest = memoryview(body)[length:]
    outputs = []
    for output in _list(said, "outputs"):
        tensor, used = _output(output, rest)
        rest = rest[used:]
        outputs.append(tensor)
    if len(rest):
        raise Malformed(f"the server's answer has {len(rest)} bytes too many")
    parameters = said.get("parameters")
    return InferReply(
        str(said.get("model_name", "")),
        str(said.get("model_version") or ""),
        str(said.get("id") or ""),
        tuple(outputs),
        {key: value for key, value in parameters.items() if isinstance(value, bool | int | float | str)}
        if isinstance(parameters, dict)
        else {},
    )


def _output(said: object, rest: memoryview) -> tuple[OutputTensor, int]:
    """Return a tensor, and how many bytes behind the JSON are its own."""
    if not isinstance(said, dict):
        raise Malformed("an output of the server's answer is no object")
    name, shape = str(said.get("name", "")), _sizes(said.get("shape"))
    try:
        datatype = datatype_named(str(said.get("datatype")), name)
        parameters = said.get("parameters")
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if size is None:
            data: Buffer = _data(said.get("data"), datatype, name)
            used = 0
        elif isinstance(size, int) and 0 <= size <= len(rest):
            data, used = rest[:size], size
        else:
            raise Malformed(f"{name}: says {size} bytes, {len(rest)} are there")
        check_bytes(datatype, shape, data, name)
    except GatewayError as error:
        raise Malformed(f"the server's answer: {error.message}") from None
    return OutputTensor(name, datatype.name, shape, data), used


def _data(values: object, datatype: Datatype, name: str) -> bytes:
    if not isinstance(values, list):
        raise Malformed(f"{name}: has no data")
    if datatype.kind is Kind.BYTES:
        return join_bytes(str(value).encode() for value in _flat(values))
    if not datatype.dtype:
        raise Malformed(f"{name}: {datatype.name} has no form in JSON")
    # null is what servers say for NaN and infinities.
    numbers = [float("nan") if value is None else value for value in _flat(values)]
    try:
        return np.asarray(numbers, dtype=datatype.dtype).tobytes()
    except (ValueError, TypeError, OverflowError) as error:
        raise Malformed(f"{name}: {str(error)[:120]}") from None


def _flat(values: Sequence[Any]) -> list[Any]:
    flat = list(values)
    while any(isinstance(value, list) for value in flat):
        flat = [one for value in flat for one in (value if isinstance(value, list) else [value])]
    return flat


def read_model(body: bytes) -> RemoteModel:
    """Return what a server says of a model.

    Raises:
        Malformed: It is not the protocol's.
    """
    said = read_object(body)
    versions = said.get("versions")
    return RemoteModel(
        str(said.get("name", "")),
        tuple(map(str, versions)) if isinstance(versions, list) else (),
        tuple(_view(each) for each in _list(said, "inputs")),
        tuple(_view(each) for each in said.get("outputs") or ()),
    )


def _view(said: object) -> TensorView:
    if not isinstance(said, dict) or not isinstance(said.get("name"), str):
        raise Malformed("the server describes a tensor without a name")
    return TensorView(said["name"], str(said.get("datatype", "")), _sizes(said.get("shape")))


def read_object(body: bytes) -> Mapping[str, Any]:
    """Return the object that a JSON text is.

    Raises:
        Malformed: It is none.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("what answers does not speak JSON: is it a server of the protocol?") from None
    if not isinstance(said, dict):
        raise Malformed("what answers does not give a JSON object: is it a server of the protocol?")
    return said


def words_of_error(body: bytes) -> str:
    """Return a server's own words about what is wrong, whatever form they have."""
    text = body[:_MOST_WORDS].decode("utf-8", "replace").strip()
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return text or "nothing more"
    if isinstance(said, dict):
        for key in ("error", "detail", "message"):
            if isinstance(said.get(key), str):
                return str(said[key])[:_MOST_WORDS]
    return text or "nothing more"


def _list(said: Mapping[str, Any], key: str) -> list[Any]:
    found = said.get(key)
    if not isinstance(found, list):
        raise Malformed(f"the server's answer has no list of {key}")
    return found


def _sizes(said: object) -> tuple[int, ...]:
    if not isinstance(said, list) or not all(isinstance(size, int | str) for size in said):
        raise Malformed("the server describes a tensor without a shape")
    try:
        return tuple(int(size) for size in said)
    except ValueError:
        raise Malformed("the server describes a shape that is no list of numbers") from None
