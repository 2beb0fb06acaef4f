"""A worker that lives but does not answer: readiness goes, the worker is replaced, readiness comes back."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.broker import Broker
from tests.system.pictures import window
from tests.system.running import MODELS, Client, Daemon, subscribed, until

# The worker is given up later than its canary gets too old, so that both can be seen.
CONFIG = f"""
gateway: {{id: test}}
models:
  motion: {{path: {MODELS}/motion-int8, run_timeout_s: 8}}
pipelines:
  moves: {{model: motion, ttl_ms: 20000}}
sensors:
  declared:
    watch:
      streams:
        motion:
          {{topic: watch/motion, media: application/vnd.gateway.tensor, dtype: float32, shape: [100, 6],
            delivery: every}}
      pipelines: [moves]
http: {{canary_interval_s: 1, canary_max_age_s: 2}}
"""


def test_a_frozen_worker_costs_readiness_until_it_is_replaced(
    tmp_path: Path, broker: Broker, client: Client
) -> None:
    client.subscribe("gw/test/results/#")
    with Daemon(tmp_path, CONFIG, broker.url) as daemon:
        daemon.ready()
        assert daemon.page("/readyz")[0] == 200
        (pid,) = daemon.lanes("motion")
        os.kill(pid, signal.SIGSTOP)
        until(lambda: daemon.page("/readyz")[0] == 503, "not ready")
        assert "canary:motion" in daemon.status()["gateway"]["reasons"]
        assert daemon.page("/healthz")[0] == 200  # the front end itself is well
        assert daemon.wait_event("worker_lost", model="motion")["worker_pid"] == pid
        until(lambda: daemon.page("/readyz")[0] == 200, "ready again")
        assert daemon.lanes("motion") not in ([], [pid])
        subscribed(broker, "watch/motion")
        client.publish("watch/motion", window())
        assert client.result()["sensor"] == "watch"
        assert daemon.stop() == 0
