"""A cheap load over HTTP/1.1: bodies made before, connections kept, one thread; prints one JSON object.

Closed loop: every connection asks again when it was answered. Open loop (``--rate``):
requests are due at their times, whatever came back; lateness counts.
"""

from __future__ import annotations

import argparse
import json
import re
import selectors
import socket
import time
from collections import deque
from pathlib import Path
from typing import Any

_RECEIVE_BYTES = 1 << 18
_DECIDED = re.compile(rb"(\d{1,9}) ms after arrival the deadline passed")
_SILENCE_LIMIT_S = 60.0


class Line:
    """One connection."""

    def __init__(self, port: int, request: bytes) -> None:
        self._port = port
        self.sock = dial(port)
        self._request = request
        self.ends = False
        self._got = b""
        self._needed = 0
        self.due_s = self.sent_s = 0.0
        self.ok = False

    def ask(self, due_s: float) -> None:
        """Send the request whole; its answer is on ``feed``."""
        self.due_s, self.sent_s = due_s, time.perf_counter()
        self._got, self._needed = b"", 0
        # Small ones go in one call; a large one blocks until the server takes it.
        sent = self.sock.send(self._request)
        if sent < len(self._request):
            self.sock.setblocking(True)
            self.sock.sendall(memoryview(self._request)[sent:])
            self.sock.setblocking(False)

    def decided_ms(self) -> list[int]:
        """Return how many milliseconds after its arrival the gateway gave the request up, if it says so."""
        return [int(each) for each in _DECIDED.findall(self._got)[:1]]

    def renew(self) -> None:
        """Connect anew, as to servers that end the connection with every answer."""
        self.sock.close()
        self.sock = dial(self._port)
        self.ends = False

    def feed(self) -> bool:
        """Take what came; tell whether the answer is whole."""
        data = self.sock.recv(_RECEIVE_BYTES)
        if not data:
            raise ConnectionError("the server closed a connection")
        self._got += data
        if not self._needed:
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return False
            head = self._got[:end].lower()
            self.ok = head[9:12] == b"200"
            self.ends = head.startswith(b"http/1.0") or b"connection: close" in head
            if (at := head.find(b"content-length:")) < 0:
                raise ConnectionError(f"an answer without length: {head[:200]!r}")
            self._needed = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
        return len(self._got) >= self._needed


def dial(port: int) -> socket.socket:
    """Return a connection."""
    sock = socket.create_connection(("127.0.0.1", port), 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return sock


def request_bytes(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Return a POST."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Load:
    """A run."""

    def __init__(self, port: int, request: bytes, connections: int) -> None:
        self.lines = [Line(port, request) for _ in range(connections)]
        self._selector = selectors.DefaultSelector()
        for line in self.lines:
            self._selector.register(line.sock, selectors.EVENT_READ, line)
        self._heard_s = time.perf_counter()
        self.took: list[float] = []
        self.failed: list[float] = []
        self.decided_ms: list[int] = []
        self.samples: list[tuple[float, float]] = []

    def closed(self, seconds: float, most: int = 0) -> None:
        """Keep every connection busy for so long, or until so many answers."""
        end_s = time.perf_counter() + seconds
        for line in self.lines:
            line.ask(time.perf_counter())
        busy = len(self.lines)
        while busy:
            for line in self._answered(1.0):
                now_s = time.perf_counter()
                if now_s < end_s and not (most and len(self.took) + busy > most):
                    line.ask(now_s)
                else:
                    busy -= 1

    def open(self, seconds: float, rate: float) -> None:
        """Ask at a fixed rate; what finds no free connection waits, and its waiting counts."""
        began_s = time.perf_counter()
        free, due, busy, sent = deque(self.lines), deque[float](), 0, 0
        total = int(seconds * rate)
        while sent < total or due or busy:
            now_s = time.perf_counter()
            while sent < total and began_s + sent / rate <= now_s:
                due.append(began_s + sent / rate)
                sent += 1
            while due and free:
                free.popleft().ask(due.popleft())
                busy += 1
            wait_s = began_s + sent / rate - now_s if sent < total else 1.0
            for line in self._answered(max(0.0, wait_s)):
                free.append(line)
                busy -= 1

    def _answered(self, wait_s: float) -> list[Line]:
        found = []
        ready = self._selector.select(wait_s)
        now_s = time.perf_counter()
        if ready:
            self._heard_s = now_s
        elif now_s - self._heard_s > _SILENCE_LIMIT_S:
            raise ConnectionError(f"no answer for {_SILENCE_LIMIT_S:g} s")
        for key, _ in ready:
            line: Line = key.data
            if line.feed():
                now_s = time.perf_counter()
                took_s = now_s - line.due_s
                if line.ok:
                    self.took.append(took_s)
                else:  # of a deadline that passed, what counts began when it was sent
                    self.failed.append(now_s - line.sent_s)
                    self.decided_ms += line.decided_ms()
                self.samples.append((line.due_s, took_s))
                found.append(line)
                if line.ends:
                    self._selector.unregister(line.sock)
                    line.renew()
                    self._selector.register(line.sock, selectors.EVENT_READ, line)
        return found


def summary(took: list[float], failed: list[float], seconds: float) -> dict[str, Any]:
    """Return what a run was like."""
    took.sort()
    return {
        "rate": len(took) / seconds,
        "answered": len(took),
        "failed": len(failed),
        "p50_ms": quantile(took, 0.5) * 1e3,
        "p99_ms": quantile(took, 0.99) * 1e3,
        "failed_ms": [round(each * 1e3, 3) for each in failed[:20_000]],
    }


def quantile(ordered: list[float], share: float) -> float:
    """Return a quantile of ordered values; NaN for none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--body", type=Path, required=True)
    parser.add_argument("--header", action="append", default=[])
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--most", type=int, default=0)
    parser.add_argument(
        "--samples", action="store_true", help="print every (due at, took), monotonic seconds"
    )
    options = parser.parse_args()
    headers = dict(each.split("=", 1) for each in options.header)
    load = Load(
        options.port, request_bytes(options.path, options.body.read_bytes(), headers), options.connections
    )
    began_s, cpu_s = time.perf_counter(), time.process_time()
    if options.rate:
        load.open(options.seconds, options.rate)
    else:
        load.closed(options.seconds, options.most)
    took_s = time.perf_counter() - began_s
    seen = summary(load.took, load.failed, took_s)
    seen["decided_ms"] = load.decided_ms[:20_000]
    more = {"samples": load.samples} if options.samples else {}
    print(json.dumps({**seen, **more, "load_cpu_share": (time.process_time() - cpu_s) / took_s}))


if __name__ == "__main__":
    main()
