"""The measurements, each a function that returns what it saw as plain values."""

from __future__ import annotations

import datetime as dt
import http.client
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import harness
from harness import Broker

Figures = dict[str, Any]
_LANES = 2


def median(values: list[float]) -> float:
    """Return the median, rounded for people."""
    return round(statistics.median(values), 3)


def cpu(rounds: int) -> Figures:
    """CPU seconds a frame of all gateway processes over the bare loop's, at saturation with two lanes."""
    ratios, shares, cost, loops = [], [], [], []
    with tempfile.TemporaryDirectory() as folder, Broker() as broker:
        names = harness.frames(Path(folder))
        with harness.gateway(broker, lanes=_LANES) as gateway:
            harness.load(broker, names, "--streams", 8, "--seconds", 2)
            before = harness.bare(names, _LANES, 3)
            for _ in range(rounds):
                cpu_s, done = gateway.cpu_s(), _results(gateway)
                seen = harness.load(broker, names, "--streams", 8, "--seconds", 4)
                cost_ms = (gateway.cpu_s() - cpu_s) / (_results(gateway) - done) * 1e3
                after = harness.bare(names, _LANES, 3)
                loop_ms = (before["cpu_ms"] + after["cpu_ms"]) / 2
                ratios.append(cost_ms / loop_ms)
                shares.append(seen["rate"] / ((before["rate"] + after["rate"]) / 2))
                cost.append(cost_ms)
                loops.append(loop_ms)
                before = after
    return {
        "cpu_ratio": median(ratios),
        "cpu_ratio_all": [round(r, 3) for r in ratios],
        "gateway_cpu_ms_per_frame": median(cost),
        "bare_cpu_ms_per_frame": median(loops),
        "throughput_ratio": median(shares),
        "goal": "cpu_ratio <= 1.15",
    }


def _results(gateway: harness.Gateway) -> int:
    sensors = gateway.get("/status")["sensors"]
    return sum(stream["results"] for sensor in sensors for stream in sensor["streams"])


def latency(rounds: int) -> Figures:
    """Latency over that of the bare loop plus an MQTT echo, open loop at 30 % and 70 % of saturation."""
    added: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, Broker() as broker:
        names = harness.frames(Path(folder))
        with harness.gateway(broker, lanes=_LANES) as gateway:
            assert gateway.ready_s
            limit = harness.load(broker, names, "--streams", 8, "--seconds", 4)["rate"]
            for _ in range(rounds):
                for share in (0.3, 0.7):
                    options = ("--streams", 4, "--rate", limit * share, "--seconds", 5)
                    before = harness.bare(names, 1, 2, limit * share / _LANES)
                    mine = harness.load(broker, names, *options)
                    with harness.part(harness.PARTS / "echo.py", "--port", str(broker.port)):
                        echo = harness.load(broker, names, *options, "--results", "gw/echo/results/#")
                    after = harness.bare(names, 1, 2, limit * share / _LANES)
                    loop = {name: (before[name] + after[name]) / 2 for name in before}
                    for name in ("p50_ms", "p99_ms"):
                        key = f"{name[:3]}_at_{share:.0%}"
                        added.setdefault(f"added_{key}_ms", []).append(mine[name] - echo[name] - loop[name])
                        added.setdefault(f"gateway_{key}_ms", []).append(mine[name])
                        added.setdefault(f"echo_{key}_ms", []).append(echo[name])
                        added.setdefault(f"bare_{key}_ms", []).append(loop[name])
    figures: Figures = {key: median(values) for key, values in added.items()}
    return figures | {"saturation_per_s": round(limit, 1), "goal": "added p50 <= 1.0 ms, p99 <= 5 ms at 30 %"}


def peers(rounds: int) -> Figures:
    """Throughput and p99 beside the forty-line script (MQTT) and Flask with ONNX Runtime (HTTP)."""
    seen: dict[str, list[float]] = {}
    port = harness.free_port()

    def note(**values: float) -> None:
        for key, value in values.items():
            seen.setdefault(key, []).append(value)

    with tempfile.TemporaryDirectory() as folder, Broker() as broker:
        names = harness.frames(Path(folder))
        for _ in range(rounds):
            with harness.gateway(broker, lanes=_LANES):
                harness.load(broker, names, "--streams", 8, "--seconds", 1)
                mine = harness.load(broker, names, "--streams", 8, "--seconds", 4)
            with harness.part(harness.PARTS / "peer_script.py", str(broker.port), harness.MODEL_FILE):
                script = harness.load(
                    broker, names, "--streams", 8, "--seconds", 4, "--results", "gw/script/results/#"
                )
            with harness.part(harness.PARTS / "peer_flask.py", str(port), harness.ONNX_FILE):
                flask = _http_load(port, names, 4.0)
            note(
                gateway_per_s=mine["rate"],
                script_per_s=script["rate"],
                flask_per_s=flask["rate"],
                throughput_vs_script=mine["rate"] / script["rate"],
                throughput_vs_flask=mine["rate"] / flask["rate"],
                p99_vs_script=mine["p99_ms"] / script["p99_ms"],
                p99_vs_flask=mine["p99_ms"] / flask["p99_ms"],
            )
    return {key: median(values) for key, values in seen.items()} | {
        "note": "each at its own saturation with 8 frames under way"
    }


def _http_load(port: int, names: list[str], seconds: float) -> dict[str, float]:
    """Post frames from eight connections at once."""
    payloads = [Path(name).read_bytes() for name in names]
    took: list[float] = []
    _wait_for_http(port)
    end_s = time.monotonic() + seconds

    def post() -> None:
        client = http.client.HTTPConnection("127.0.0.1", port)
        count = 0
        while (began_s := time.monotonic()) < end_s:
            client.request("POST", "/infer", payloads[count % len(payloads)])
            client.getresponse().read()
            took.append(time.monotonic() - began_s)
            count += 1

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took.sort()
    return {"rate": len(took) / seconds, "p99_ms": took[int(len(took) * 0.99)] * 1e3}


def _wait_for_http(port: int) -> None:
    for _ in range(200):
        try:
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            client.request("GET", "/")
            client.getresponse().read()
        except OSError:
            time.sleep(0.05)
        else:
            return


def overload(rounds: int) -> Figures:
    """Ten times the sustainable rate, four streams, one lane: age of what is processed, shares, memory."""
    seen: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, Broker() as broker:
        names = harness.frames(Path(folder), 1280, 720, quality=40)
        with harness.gateway(broker, lanes=1, streams=4) as gateway:
            limit = harness.load(broker, names, "--streams", 4, "--seconds", 4)["rate"]
            harness.load(broker, names, "--streams", 4, "--rate", limit * 10, "--seconds", 2)
            before_mb = sum(map(harness.pss_mb, gateway.pids()))
            for _ in range(max(1, rounds // 2)):
                result = harness.load(broker, names, "--streams", 4, "--rate", limit * 10, "--seconds", 5)
                interval_ms = 4 / (limit * 10) * 1e3
                shares = result["shares"]
                for key, value in {
                    "frame_interval_ms": interval_ms,
                    "age_taken_p99_ms": result["age_taken_p99_ms"],
                    "age_run_p99_ms": result["age_run_p99_ms"],
                    "age_taken_in_intervals_p99": result["age_taken_p99_ms"] / interval_ms,
                    "age_run_in_intervals_p99": result["age_run_p99_ms"] / interval_ms,
                    "share_spread": (max(shares) - min(shares)) / (sum(shares) / 4),
                    "answered_per_s": result["rate"],
                    "late_ms": result["late_ms"],
                }.items():
                    seen.setdefault(key, []).append(value)
            after_mb = sum(map(harness.pss_mb, gateway.pids()))
    return {key: median(values) for key, values in seen.items()} | {
        "sustainable_per_s": round(limit, 1),
        "memory_growth_mb": round(after_mb - before_mb, 1),
        "goal": "age < 2 frame intervals at p99, shares within 10 %, memory flat",
    }


def idle(_rounds: int) -> Figures:
    """Three online sensors, no frames: CPU share and wake-ups a second of each process."""
    with Broker() as broker, harness.gateway(broker, lanes=1, streams=3) as gateway:
        time.sleep(3)
        pids = gateway.pids()
        cpu_before = {pid: harness.cpu_s(pid) for pid in pids}
        wakes_before = {pid: harness.switches(pid) for pid in pids}
        seconds = 30
        time.sleep(seconds)
        share = sum(harness.cpu_s(pid) - cpu_before[pid] for pid in pids) / seconds
        wakes = {pid: (harness.switches(pid) - wakes_before[pid]) / seconds for pid in pids}
    return {
        "cpu_percent_of_a_core": round(share * 100, 3),
        "front_end_wakeups_per_s": round(wakes[pids[0]], 2),
        "lane_wakeups_per_s": round(max(wakes[pid] for pid in pids[1:]), 2),
        "goal": "<= 0.5 % of a core, no loop faster than 1 Hz",
    }


def start(rounds: int) -> Figures:
    """From exec to /readyz 200 with warm caches, one model."""
    took = []
    with Broker() as broker:
        for turn in range(rounds + 1):
            with harness.gateway(broker, lanes=1, streams=1) as gateway:
                if turn:
                    took.append(gateway.ready_s)
    return {"ready_s": median(took), "worst_s": round(max(took), 3), "goal": "<= 1.5 s"}


def memory(_rounds: int) -> Figures:
    """PSS of the front end, of one lane, and what a second lane adds."""
    totals = {}
    with tempfile.TemporaryDirectory() as folder, Broker() as broker:
        names = harness.frames(Path(folder))
        for lanes in (1, 2):
            with harness.gateway(broker, lanes=lanes) as gateway:
                harness.load(broker, names, "--streams", 8, "--seconds", 4)
                front, *workers = map(harness.pss_mb, gateway.pids())
                totals[lanes] = (front, sum(workers))
    return {
        "front_end_mb": round(max(front for front, _ in totals.values()), 1),
        "one_lane_mb": round(totals[1][1], 1),
        "second_lane_adds_mb": round(sum(totals[2]) - sum(totals[1]), 1),
        "goal": "front end <= 80 MB, a second lane adds <= 40 MB",
    }


def crash(rounds: int) -> Figures:
    """A worker killed (-9) at 30 % and 50 % load: what fails, p99 in the next second, time to a new lane."""
    seen: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, Broker() as broker:
        names = harness.frames(Path(folder))
        with harness.gateway(broker, lanes=_LANES) as gateway:
            limit = harness.load(broker, names, "--streams", 8, "--seconds", 3)["rate"]
            for _ in range(max(1, rounds // 2)):
                for share in (0.3, 0.5):
                    for key, value in _one_crash(broker, gateway, names, limit * share).items():
                        seen.setdefault(f"{key}_at_{share:.0%}", []).append(value)
    return {key: median(values) for key, values in seen.items()} | {
        "goal": "only the batch fails, p99 of the next second <= 2x, lane back in <= 1 s"
    }


def _one_crash(broker: Broker, gateway: harness.Gateway, names: list[str], rate: float) -> Figures:
    killed: dict[str, float] = {}
    pid = gateway.lanes()[0]

    def kill() -> None:
        time.sleep(4)
        killed["at"], killed["wall"] = time.monotonic(), time.time()
        os.kill(pid, signal.SIGKILL)

    failed = _crashed(gateway)
    thread = threading.Thread(target=kill)
    thread.start()
    result = harness.load(broker, names, "--streams", 4, "--rate", rate, "--seconds", 7, "--samples")
    thread.join()
    # From the log: asking the gateway meanwhile would be load of its own.
    back = [_unix(e["time"]) for e in gateway.events("lanes_changed") if e["ready"] == _LANES]
    at_s = killed["at"]
    normal = [ms for sent_s, ms, _ in result["samples"] if sent_s < at_s - 0.1]
    after = [ms for sent_s, ms, _ in result["samples"] if at_s <= sent_s < at_s + 1]
    p99 = statistics.quantiles(normal, n=100)[98]
    return {
        "failed_frames": _crashed(gateway) - failed,
        "unanswered_frames": result["sent"] - result["answered"],
        "p99_before_ms": p99,
        "p99_next_second_ms": statistics.quantiles(after, n=100)[98],
        "p99_ratio": statistics.quantiles(after, n=100)[98] / p99,
        "lane_back_s": min(at for at in back if at > killed["wall"]) - killed["wall"],
    }


def _unix(stamp: str) -> float:
    return dt.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def _crashed(gateway: harness.Gateway) -> int:
    count: int = gateway.get("/status")["drops"].get("unavailable.worker_crashed", 0)
    return count


CASES: dict[str, Callable[[int], Figures]] = {
    "cpu": cpu,
    "latency": latency,
    "peers": peers,
    "overload": overload,
    "idle": idle,
    "start": start,
    "memory": memory,
    "crash": crash,
}
