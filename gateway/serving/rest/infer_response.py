"""Writes the answer to a request for an inference: JSON, and behind it the bytes of binary tensors.

Like its counterpart it knows nothing of HTTP, and serves every door that speaks the
protocol's JSON. It writes outputs that are wanted in shared memory to their regions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from gateway.serving.call import Buffer, InferReply, OutputTensor, Parameter
from gateway.serving.datatypes import datatype_named
from gateway.serving.regions import Place
from gateway.serving.rest.infer_words import InferWords, OutputWords
from gateway.serving.rest.json_numbers import elements_out
from gateway.serving.rest.json_writing import write_json

NOT_FINITE: Final = "not_finite_outputs"


class Written(NamedTuple):
    """An answer.

    Attributes:
        body: The whole of it.
        json_bytes: How many of its first bytes are JSON; None for all: there are no binary tensors.
    """

    body: bytes
    json_bytes: int | None


@dataclass(slots=True)
class _Draft:
    outputs: list[dict[str, Any]] = field(default_factory=list)
    behind: list[Buffer] = field(default_factory=list)
    not_finite: list[str] = field(default_factory=list)
    binary: bool = False


def write_reply(reply: InferReply, words: InferWords, places: Mapping[str, Place] | None = None) -> Written:
    """Return the answer to a request.

    Where an output in JSON holds NaN or an infinity, ``null`` stands for it and the answer's
    parameter ``not_finite_outputs`` names the outputs; binary tensors are exact.

    Args:
        reply: What the model gave.
        words: The request.
        places: Where outputs in shared memory go, by their names.

    Raises:
        NotSupported: An output cannot be said in JSON.
        UnknownRegion: The client took the memory away meanwhile.
        TooLarge: An output is longer than its part of a region.
    """
    wishes = {each.name: each for each in words.outputs}
    draft = _Draft()
    for output in reply.outputs:
        _add(
            draft,
            output,
            wishes.get(output.name, OutputWords(output.name)),
            words.binary_outputs,
            places or {},
        )
    head = write_json(_head(reply, draft))
    if not draft.binary:
        return Written(head, None)
    return Written(b"".join((head, *draft.behind)), len(head))


def _head(reply: InferReply, draft: _Draft) -> dict[str, object]:
    head: dict[str, object] = {"id": reply.id} if reply.id else {}
    head |= {"model_name": reply.model, "model_version": reply.version}
    parameters: Mapping[str, Parameter] = reply.parameters
    if draft.not_finite:
        parameters = {**parameters, NOT_FINITE: ",".join(draft.not_finite)}
    if parameters:
        head["parameters"] = dict(parameters)
    head["outputs"] = draft.outputs
    return head


def _add(
    draft: _Draft, output: OutputTensor, wish: OutputWords, binary_outputs: bool, places: Mapping[str, Place]
) -> None:
    said: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": list(output.shape)}
    draft.outputs.append(said)
    if wish.region is not None:
        # Neither data nor parameters: some clients end at parameters that they do not expect.
        places[output.name].write(output.data)
        return
    if binary_outputs if wish.binary is None else wish.binary:
        draft.binary = True
        said["parameters"] = {"binary_data_size": len(output.data)}
        draft.behind.append(output.data)
        return
    name = f"output {output.name}"
    said["data"], not_finite = elements_out(output.data, datatype_named(output.datatype, name), name)
    if not_finite:
        draft.not_finite.append(output.name)
