"""A server's answer as people read it, and as one JSON object. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.demo.words import printable
from gateway.inference.texts import join_bytes, split_bytes
from gateway.serving.call import InferReply, OutputTensor
from gateway.serving.datatypes import DATATYPES, Kind

_SHOWN: Final = 8
_MOST_LETTERS: Final = 200


def best_classes(tensor: OutputTensor, most: int) -> OutputTensor:
    """Return the greatest elements of each row as ``value:index``, as servers with labels do."""
    datatype = DATATYPES[tensor.datatype]
    if not datatype.dtype or len(tensor.shape) == 0 or 0 in tensor.shape:
        return tensor
    values = np.frombuffer(tensor.data, datatype.dtype)
    rows = values.reshape(1, -1) if len(tensor.shape) == 1 else values.reshape(tensor.shape[0], -1)
    most = min(most, rows.shape[1])
    best = np.argsort(-rows.astype(np.float64), axis=1, kind="stable")[:, :most]
    texts = [f"{_said(row[at])}:{at}".encode() for row, some in zip(rows, best, strict=True) for at in some]
    shape = (most,) if len(tensor.shape) == 1 else (rows.shape[0], most)
    return OutputTensor(tensor.name, "BYTES", shape, join_bytes(texts))


def document(reply: InferReply, took_ms: float) -> Mapping[str, Any]:
    """Return the answer as JSON values; NaN and infinities are null, bytes that are no text are replaced."""
    return {
        "model": reply.model,
        "version": reply.version,
        "outputs": [
            {
                "name": output.name,
                "datatype": output.datatype,
                "shape": list(output.shape),
                "data": _plain(output),
            }
            for output in reply.outputs
        ],
        "parameters": dict(reply.parameters),
        "latency_ms": round(took_ms, 3),
    }


def lines(reply: InferReply, took_ms: float) -> Iterator[str]:
    """Yield the answer as people read it."""
    yield printable(f"{reply.model} {reply.version}".strip())
    for output in reply.outputs:
        yield printable(f"{output.name} {output.datatype} {list(output.shape)}")
        yield from _shown(output)
    yield f"answered after {took_ms:.1f} ms"


def _shown(output: OutputTensor) -> Iterator[str]:
    datatype = DATATYPES[output.datatype]
    if datatype.kind is Kind.BYTES:
        texts = _texts(output)
        yield from (f"  {printable(text[:_MOST_LETTERS])}" for text in texts[: 4 * _SHOWN])
        if len(texts) > 4 * _SHOWN:
            yield f"  ... and {len(texts) - 4 * _SHOWN} more"
        return
    values = _values(output)
    if values is None:
        yield f"  {len(output.data)} bytes"
        return
    some = ", ".join(map(_said, values[:_SHOWN]))
    if values.size <= _SHOWN:
        yield f"  {some}"
        return
    yield f"  {some}, ..."
    greatest = int(np.nanargmax(values)) if not np.isnan(values.astype(np.float64)).all() else 0
    least, most = _said(np.nanmin(values)), _said(values[greatest])
    yield f"  least {least}, greatest {most} at {greatest} of {values.size}"


def _said(value: np.generic) -> str:
    """Return a number as people read it; whole ones, which may be ids or hashes, to the last digit."""
    return str(value) if value.dtype.kind in "iu" else f"{value:g}"


def _values(output: OutputTensor) -> NDArray[Any] | None:
    dtype = DATATYPES[output.datatype].dtype
    return np.frombuffer(output.data, dtype) if dtype else None


def _texts(output: OutputTensor) -> list[str]:
    return [str(element, "utf-8", "replace") for element in split_bytes(output.data, output.name)]


def _plain(output: OutputTensor) -> list[Any]:
    if DATATYPES[output.datatype].kind is Kind.BYTES:
        return list(_texts(output))
    values = _values(output)
    if values is None:
        return list(bytes(output.data))
    if values.dtype.kind != "f":
        return list(values.tolist())
    return [float(value) if np.isfinite(value) else None for value in values]
