"""What the tests of model updates share: one sensor, one model, frames that are counted one for one."""

from __future__ import annotations

import os
from typing import Any

from tests.system.pictures import window
from tests.system.running import MODELS, ROOT, Client, Daemon

PLUGINS = f"{ROOT / 'tests' / 'plugins'}{os.pathsep}{ROOT}"
KILL, SLOW = 9001.0, 9005.0
QUICK = {"requests": 0, "seconds": 0.5}  # a bake that is over soon, with nobody there
TENSOR: dict[str, Any] = {
    "content_type": "application/vnd.gateway.tensor",
    "dtype": "float32",
    "shape": "100,6",
}
CONFIG = f"""
gateway: {{id: test}}
models:
  motion: {{path: {MODELS}/motion-int8}}
pipelines:
  moves: {{model: motion, ttl_ms: 20000}}
sensors:
  declared:
    watch: {{streams: {{motion: {{topic: watch/motion, delivery: every}}}}, pipelines: [moves]}}
"""


class Frames:
    """Sends frames and counts the results, one for one."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.sent = 0
        self.versions: list[str] = []

    def send(self, count: int, trouble: float | None = None) -> None:
        """Send frames and wait for the result of each; ``trouble`` is their first number."""
        for _ in range(count):
            self.sent += 1
            self.client.publish("watch/motion", window(first=trouble), id=f"f{self.sent}", **TENSOR)
            result = self.client.result(lambda found: "prediction" in found)
            assert result["frame"]["id"] == f"f{self.sent}"
            self.versions.append(result["model"]["version"])


def release_of(daemon: Daemon, model: str = "motion") -> dict[str, Any]:
    """Return what /status says of a model's release."""
    found: dict[str, Any] = next(m for m in daemon.status()["models"] if m["name"] == model)["release"]
    return found


def steps(daemon: Daemon, model: str = "motion") -> list[str]:
    """Return the steps of a model's rollout so far."""
    return [e["step"] for e in daemon.events if e["event"] == "release_step" and e["model"] == model]
