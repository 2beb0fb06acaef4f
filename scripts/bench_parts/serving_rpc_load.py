"""The load over gRPC, unary or on streams, with messages made before; prints what ``serving_load`` prints."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import grpc
from serving_load import summary

SERVICE = "/inference.GRPCInferenceService"


class RpcLoad:
    """A run."""

    def __init__(self, channel: Any, message: bytes, *, stream: bool) -> None:
        self._message = message
        self._unary = None if stream else channel.unary_unary(f"{SERVICE}/ModelInfer")
        self._stream = channel.stream_stream(f"{SERVICE}/ModelStreamInfer") if stream else None
        self._left = sys.maxsize
        self.took: list[float] = []
        self.failed: list[float] = []
        self.samples: list[tuple[float, float]] = []

    async def closed(self, workers: int, seconds: float, most: int = 0) -> None:
        """Keep so many requests under way for so long, or until so many unary ones were asked."""
        end_s = time.perf_counter() + seconds
        self._left = most or sys.maxsize
        if self._stream is not None:
            await self._on_stream(workers, end_s)
        else:
            await asyncio.gather(*(self._ask_until(end_s) for _ in range(workers)))

    async def open(self, seconds: float, rate: float) -> None:
        """Ask at a fixed rate."""
        assert self._unary is not None
        began_s = time.perf_counter()
        running = []
        for number in range(int(seconds * rate)):
            due_s = began_s + number / rate
            if (left_s := due_s - time.perf_counter()) > 0:
                await asyncio.sleep(left_s)
            running.append(asyncio.ensure_future(self._ask(due_s)))
        await asyncio.gather(*running)

    async def _ask_until(self, end_s: float) -> None:
        while self._left > 0 and (now_s := time.perf_counter()) < end_s:
            self._left -= 1
            await self._ask(now_s)

    async def _ask(self, due_s: float) -> None:
        assert self._unary is not None
        try:
            await self._unary(self._message)
        except grpc.RpcError:
            self.failed.append(time.perf_counter() - due_s)
        else:
            self.took.append(time.perf_counter() - due_s)
        self.samples.append((due_s, time.perf_counter() - due_s))

    async def _on_stream(self, window: int, end_s: float) -> None:
        """Keep a window of requests on one stream; answers come in whatever order."""
        assert self._stream is not None
        call = self._stream()
        sent: list[float] = []
        for _ in range(window):
            sent.append(time.perf_counter())
            await call.write(self._message)
        while sent:
            answer = await call.read()
            now_s = time.perf_counter()
            # An error's message begins with its field 1.
            (self.failed if answer[:1] == b"\x0a" else self.took).append(now_s - sent.pop(0))
            if now_s < end_s:
                sent.append(now_s)
                await call.write(self._message)
        await call.done_writing()


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Return what a run was like."""
    limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{options.port}", limits) as channel:
        load = RpcLoad(channel, options.body.read_bytes(), stream=options.stream)
        began_s, cpu_s = time.perf_counter(), time.process_time()
        if options.rate:
            await load.open(options.seconds, options.rate)
        else:
            await load.closed(options.connections, options.seconds, options.most)
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
    print(json.dumps(asyncio.run(run(parser.parse_args()))))


if __name__ == "__main__":
    main()
