"""The worker process: the outside of it. Dies with its parent, ignores what ends the group, loads politely.

Started by ``gateway.inference.body`` as ``python -m gateway.inference.worker
SOCKET PAGE PAGE KIN``: four inherited descriptors. It holds no secret and no
connection but to its parent. Nothing heavy is imported here: libraries and
model are loaded by a thread that gives way to the lanes that serve meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import GatewayError
from gateway.inference.confine import confine, needs_devices
from gateway.inference.pages import ReadOnlyPage
from gateway.inference.wire import HEADER, Head, encode
from gateway.operations.child_start import die_with_parent

if TYPE_CHECKING:
    from gateway.inference.loaded import LoadedModel

_OOM_SCORE = "500"  # under memory pressure the kernel takes a worker, not the front end


def main(argv: list[str]) -> int:
    """Serve batches until the front end closes the socket; return an exit code only if nothing was served."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C and systemd's stop reach the whole
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # group: the front end drains, then closes us
    front_end = os.getppid()
    die_with_parent(front_end)
    _offer_to_the_oom_killer()
    channel = socket.socket(fileno=int(argv[1]))
    head, _ = _read(channel) or ({}, b"")
    if not head:
        return 0
    options = json.loads(head["spec"])["options"]
    confined = confine(devices=needs_devices(options["providers"], options["delegates"]))
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
    serve(Line(channel, pages, kin if may_divide else None, front_end), (model, confined), _read)
    # In a process that came of another's fork, a runtime would wait for threads that stayed behind.
    os._exit(0)


def _load_politely(spec: str, politeness: int) -> LoadedModel:
    """Load and warm up with less weight than the lanes that serve meanwhile.

    Linux weighs threads one by one, and only root may take politeness back: so
    a thread of its own loads, and this one serves. The runtime's own threads
    would inherit it, so a model that has some is loaded here.
    """

    def load() -> LoadedModel:
        from gateway.inference.worker_loop import load as load_model

        return load_model(spec)

    if json.loads(spec)["options"]["threads"] > 1:
        return load()
    return _in_polite_thread(load, politeness)


def _in_polite_thread(load: Callable[[], LoadedModel], politeness: int) -> LoadedModel:
    loaded: list[LoadedModel] = []
    errors: list[BaseException] = []

    def work() -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), politeness)
        try:
            loaded.append(load())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            errors.append(error)

    thread = threading.Thread(target=work, name="load")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return loaded[0]


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


def _offer_to_the_oom_killer() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
