"""The worker process: the outside of it. Dies with its parent, ignores what ends the group, loads politely.

Started by ``gateway.inference.body`` as ``python -m gateway.inference.worker
SOCKET PAGE PAGE KIN``: four inherited descriptors. It holds no secret and no
connection but to its parent. Nothing heavy is imported here: libraries and
model are loaded by a thread that gives way to the lanes that serve meanwhile.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import TYPE_CHECKING

from gateway.errors import GatewayError
from gateway.inference.confine import confine, needs_devices
from gateway.inference.pages import ReadOnlyPage
from gateway.inference.polite import politely
from gateway.inference.reading import read_message
from gateway.inference.wire import encode
from gateway.operations.child_start import (
    die_with_parent,
    leave_signals_to_the_parent,
    offer_to_the_oom_killer,
)

if TYPE_CHECKING:
    from gateway.inference.loaded import LoadedModel


def main(argv: list[str]) -> int:
    """Serve batches until the front end closes the socket; return an exit code only if nothing was served."""
    leave_signals_to_the_parent()  # it drains, then closes us
    front_end = os.getppid()
    die_with_parent(front_end)
    offer_to_the_oom_killer()
    channel = socket.socket(fileno=int(argv[1]))
    head, _ = read_message(channel) or ({}, b"")
    if not head:
        return 0
    options = json.loads(head["spec"])["options"]
    confined = confine(devices=needs_devices(options["providers"], options["delegates"]))
    # What answers callers goes before what computes. Whoever loads gives way further, and lanes that come
    # of this one by dividing have what this one has.
    os.nice(head["niceness"])
    try:
        model = _load_politely(head["spec"], head["politeness"])
    except GatewayError as error:
        said = {"t": "failed", "of": "ready", "label": error.label, "message": error.message}
        channel.sendall(encode(said))
        return 1
    from gateway.inference.worker_loop import Line, serve

    pages = (ReadOnlyPage(int(argv[2])), ReadOnlyPage(int(argv[3])))
    kin = socket.socket(fileno=int(argv[4]))
    may_divide = options["threads"] == 1 and not needs_devices(options["providers"], options["delegates"])
    serve(Line(channel, pages, kin if may_divide else None, front_end), (model, confined), read_message)
    # In a process that came of another's fork, a runtime would wait for threads that stayed behind.
    os._exit(0)


def _load_politely(spec: str, politeness: int) -> LoadedModel:
    def load() -> LoadedModel:
        from gateway.inference.worker_loop import load as load_model

        return load_model(spec)

    return politely(load, politeness, threads=json.loads(spec)["options"]["threads"])


if __name__ == "__main__":
    sys.exit(main(sys.argv))
