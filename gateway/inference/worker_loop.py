"""What a worker does: load one model, answer batches until the socket closes, and divide when told to."""

from __future__ import annotations

import gc
import json
import resource
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from gateway.errors import GatewayBug, GatewayError, OutOfMemory
from gateway.frames.declaration import Declaration
from gateway.inference.dividing import divide
from gateway.inference.loaded import LoadedModel, LoadSpec, Member
from gateway.inference.pages import ReadOnlyPage
from gateway.inference.tensor_call import TENSORS, TensorLayout
from gateway.inference.texts import texts_out
from gateway.inference.wire import Head, encode
from gateway.tensor import TEXT, Array

_MOST_DECLARATIONS = 1024
COLLECT_AFTER = 20_000  # a frame's values form no rings: counting references frees them

Read = Callable[[socket.socket], "tuple[Head, bytes] | None"]
Pages = tuple[ReadOnlyPage, ReadOnlyPage]


def load(spec: str) -> LoadedModel:
    """Load and warm up what the front end asked for.

    Raises:
        GatewayError: It cannot be loaded or run.
    """
    model = LoadedModel.load(LoadSpec.from_json(spec))
    model.warm_up()
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    return model


@dataclass(frozen=True, slots=True)
class Line:
    """What joins a worker to the front end.

    Attributes:
        channel: Where messages come and go.
        pages: Where payloads come.
        kin: Where descriptors for another worker come; None for one that never divides.
        front_end: Process id of the front end.
    """

    channel: socket.socket
    pages: Pages
    kin: socket.socket | None
    front_end: int

    @classmethod
    def of(cls, fds: tuple[int, ...], front_end: int) -> Line:
        """Take over descriptors: channel, two pages, kin."""
        channel, page, other_page, kin = fds
        pages = (ReadOnlyPage(page), ReadOnlyPage(other_page))
        return cls(socket.socket(fileno=channel), pages, socket.socket(fileno=kin), front_end)

    def close(self) -> None:
        """Close everything."""
        self.channel.close()
        for page in self.pages:
            page.close()
        if self.kin is not None:
            self.kin.close()


def serve(line: Line, ready: tuple[LoadedModel, str], read: Read) -> None:
    """Say that the model is ready, then answer until the front end closes the socket.

    Args:
        line: To the front end.
        ready: The model, and how this process is confined.
        read: Returns the next message.
    """
    model, _ = ready
    line.channel.sendall(encode(_ready(line, ready)))
    declarations: dict[str, Declaration | TensorLayout] = {}
    while message := read(line.channel):
        head, tail = message
        if head["t"] == "pipelines":
            line.channel.sendall(_change_pipelines(model, head))
            continue
        if head["t"] == "canary":
            line.channel.sendall(_sing(model))
            continue
        if head["t"] == "divide":
            line = _divide(line, ready)
            continue
        pages = line.pages
        view = pages[head["page"]].view(head["size"])
        members: list[Member] = []
        offset = 0
        for pipeline, start, length, declared, state_bytes, deadline_s in head["members"]:
            declaration = declarations.get(declared)
            if declaration is None:
                if len(declarations) >= _MOST_DECLARATIONS:
                    declarations.clear()
                read_declared = TensorLayout.from_json if pipeline == TENSORS else Declaration.from_json
                declaration = declarations[declared] = read_declared(declared)
            state = tail[offset : offset + state_bytes]
            offset += state_bytes
            members.append(Member(pipeline, view[start : start + length], declaration, state, deadline_s))
        line.channel.sendall(_run(model, head["n"], members))


def _run(model: LoadedModel, number: int, members: list[Member]) -> bytes:
    started_s = time.monotonic()
    faults = _major_faults()
    try:
        answers = model.run_batch(members, time.monotonic)
        lines, parts = [], list[bytes | memoryview]()
        for a in answers:
            error = [a.error.label, a.error.message] if a.error else None
            parts.append(a.state)
            forms = [[name, *_form(each, parts)] for name, each in a.tensors.items()]
            lines.append([a.prediction, error, len(a.state), a.timings_ms, forms])
        tail = b"".join(parts)
    except MemoryError:
        error = [OutOfMemory.label, f"no memory for a batch of {len(members)}"]
        lines, tail = [[None, error, 0, {}, []] for _ in members], b""
    ended_s = time.monotonic()
    head: Head = {"t": "done", "n": number, "started": started_s, "ended": ended_s, "members": lines}
    head["faults"] = _major_faults() - faults
    # Only what a pipeline says may hold what JSON cannot say: tensors travel as bytes.
    is_finite = all(line[0] is None for line in lines)
    try:
        return encode(head, tail, is_finite=is_finite)
    except (TypeError, ValueError):
        head["members"] = [_sayable(line) for line in lines]
        return encode(head, tail)


def _form(tensor: Array, parts: list[bytes | memoryview]) -> tuple[str, tuple[int, ...], int]:
    """Add a tensor's bytes to the parts of a message; return its type, its sizes and how many they are."""
    if tensor.dtype.hasobject:
        data = texts_out(tensor)
        parts.append(data)
        return TEXT, tensor.shape, len(data)
    if tensor.size:
        parts.append(tensor.reshape(-1).view("u1").data)
    return _name(tensor.dtype), tensor.shape, tensor.nbytes


@lru_cache(maxsize=64)
def _name(dtype: np.dtype[Any]) -> str:
    return dtype.name  # NumPy puts it together anew every time


def _major_faults() -> int:
    """Return how often this process has waited for a page from the disk."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


def _sayable(line: list[Any]) -> list[Any]:
    """Return a member's line, with an error in place of a prediction that JSON cannot say."""
    try:
        json.dumps(line[0], allow_nan=False)
    except (TypeError, ValueError) as error:
        return [None, [GatewayBug.label, f"a step gave what JSON cannot say: {error}"], *line[2:]]
    return line


def _change_pipelines(model: LoadedModel, head: Head) -> bytes:
    try:
        model.set_pipelines(LoadSpec.from_json(head["spec"]).pipelines)
    except GatewayError as error:
        return _failed("pipelines", error)
    return encode({"t": "pipelines", "stateful": sorted(model.stateful), "kinds": model.kinds})


def _sing(model: LoadedModel) -> bytes:
    try:
        model.warm_up()
    except GatewayError as error:
        return _failed("canary", error)
    return encode({"t": "canary"})


def _divide(line: Line, ready: tuple[LoadedModel, str]) -> Line:
    """Become two workers; return each one's own line."""
    assert line.kin is not None
    gc.collect()
    gc.freeze()  # what the collector never visits stays shared
    try:
        fds = divide(line.kin, line.front_end)
    except OSError as error:
        line.channel.sendall(_failed("divided", OutOfMemory(f"the worker cannot divide: {error}")))
        return line
    if not fds:
        line.channel.sendall(encode({"t": "divided"}))
        return line
    line.close()
    mine = Line.of(fds, line.front_end)
    model, _ = ready
    for file in (model.source, *model.weights):
        file.lock_again()
    mine.channel.sendall(encode(_ready(mine, ready)))
    return mine


def _failed(asked: str, error: GatewayError) -> bytes:
    return encode({"t": "failed", "of": asked, "label": error.label, "message": error.message})


def _ready(line: Line, ready: tuple[LoadedModel, str]) -> Head:
    model, confined = ready
    return {
        "t": "ready",
        "version": asdict(model.version),
        "max_rows": model.max_rows,
        "stateful": sorted(model.stateful),
        "kinds": model.kinds,
        "mapped": model.source.sha256,
        "pinned": model.source.pinned,
        "mapping_note": model.source.note,
        "confined": confined,
        "divides": line.kin is not None,
        "shape": model.shape.to_plain(),
    }
