"""A set-up with one sensor whose frames take as long as ``trouble_steps.SLOW_S`` where they ask for it."""

from __future__ import annotations

import os

from tests.system.running import MODELS, ROOT

PYTHONPATH = f"{ROOT / 'tests' / 'plugins'}{os.pathsep}{ROOT}"
TOPIC = "watch/motion"
CONFIG = f"""
gateway: {{id: test}}
models:
  motion: {{path: {MODELS}/motion-int8}}
pipelines:
  moves:
    model: motion
    ttl_ms: 60000
    preprocess: [trouble, window: {{carry: false}}]
    publish: {{qos: 1}}
sensors:
  declared:
    watch:
      streams:
        motion:
          {{topic: {TOPIC}, media: application/vnd.gateway.tensor, dtype: float32, shape: [100, 6],
            delivery: every, qos: 1}}
      pipelines: [moves]
"""
