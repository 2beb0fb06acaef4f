"""The load: publishes frames at a constant rate (open loop) or as fast as answers come (closed loop).

Run as a process of its own; prints one JSON object. Latency counts from the
planned time of sending, so a generator that falls behind cannot hide delay.
"""

from __future__ import annotations

import argparse
import json
import selectors
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import wire


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--frames", nargs="+", required=True, help="payload files, sent in turn")
    parser.add_argument("--topic", default="bench/{n}/frame")
    parser.add_argument("--results", default="gw/+/results/#")
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument(
        "--rate", type=float, default=0.0, help="frames a second over all streams; 0: closed loop"
    )
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warm", type=float, default=0.5, help="seconds at the start that are not counted")
    parser.add_argument(
        "--patience", type=float, default=1.0, help="seconds after which a closed loop gives up a frame"
    )
    parser.add_argument("--samples", action="store_true", help="print every (sent at, latency) as well")
    return parser.parse_args()


class Load:
    """One run."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.payloads = [Path(name).read_bytes() for name in options.frames]
        self.out = wire.dial(options.port, f"load-out-{time.monotonic_ns()}")
        self.back = wire.dial(options.port, f"load-in-{time.monotonic_ns()}")
        wire.subscribe(self.back, options.results)
        self.back.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.back, selectors.EVENT_READ)
        self.packets = wire.Packets()
        self.sent: dict[str, tuple[float, int]] = {}
        self.samples: list[tuple[float, float, int]] = []
        self.ages: list[tuple[float, float]] = []  # ms until a lane took the frame, and until it ran
        self.count = 0
        self.run = f"{time.monotonic_ns():x}"  # a frame id that comes twice is a duplicate
        self.bytes_late = 0.0

    def send(self, stream: int, planned_s: float) -> None:
        """Publish the next frame of a stream."""
        frame_id = f"{self.run}-{self.count:x}"
        payload = self.payloads[self.count % len(self.payloads)]
        self.sent[frame_id] = (planned_s, stream)
        self.count += 1
        topic = self.options.topic.format(n=stream)
        self.out.sendall(wire.publish_packet(topic, payload, frame_id=frame_id))

    def receive(self, wait_s: float) -> list[int]:
        """Take answers for at most ``wait_s``; return the streams that were answered."""
        if not self.selector.select(max(0.0, wait_s)):
            return []
        answered = []
        data = self.back.recv(1 << 20)
        now_s = time.monotonic()
        for body in self.packets.feed(data):
            known = self.sent.pop(wire.frame_id_of(body), None)
            if known is not None:
                self.samples.append((known[0], now_s - known[0], known[1]))
                self.ages.append(wire.ages_of(body))
                answered.append(known[1])
        return answered

    def open_loop(self) -> None:
        """Send on time whatever comes back."""
        options = self.options
        start_s = time.monotonic() + 0.05
        total = int(options.rate * options.seconds)
        for number in range(total):
            planned_s = start_s + number / options.rate
            while (left_s := planned_s - time.monotonic()) > 0:
                self.receive(left_s)
            self.bytes_late = max(self.bytes_late, -left_s)
            self.send(number % options.streams, planned_s)
            if number % 4 == 0:
                self.receive(0.0)
        end_s = time.monotonic() + 0.5
        while self.sent and (left_s := end_s - time.monotonic()) > 0:
            self.receive(left_s)

    def closed_loop(self) -> None:
        """Send a stream's next frame when its last one was answered."""
        options = self.options
        end_s = time.monotonic() + options.seconds
        due = dict.fromkeys(range(options.streams), 0.0)
        while (now_s := time.monotonic()) < end_s:
            for stream, due_s in due.items():
                if due_s <= now_s:
                    due[stream] = now_s + options.patience
                    self.send(stream, now_s)
            for stream in self.receive(min(due.values()) - time.monotonic()):
                due[stream] = 0.0

    def report(self, began_s: float) -> dict[str, object]:
        """Return what was measured after the warm-up."""
        options = self.options
        counted = [s for s in self.samples if s[0] - began_s >= options.warm]
        latencies = sorted(latency for _, latency, _ in counted)
        shares = {n: sum(1 for s in counted if s[2] == n) for n in range(options.streams)}
        span_s = options.seconds - options.warm
        report: dict[str, object] = {
            "sent": self.count,
            "answered": len(self.samples),
            "rate": len(counted) / span_s,
            "shares": list(shares.values()),
            "late_ms": self.bytes_late * 1e3,
        }
        if latencies:
            report |= {
                name: latencies[min(len(latencies) - 1, int(len(latencies) * share))] * 1e3
                for name, share in (("p50_ms", 0.5), ("p90_ms", 0.9), ("p99_ms", 0.99), ("max_ms", 1.0))
            }
        for name, ages in zip(("age_taken", "age_run"), zip(*self.ages, strict=True), strict=False):
            report[f"{name}_p99_ms"] = sorted(ages)[int(len(ages) * 0.99)]
        if options.samples:
            report["samples"] = [(sent_s, latency * 1e3, stream) for sent_s, latency, stream in counted]
        return report


def main() -> None:
    """Run and print."""
    load = Load(parse())
    began_s = time.monotonic()
    if load.options.rate:
        load.open_loop()
    else:
        load.closed_loop()
    print(json.dumps(load.report(began_s)))


if __name__ == "__main__":
    main()
