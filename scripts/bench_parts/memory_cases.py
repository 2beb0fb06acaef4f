"""Cases of shared memory: what a large input costs through each door, before the same models, in one run."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import mmap
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import harness
import memory_peer
import numpy as np

from gateway.serving.call import InferCall, InputTensor
from gateway.serving.shared_memory.client import MemoryClient
from gateway.serving.shared_memory.local_regions import FOLDER

Figures = dict[str, Any]
_SIZES = (1_000, 60_000, 600_000)
_GOAL_BYTES = 600_000
_CALLS = 300


def handover(rounds: int) -> Figures:
    """Time of one call (p50, µs) by size of its input through the memory door, HTTP/1.1, and a plain copy."""
    seen: Figures = {}
    with tempfile.TemporaryDirectory() as folder, _peer(folder) as (plain_port, port):
        for size in _SIZES:
            body = os.urandom(size)
            with contextlib.ExitStack() as stack:
                ways = {
                    "memory door": stack.enter_context(_memory(folder, body, fills=True)),
                    "memory door, frame in place": stack.enter_context(_memory(folder, body, fills=False)),
                    "gateway's HTTP/1.1": stack.enter_context(_http(port, body)),
                    "plainest HTTP/1.1": stack.enter_context(_http(plain_port, body)),
                    "copy over a Unix socket": stack.enter_context(_copy(folder, body)),
                }
                taken: dict[str, list[float]] = {name: [] for name in ways}
                for _ in range(rounds):
                    for name, call in ways.items():
                        taken[name].append(_p50_us(call))
            found = {name: statistics.median(each) for name, each in taken.items()}
            found["model alone"] = statistics.median(_alone_us(body) for _ in range(rounds))
            seen[f"{size} bytes"] = {name: round(value, 1) for name, value in found.items()}
            if size == _GOAL_BYTES:
                seen.update(_compared(found))
    seen["reading 600 KB, µs"] = _reading()
    seen["goal"] = "the memory door removes >= 60 % of the p50 of the gateway's HTTP at 600 KB"
    return seen


CASES = {"handover": handover}


def _compared(found: dict[str, float]) -> Figures:
    door, alone = found["memory door"], found["model alone"]
    seen: Figures = {}
    for name in ("gateway's HTTP/1.1", "plainest HTTP/1.1"):
        web = found[name]
        added = 1 - (door - alone) / (web - alone)
        seen[f"removed of {name}"] = f"{1 - door / web:.0%} of p50, {added:.0%} of what it adds"
    seen["failed"] = door > 0.4 * found["gateway's HTTP/1.1"]
    return seen


@contextlib.contextmanager
def _peer(folder: str) -> Iterator[tuple[int, int]]:
    command = [sys.executable, str(harness.PARTS / "memory_peer.py"), folder]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        _, plain_port, port = process.stdout.readline().split()
        yield int(plain_port), int(port)
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


@contextlib.contextmanager
def _memory(folder: str, body: bytes, *, fills: bool) -> Iterator[Callable[[], object]]:
    """Ask through the memory door; ``fills``: the frame is copied into the region with every call."""
    with MemoryClient(f"{folder}/memory") as client:
        frames, answers = client.share("frames", len(body)), client.share("answers", 8192)
        frame, into = frames.tensor((len(body),), np.uint8), answers.part()
        frames.view[:] = body
        ask = client.prepare("bench", {"IN": frame}, into)

        def call() -> object:
            if fills:
                frames.view[:] = body
            return ask()["SCORES"].copy()

        yield call


@contextlib.contextmanager
def _http(port: int, body: bytes) -> Iterator[Callable[[], object]]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.connect()
    client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "IN",
                    "datatype": "UINT8",
                    "shape": [len(body)],
                    "parameters": {"binary_data_size": len(body)},
                }
            ],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    headers = {"inference-header-content-length": str(len(head)), "content-type": "application/octet-stream"}

    def call() -> object:
        client.request("POST", "/v2/models/bench/infer", head + body, headers)
        answer = client.getresponse()
        if answer.status != http.client.OK:
            raise RuntimeError(answer.read().decode())
        return answer.read()

    yield call
    client.close()


@contextlib.contextmanager
def _copy(folder: str, body: bytes) -> Iterator[Callable[[], object]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(f"{folder}/plain")
        length = memory_peer.LENGTH

        def call() -> object:
            sock.sendall(length.pack(len(body)))
            sock.sendall(body)
            answer = bytearray()
            while len(answer) < length.size or len(answer) < length.size + length.unpack_from(answer)[0]:
                answer += sock.recv(65_536)
            return answer

        yield call


def _p50_us(call: Callable[[], object]) -> float:
    for _ in range(20):
        call()
    taken = []
    for _ in range(_CALLS):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e6


def _alone_us(body: bytes) -> float:
    """Return what the model takes without any door."""

    async def run() -> float:
        models = memory_peer.PageModels()
        call = InferCall("bench", (InputTensor("IN", "UINT8", (len(body),), body),), 0.0, 0.0)
        taken = []
        for _ in range(_CALLS):
            began = time.perf_counter()
            await models.infer(call)
            taken.append(time.perf_counter() - began)
        return statistics.median(taken) * 1e6

    return asyncio.run(run())


def _reading() -> Figures:
    """What an object of /dev/shm costs to be read safely, and how a mapping compares, which may fault."""
    size, path = _GOAL_BYTES, f"{FOLDER}/gateway-bench-{os.getpid()}"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.pwrite(fd, os.urandom(size), 0)
        with mmap.mmap(fd, size) as mapped:
            return {
                "pread of the descriptor": round(_p50_us(lambda: os.pread(fd, size, 0)), 1),
                "copy out of a mapping": round(_p50_us(lambda: mapped[:]), 1),
                "map, copy, unmap": round(_p50_us(lambda: _mapped_once(fd, size)), 1),
            }
    finally:
        os.close(fd)
        Path(path).unlink()


def _mapped_once(fd: int, size: int) -> bytes:
    with mmap.mmap(fd, size) as mapped:
        return mapped[:]
