"""The example of docs/mqtt-requests.md, run before the running daemon."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.broker import Broker
from tests.system.running import MODELS, ROOT, Daemon, subscribed

CONFIG = f"""
gateway: {{id: porch}}
models:
  motion: {{path: {MODELS / "motion-int8-onnx"}}}
"""


def test_the_example_in_the_docs_is_answered(tmp_path: Path, broker: Broker) -> None:
    text = (ROOT / "docs" / "mqtt-requests.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "ask.py").write_text(example)
    window = MODELS / "motion-int8-onnx" / "golden" / "running.f32"
    with Daemon(tmp_path, CONFIG, broker.url) as daemon:
        daemon.ready()
        subscribed(broker, "gw/porch/v2/models/+/infer")
        done = subprocess.run(
            [sys.executable, tmp_path / "ask.py", "127.0.0.1", str(broker.port), window],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        correlation, answer = done.stdout.split(" ", 1)
        assert correlation == "b'7'"
        said = json.loads(answer)
        (output,) = said["outputs"]
        assert (said["model_name"], output["shape"]) == ("motion", [1, 4])
        labels = (MODELS / "motion-int8-onnx" / "labels.txt").read_text().split()
        assert labels[max(range(4), key=output["data"].__getitem__)] == "running"
        assert 'gateway_mqtt_requests_total{outcome="answered"} 1' in daemon.page("/metrics")[1].decode()
        assert daemon.stop() == 0
