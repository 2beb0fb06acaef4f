"""What a model runs on, at the running daemon: the best that holds, as log, page and results say."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.broker import Broker
from tests.inference.played import FAKE
from tests.inference.twins import TWIN, WORDS, twins
from tests.system.pictures import window
from tests.system.running import MODELS, ROOT, Client, Daemon, subscribed

CPU = "CPUExecutionProvider"
TENSOR = "application/vnd.gateway.tensor"


def config(model: Path, shape: str) -> str:
    return f"""
gateway: {{id: test}}
models:
  m: {{path: {model}, providers: [{FAKE}, {CPU}]}}
pipelines:
  p: {{model: m, ttl_ms: 20000}}
sensors:
  declared:
    watch:
      streams:
        data: {{topic: watch/data, media: {TENSOR}, dtype: float32, shape: {shape}, delivery: every}}
      pipelines: [p]
http: {{canary_interval_s: 1}}
"""


def daemon_with(tmp_path: Path, broker: Broker, text: str, **script: Any) -> Daemon:
    path = tmp_path / "script.json"
    path.write_text(json.dumps(script))
    places = f"{ROOT / 'tests' / 'plugins'}{os.pathsep}{ROOT}"
    caches = f"gateway.cache_dir={tmp_path / 'cache'}"
    return Daemon(tmp_path, text, broker.url, caches, PYTHONPATH=places, ORT_FAKE_PROVIDER=str(path))


def choice(daemon: Daemon) -> dict[str, Any]:
    (model,) = daemon.status()["models"]
    found: dict[str, Any] = model["engine_choice"]
    return found


@pytest.mark.parametrize(
    ("script", "words"), [({"run": "wrong"}, "golden samples"), ({"load": "sigill"}, "SIGILL")]
)
def test_a_gpu_that_does_not_hold_costs_speed_and_not_service(
    tmp_path: Path, broker: Broker, client: Client, script: dict[str, Any], words: str
) -> None:
    client.subscribe("gw/test/results/#")
    text = config(MODELS / "motion-int8-onnx", "[100, 6]")
    with daemon_with(tmp_path, broker, text, **script) as daemon:
        daemon.ready()
        failed = daemon.wait_event("engine_failed", model="m", engine=f"{FAKE} int8")
        assert words in failed["reason"]
        assert daemon.wait_event("engine_chosen", model="m")["why"].endswith(f"{FAKE} int8 failed")
        found = choice(daemon)
        assert (found["backend"], found["precision"]) == (CPU, "int8")
        assert words in found["failed"][0]
        subscribed(broker, "watch/data")
        client.publish("watch/data", window())
        assert CPU in client.result()["model"]["engine"]
        assert daemon.stop() == 0


def test_results_name_the_twin_and_the_backend_that_answered(
    tmp_path: Path, broker: Broker, client: Client
) -> None:
    at = twins(tmp_path / "m")
    client.subscribe("gw/test/results/#")
    with daemon_with(tmp_path, broker, config(at, "[16]"), build_s=0.3, build_steps=2) as daemon:
        daemon.ready()
        assert daemon.wait_event("engine_building", model="m")["progress"] == "building an engine: 1 of 2"
        assert daemon.wait_event("engine_chosen", model="m")["file"] == TWIN
        subscribed(broker, "watch/data")
        client.publish("watch/data", np.array(WORDS, np.float32).tobytes())
        model = client.result()["model"]
        assert model["digest"] == f"sha256:{hashlib.sha256((at / TWIN).read_bytes()).hexdigest()}"
        assert model["engine"].endswith(f"{FAKE} fp16")
        assert daemon.stop() == 0


def test_a_gpu_that_is_lost_costs_its_owner_and_the_next_one_answers(
    tmp_path: Path, broker: Broker, client: Client
) -> None:
    client.subscribe("gw/test/results/#")
    text = config(MODELS / "motion-int8-onnx", "[100, 6]")
    with daemon_with(tmp_path, broker, text) as daemon:
        daemon.ready()
        script = tmp_path / "script.json"
        script.write_text(json.dumps({"run": "sticky"}))
        lost = daemon.wait_event("worker_lost", model="m")
        assert "the GPU owner, which exited with code 75: " in lost["reason"]
        assert "an illegal memory access was encountered" in lost["reason"]
        script.write_text("{}")
        subscribed(broker, "watch/data")
        client.publish("watch/data", window())
        assert FAKE in client.result()["model"]["engine"]
        assert daemon.stop() == 0
