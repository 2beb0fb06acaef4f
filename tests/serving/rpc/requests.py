"""Requests of the inference protocol, as messages, for the tests of this folder."""

from __future__ import annotations

from typing import Any

import numpy as np

from gateway.serving.rpc import protocol


def put(parameters: Any, **values: bool | str | float) -> None:
    """Set parameters as clients do."""
    for name, value in values.items():
        if isinstance(value, bool):
            parameters[name].bool_param = value
        elif isinstance(value, int):
            if value < 2**63:
                parameters[name].int64_param = value
            else:
                parameters[name].uint64_param = value
        elif isinstance(value, float):
            parameters[name].double_param = value
        else:
            parameters[name].string_param = value


def request(model: str = "echo", request_id: str = "", **parameters: bool | str | float) -> Any:
    """Return a request without tensors."""
    made = protocol.message("inference.ModelInferRequest")(model_name=model, id=request_id)
    put(made.parameters, **parameters)
    return made


def add_raw(message: Any, name: str, array: np.ndarray[Any, Any], datatype: str) -> Any:
    """Add an input with its raw elements; return the input."""
    made = message.inputs.add(name=name, datatype=datatype, shape=array.shape)
    message.raw_input_contents.append(array.tobytes())
    return made


def echo(text: bytes = b"hello", request_id: str = "", model: str = "echo", **parameters: Any) -> Any:
    """Return a request that is answered with its own tensor."""
    made = request(model, request_id, **parameters)
    made.inputs.add(name="IN", datatype="UINT8", shape=[len(text)])
    made.raw_input_contents.append(text)
    return made


def add(left: Any, right: Any, request_id: str = "") -> Any:
    """Return a request that adds two rows of four numbers."""
    made = request("add", request_id)
    for name, numbers in (("A", left), ("B", right)):
        add_raw(made, name, np.array(numbers, "<i4"), "INT32")
    return made
