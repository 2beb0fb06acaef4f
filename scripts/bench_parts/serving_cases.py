"""The serving doors beside other servers: each ratio side by side in one run, same model and frames.

The load shares the two cores with what is measured, so ratios count; a peer that
does not install here is said to be not there.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import socket
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parent))

import harness
import serving_peers
from serving_load import quantile, request_bytes
from serving_models import Served, made
from serving_peers import Missing
from serving_targets import Daemon, Process, Way, message_to

Figures = dict[str, Any]
# A server is saturated where more connections bring no more: each is asked on both, and the better counts.
CONNECTIONS: Final = (8, 32)
SECONDS: Final = 3.0
GOAL: Final = (
    "throughput >= script, triton, mlserver, litserve; over flask >= 5 (or 0.9 of the ceiling), its "
    "p99 / 6; alone p50 <= 0.8 of the best; stream >= 2 unary; memory removes >= 60 %; late p99 <= 5 ms; "
    "0 done for who left; 1,000 idle <= 30 MB; memory flat"
)


def serving(rounds: int, *, requests: int = 100_000, seconds: float = SECONDS) -> Figures:
    """Throughput, latency, deadlines, leaving clients and memory of the doors, beside other servers."""
    figures: Figures = {"rounds": rounds, "others_at_work": rounded(os.getloadavg()[0])}
    with tempfile.TemporaryDirectory(prefix="bench-models-") as place:
        models = made(Path(place))
        for name in ("eff", "small"):
            figures |= beside_peers(models[name], models, rounds, seconds)
        with Daemon(list(models.values()), models["small"]) as daemon:
            figures |= doors(daemon, models, rounds, seconds)
            figures |= late(daemon, models, seconds)
            with one_core_free(daemon):
                figures |= late(daemon, models, seconds, "core_free_")
            figures |= leaving(daemon, models["slow"])
            figures |= idle_connections(daemon, 1000)
            figures |= flatness(daemon, requests)
    return figures | {"goal": GOAL}


def beside_peers(served: Served, models: dict[str, Served], rounds: int, seconds: float) -> Figures:
    """Every server at its own saturation and, with the classifier, at 30 and 70 % of one bare loop's rate."""
    seen: dict[str, list[float]] = {}
    missing: dict[str, str] = {}
    for _ in range(rounds):
        ceiling = serving_peers.ceiling(served, max(1.0, seconds / 2))
        note(seen, "ceiling_per_s", ceiling)
        for make in makers(served, models):
            target = make()
            if isinstance(target, Missing):
                missing[target.name] = target.why
                continue
            try:
                with target:
                    measure(seen, target, ceiling, seconds, paced=served.name == "eff")
            except RuntimeError as error:
                missing[target.name] = str(error)[-200:]
        at_their_load(seen, served, models, seconds)
    return {f"{served.name}/{key}": value for key, value in ratios(seen).items()} | {
        f"{served.name}/{name}": f"not there: {why}" for name, why in missing.items()
    }


def makers(served: Served, models: dict[str, Served]) -> Iterator[Callable[[], Process | Missing]]:
    """Yield how to make each target; the gateway is among them as any other."""
    yield lambda: Daemon([models[served.name]], served)
    yield lambda: serving_peers.script(served)
    yield lambda: serving_peers.flask(served, "dev")
    yield lambda: serving_peers.flask(served, "waitress")
    yield lambda: serving_peers.triton(served)
    yield lambda: serving_peers.triton(served, 8)
    yield lambda: serving_peers.litserve(served)
    yield lambda: serving_peers.mlserver(served)


def measure(
    seen: dict[str, list[float]], target: Process, ceiling: float, seconds: float, *, paced: bool
) -> None:
    """Note what one target does over HTTP."""
    target.load("--seconds", seconds / 3, "--connections", CONNECTIONS[0])
    tried = {count: target.load("--seconds", seconds, "--connections", count) for count in CONNECTIONS}
    best = max(tried, key=lambda count: tried[count]["rate"])
    full = tried[best]
    one = target.load("--seconds", seconds / 2, "--connections", 1)
    name = target.name
    note(seen, f"{name}_per_s", full["rate"])
    note(seen, f"{name}_connections", best)
    note(seen, f"{name}_over_ceiling", full["rate"] / ceiling)
    note(seen, f"{name}_saturated_p99_ms", full["p99_ms"])
    note(seen, f"{name}_alone_p50_ms", one["p50_ms"])
    note(seen, f"{name}_failed", full["failed"])
    for share in (0.3, 0.7) if paced else ():
        # Of one bare loop: half of what two threads do.
        load = target.load("--seconds", seconds, "--connections", 64, "--rate", ceiling / 2 * share)
        note(seen, f"{name}_p50_at_{share:.0%}_ms", load["p50_ms"])
        note(seen, f"{name}_p99_at_{share:.0%}_ms", load["p99_ms"])
    if name.startswith("flask"):
        load = target.load("--seconds", seconds, "--connections", 64, "--rate", full["rate"])
        note(seen, f"{name}_p99_at_its_load_ms", load["p99_ms"])


def at_their_load(
    seen: dict[str, list[float]], served: Served, models: dict[str, Served], seconds: float
) -> None:
    """Note what the gateway does where Flask is saturated: as many requests, as regularly."""
    names = [key.removesuffix("_p99_at_its_load_ms") for key in seen if key.endswith("_p99_at_its_load_ms")]
    with Daemon([models[served.name]], served) as daemon:
        daemon.load("--seconds", seconds / 3, "--connections", CONNECTIONS[0])  # as the others were
        for name in names:
            rate = seen[f"{name}_per_s"][-1]
            load = daemon.load("--seconds", seconds, "--connections", 64, "--rate", rate)
            note(seen, f"gateway_p99_at_load_of_{name}_ms", load["p99_ms"])
            theirs = seen[f"{name}_p99_at_its_load_ms"][-1]
            note(seen, f"p99_at_its_load_over_{name}", load["p99_ms"] / theirs)


def ratios(seen: dict[str, list[float]]) -> Figures:
    """Return medians, and the gateway over each peer, round by round."""
    figures: Figures = {key: rounded(statistics.median(values)) for key, values in seen.items()}
    peers = [key.removesuffix("_per_s") for key in seen if key.endswith("_per_s")]
    for peer in peers:
        if peer in ("gateway", "ceiling") or "gateway_per_s" not in seen:
            continue
        for what, mark in (
            ("_per_s", "throughput"),
            ("_saturated_p99_ms", "saturated_p99"),
            ("_alone_p50_ms", "alone_p50"),
        ):
            pairs = zip(seen[f"gateway{what}"], seen[f"{peer}{what}"], strict=False)
            figures[f"{mark}_over_{peer}"] = rounded(
                statistics.median(ours / theirs for ours, theirs in pairs)
            )
    return figures


def doors(daemon: Daemon, models: dict[str, Served], rounds: int, seconds: float) -> Figures:
    """The gateway's doors beside each other: small requests, 600 KB with and without shared memory."""
    seen: dict[str, list[float]] = {}
    message = message_to(models["small"])
    for _ in range(rounds):
        unary = daemon.load_rpc(message, "--seconds", seconds)
        stream = daemon.load_rpc(message, "--seconds", seconds, "--stream")
        plain_http = daemon.load("--seconds", seconds)
        note(seen, "grpc_unary_per_s", unary["rate"])
        note(seen, "grpc_stream_per_s", stream["rate"])
        note(seen, "grpc_stream_over_unary", stream["rate"] / unary["rate"])
        note(seen, "http_per_s", plain_http["rate"])
        plain = daemon.load_of(daemon.way_of(models["sink"]), "--seconds", seconds, "--connections", 1)
        with shared(daemon, models["sink"]) as way:
            system = daemon.load_of(way, "--seconds", seconds, "--connections", 1)
        memory = memory_p50_ms(daemon, models["sink"], seconds)
        note(seen, "600_kb_http_p50_ms", plain["p50_ms"])
        note(seen, "600_kb_system_memory_p50_ms", system["p50_ms"])
        note(seen, "600_kb_memory_door_p50_ms", memory)
        note(seen, "600_kb_removed_by_system_memory", 1 - system["p50_ms"] / plain["p50_ms"])
        note(seen, "600_kb_removed_by_memory_door", 1 - memory / plain["p50_ms"])
        note(seen, "doors_failed", unary["failed"] + stream["failed"] + plain["failed"] + system["failed"])
    return {key: rounded(statistics.median(values)) for key, values in seen.items()}


@contextlib.contextmanager
def shared(daemon: Daemon, served: Served) -> Iterator[Way]:
    """Register a region of /dev/shm that holds a frame; yield the request that names it."""
    data = served.frame.tobytes()
    path = Path("/dev/shm") / f"bench-{daemon.pid}"  # noqa: S108 - where system shared memory is
    path.write_bytes(data)

    def post(page: str, said: object) -> None:
        client = http.client.HTTPConnection("127.0.0.1", daemon.way.port, timeout=10)
        client.request("POST", f"/v2/systemsharedmemory{page}", json.dumps(said))
        assert client.getresponse().status == http.client.OK
        client.close()

    try:
        post("/region/frame/register", {"key": f"/{path.name}", "offset": 0, "byte_size": len(data)})
        where = {"shared_memory_region": "frame", "shared_memory_byte_size": len(data)}
        tensor = {
            "name": served.input,
            "datatype": served.datatype,
            "shape": list(served.frame.shape),
            "parameters": where,
        }
        body = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
        yield Way(
            daemon.way.port, f"/v2/models/{served.name}/infer", body, {"Content-Type": "application/json"}
        )
        post("/region/frame/unregister", {})
    finally:
        path.unlink()


def memory_p50_ms(daemon: Daemon, served: Served, seconds: float) -> float:
    """Return the median of calls through the memory door, one at a time."""
    from gateway.serving.shared_memory.client import MemoryClient

    took = []
    with MemoryClient(str(daemon.socket)) as client:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            began_s = time.perf_counter()
            client.infer(served.name, {served.input: served.frame})
            took.append((time.perf_counter() - began_s) * 1e3)
    return statistics.median(took)


def late(
    daemon: Daemon, models: dict[str, Served], seconds: float, prefix: str = "", timeout_ms: int = 30
) -> Figures:
    """How long after its deadline a request over each door is answered whose model is busy for longer.

    The lanes compute all the time. Where they take every core, what is measured is also how long the
    system lets the front end, and the load, wait for one. What is decided late is the gateway's own
    part, in whole milliseconds and as it says itself; the rest is the way there and back.
    """
    way = daemon.way_of(models["slow"], timeout_ms * 1000)
    load = daemon.load_of(way, "--seconds", seconds, "--connections", 16, "--rate", 100)
    message = message_to(models["slow"], timeout_ms * 1000)
    rpc = daemon.load_rpc(message, "--seconds", seconds, "--rate", 100)
    over, rpc_over = (sorted(took_ms - timeout_ms for took_ms in each["failed_ms"]) for each in (load, rpc))
    decided = sorted(after_ms - timeout_ms for after_ms in load["decided_ms"])
    return {
        f"{prefix}deadline_ms": timeout_ms,
        f"{prefix}deadlines_passed": len(over),
        f"{prefix}answered_late_p50_ms": rounded(quantile(over, 0.5)),
        f"{prefix}answered_late_p99_ms": rounded(quantile(over, 0.99)),
        f"{prefix}decided_late_p99_ms": rounded(quantile(decided, 0.99)),
        f"{prefix}grpc_answered_late_p50_ms": rounded(quantile(rpc_over, 0.5)),
        f"{prefix}grpc_answered_late_p99_ms": rounded(quantile(rpc_over, 0.99)),
    }


@contextlib.contextmanager
def one_core_free(daemon: Daemon) -> Iterator[None]:
    """Keep the lanes off one core while the block runs."""
    every = os.sched_getaffinity(0)
    lanes = descendants(daemon.pid)
    for pid in lanes:
        os.sched_setaffinity(pid, every - {min(every)} or every)
    try:
        yield
    finally:
        for pid in lanes:
            os.sched_setaffinity(pid, every)


def descendants(pid: int) -> list[int]:
    """Return the processes that a process started, and those that they did."""
    found = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found + [below for each in found for below in descendants(each)]


def leaving(daemon: Daemon, slow: Served, clients: int = 60) -> Figures:
    """How much work is done for clients that left while their requests waited: what ran already may end."""
    way = daemon.way_of(slow)
    request = request_bytes(way.path, way.body, dict(way.headers))
    before = settled(daemon, slow)
    staying = [asked(way.port, request) for _ in range(6)]
    time.sleep(0.05)  # these are in the lanes, or first in the queue
    gone = [asked(way.port, request) for _ in range(clients)]
    time.sleep(0.05)  # read, and waiting
    for sock in gone:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
        sock.close()
    for sock in staying:
        sock.settimeout(60)
        sock.recv(65_536)
        sock.close()
    done = settled(daemon, slow) - before
    return {"clients_that_left": clients, "work_done_for_them": done - len(staying)}


def settled(daemon: Daemon, served: Served) -> int:
    """Return how many rows a model has answered once that does not change any more."""
    count = daemon.inferences(served)
    while True:
        time.sleep(1.0)
        again = daemon.inferences(served)
        if again == count:
            return count
        count = again


def asked(port: int, request: bytes) -> socket.socket:
    """Send a request and return its connection."""
    sock = socket.create_connection(("127.0.0.1", port), 10)
    sock.sendall(request)
    return sock


def idle_connections(daemon: Daemon, count: int) -> Figures:
    """What connections cost on which nothing happens."""
    before_kb = harness.rss_kb(daemon.pid)
    socks = []
    try:
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", daemon.way.port), 10)
            sock.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            sock.recv(65_536)
            socks.append(sock)
        after_kb = harness.rss_kb(daemon.pid)
    finally:
        for sock in socks:
            sock.close()
    return {"idle_connections": count, "idle_connections_mb": rounded((after_kb - before_kb) / 1024)}


def flatness(daemon: Daemon, requests: int) -> Figures:
    """Memory of the front end after a first twentieth of so many requests, and after all of them."""
    first = max(1, requests // 20)
    daemon.load("--seconds", 3600, "--most", first)
    before_kb = harness.rss_kb(daemon.pid)
    load = daemon.load("--seconds", 3600, "--most", requests - first)
    return {
        "requests": first + load["answered"],
        "requests_failed": load["failed"],
        "growth_mb": rounded((harness.rss_kb(daemon.pid) - before_kb) / 1024),
    }


def note(seen: dict[str, list[float]], key: str, value: float) -> None:
    """Keep a figure of one round."""
    seen.setdefault(key, []).append(value)


def rounded(value: float) -> float | None:
    """Return a figure as people read it; None where there is none."""
    return None if math.isnan(value) else round(value, 3)


CASES: dict[str, Callable[..., Figures]] = {"serving": serving}
