"""The load over gRPC, unary or on streams, with messages made before; prints what ``serving_load`` prints."""

from __future__ import annotations

import argparse
import json
import select
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from grpc_frames import Heard, Wire
from serving_load import summary

SERVICE = "/inference.GRPCInferenceService"
_SILENCE_LIMIT_S = 60.0


class RpcLoad:
    """A run on one connection, as clients of gRPC share one."""

    def __init__(self, port: int, message: bytes, *, stream: bool) -> None:
        self._wire = Wire(port, f"{SERVICE}/{'ModelStreamInfer' if stream else 'ModelInfer'}")
        self._message = message
        self._poll = select.poll()
        self._poll.register(self._wire.sock, select.POLLIN)
        # Of unary calls, by stream: when each was due, when it was sent, and whether a message came.
        self._under_way: dict[int, tuple[float, float, bool]] = {}
        # Of one stream, in the order asked: answers come in whatever order.
        self._asked: deque[float] = deque()
        self.took: list[float] = []
        self.failed: list[float] = []
        self.samples: list[tuple[float, float]] = []

    def closed(self, workers: int, seconds: float, most: int = 0) -> None:
        """Keep so many unary requests under way for so long, or until so many were asked."""
        end_s = time.perf_counter() + seconds
        left = most or sys.maxsize
        for _ in range(min(workers, left)):
            self._ask(time.perf_counter())
        left -= workers
        while self._under_way:
            for _ in range(self._ended(_SILENCE_LIMIT_S)):
                if left > 0 and (now_s := time.perf_counter()) < end_s:
                    left -= 1
                    self._ask(now_s)

    def open(self, seconds: float, rate: float) -> None:
        """Ask at a fixed rate, whatever came back."""
        began_s = time.perf_counter()
        total = int(seconds * rate)
        sent = 0
        while sent < total or self._under_way:
            now_s = time.perf_counter()
            while sent < total and (due_s := began_s + sent / rate) <= now_s:
                self._ask(due_s)
                sent += 1
            wait_s = began_s + sent / rate - time.perf_counter() if sent < total else _SILENCE_LIMIT_S
            self._ended(max(0.0, wait_s))

    def streamed(self, window: int, seconds: float) -> None:
        """Keep a window of requests on one stream."""
        end_s = time.perf_counter() + seconds
        stream, begin = self._wire.call()
        for number in range(window):
            self._asked.append(time.perf_counter())
            self._wire.send(b"" if number else begin, stream, self._message, ends=False)
        while self._asked:
            for each in self._heard(_SILENCE_LIMIT_S):
                if each.message is None:
                    raise ConnectionError("the server ended the stream")
                now_s = time.perf_counter()
                # An error's message begins with its field 1.
                took = self.failed if each.message[:1] == b"\x0a" else self.took
                took.append(now_s - self._asked.popleft())
                if now_s < end_s:
                    self._asked.append(now_s)
                    self._wire.send(b"", stream, self._message, ends=False)

    def _ask(self, due_s: float) -> None:
        stream, begin = self._wire.call()
        self._under_way[stream] = due_s, time.perf_counter(), False
        self._wire.send(begin, stream, self._message, ends=True)

    def _ended(self, wait_s: float) -> int:
        """Note what came meanwhile; return how many calls ended."""
        count = 0
        for each in self._heard(wait_s):
            due_s, sent_s, answered = self._under_way.pop(each.stream)
            if each.message is not None:
                self._under_way[each.stream] = due_s, sent_s, True
                continue
            now_s = time.perf_counter()
            if answered:
                self.took.append(now_s - due_s)
            else:  # of a deadline that passed, what counts began when it was sent
                self.failed.append(now_s - sent_s)
            self.samples.append((due_s, now_s - due_s))
            count += 1
        return count

    def _heard(self, wait_s: float) -> list[Heard]:
        if self._poll.poll(wait_s * 1e3):
            return self._wire.receive()
        if wait_s >= _SILENCE_LIMIT_S:
            raise ConnectionError(f"no answer for {_SILENCE_LIMIT_S:g} s")
        return []


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Return what a run was like."""
    load = RpcLoad(options.port, options.body.read_bytes(), stream=options.stream)
    began_s, cpu_s = time.perf_counter(), time.process_time()
    if options.rate:
        load.open(options.seconds, options.rate)
    elif options.stream:
        load.streamed(options.connections, options.seconds)
    else:
        load.closed(options.connections, options.seconds, options.most)
    took_s = time.perf_counter() - began_s
    seen = summary(load.took, load.failed, took_s)
    seen |= {"samples": load.samples} if options.samples else {}
    return {**seen, "load_cpu_share": (time.process_time() - cpu_s) / took_s}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--body", type=Path, required=True)
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--most", type=int, default=0)
    parser.add_argument(
        "--samples", action="store_true", help="print every (due at, took), monotonic seconds"
    )
    print(json.dumps(run(parser.parse_args())))


if __name__ == "__main__":
    main()
