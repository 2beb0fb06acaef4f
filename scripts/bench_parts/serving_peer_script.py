"""The bare script: sockets, a queue, two threads with ONNX Runtime; no protocol, no limits, no errors.

``loop`` as the last word leaves out the sockets as well: the ceiling, printed as one JSON object.
"""

from __future__ import annotations

import json
import queue
import socket
import sys
import threading
import time
from typing import Any

import numpy as np
import onnxruntime as ort

port, model, shape, dtype = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
sizes = tuple(int(size) for size in shape.split(","))
THREADS = 2
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
waiting: queue.SimpleQueue[tuple[socket.socket, bytes]] = queue.SimpleQueue()


def session() -> Any:
    """Return one session on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def work() -> None:
    """Answer what waits."""
    runtime = session()
    name = runtime.get_inputs()[0].name
    while True:
        sock, body = waiting.get()
        scores = runtime.run(None, {name: np.frombuffer(body, dtype).reshape(sizes)})[0]
        data = scores.tobytes()
        sock.sendall(_HEAD % len(data) + data)


def serve(sock: socket.socket) -> None:
    """Take the requests of one connection."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = sock.makefile("rb")
    while stream.readline():
        length = 0
        while (line := stream.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        if length:
            waiting.put((sock, stream.read(length)))
        else:
            sock.sendall(_HEAD % 0)


def loop(seconds: float) -> None:
    """Run both threads as fast as they go."""
    counts = [0] * THREADS
    frame = np.random.default_rng(1).integers(0, 255, sizes).astype(dtype)
    runtimes = [session() for _ in range(THREADS)]
    name = runtimes[0].get_inputs()[0].name
    end_s = time.monotonic() + seconds

    def run(number: int) -> None:
        while time.monotonic() < end_s:
            runtimes[number].run(None, {name: frame})
            counts[number] += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"rate": sum(counts) / seconds}))


if sys.argv[5] == "loop":
    loop(float(sys.argv[6]))
else:
    for _ in range(THREADS):
        threading.Thread(target=work, daemon=True).start()
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
