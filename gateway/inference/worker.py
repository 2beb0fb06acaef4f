"""The worker process: load one model, then answer batches until the socket closes.

Started by ``gateway.inference.lane`` as ``python -m gateway.inference.worker
SOCKET PAGE PAGE``: three inherited descriptors. It is single-threaded; it holds
no secret and no connection but to its parent, and dies with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway.errors import GatewayBug, GatewayError, OutOfMemory
from gateway.frames.declaration import Declaration
from gateway.inference.loaded import LoadedModel, LoadSpec, Member
from gateway.inference.pages import ReadOnlyPage
from gateway.inference.wire import HEADER, Head, encode

_PR_SET_PDEATHSIG = 1
_OOM_SCORE = "500"  # under memory pressure the kernel takes a worker, not the front end
_COLLECT_AFTER = 20_000  # a frame's values form no rings: counting references frees them
_MOST_DECLARATIONS = 1024


def main(argv: list[str]) -> int:
    """Serve batches until the front end closes the socket; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C and systemd's stop reach the whole
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # group: the front end drains, then closes us
    _die_with_parent()
    channel = socket.socket(fileno=int(argv[1]))
    pages = (ReadOnlyPage(int(argv[2])), ReadOnlyPage(int(argv[3])))
    head, _ = _read(channel) or ({}, b"")
    if not head:
        return 0
    try:
        model = LoadedModel.load(LoadSpec.from_json(head["spec"]))
        model.warm_up()
    except GatewayError as error:
        channel.sendall(_failed("ready", error))
        return 1
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    channel.sendall(encode(_ready(model)))
    _serve(channel, pages, model)
    return 0


def _serve(channel: socket.socket, pages: tuple[ReadOnlyPage, ReadOnlyPage], model: LoadedModel) -> None:
    declarations: dict[str, Declaration] = {}
    while message := _read(channel):
        head, tail = message
        if head["t"] == "pipelines":
            channel.sendall(_change_pipelines(model, head))
            continue
        if head["t"] == "canary":
            channel.sendall(_sing(model))
            continue
        view = pages[head["page"]].view(head["size"])
        members: list[Member] = []
        offset = 0
        for pipeline, start, length, declared, state_bytes, deadline_s in head["members"]:
            declaration = declarations.get(declared)
            if declaration is None:
                if len(declarations) >= _MOST_DECLARATIONS:
                    declarations.clear()
                declaration = declarations[declared] = Declaration.from_json(declared)
            state = tail[offset : offset + state_bytes]
            offset += state_bytes
            members.append(Member(pipeline, view[start : start + length], declaration, state, deadline_s))
        channel.sendall(_run(model, head["n"], members))


def _run(model: LoadedModel, number: int, members: list[Member]) -> bytes:
    started_s = time.monotonic()
    try:
        answers = model.run_batch(members, time.monotonic)
        lines = [
            [a.prediction, [a.error.label, a.error.message] if a.error else None, len(a.state), a.timings_ms]
            for a in answers
        ]
        tail = b"".join(answer.state for answer in answers)
    except MemoryError:
        error = [OutOfMemory.label, f"no memory for a batch of {len(members)}"]
        lines, tail = [[None, error, 0, {}] for _ in members], b""
    ended_s = time.monotonic()
    head: Head = {"t": "done", "n": number, "started": started_s, "ended": ended_s, "members": lines}
    try:
        return encode(head, tail)
    except (TypeError, ValueError):
        head["members"] = [_sayable(line) for line in lines]
        return encode(head, tail)


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


def _failed(asked: str, error: GatewayError) -> bytes:
    return encode({"t": "failed", "of": asked, "label": error.label, "message": error.message})


def _ready(model: LoadedModel) -> Head:
    return {
        "t": "ready",
        "version": asdict(model.version),
        "max_rows": model.max_rows,
        "stateful": sorted(model.stateful),
        "kinds": model.kinds,
    }


def _read(channel: socket.socket) -> tuple[Head, bytes] | None:
    """Return the next message; None once the front end has closed the socket."""
    lengths = _read_exactly(channel, HEADER.size)
    if lengths is None:
        return None
    head_bytes, tail_bytes = HEADER.unpack(lengths)
    body = _read_exactly(channel, head_bytes + tail_bytes)
    if body is None:
        return None
    head: Head = json.loads(body[:head_bytes])
    return head, body[head_bytes:]


def _read_exactly(channel: socket.socket, count: int) -> bytes | None:
    data = channel.recv(count, socket.MSG_WAITALL)
    while len(data) < count:
        more = channel.recv(count - len(data))
        if not more:
            return None
        data += more
    return data


def _die_with_parent() -> None:
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
