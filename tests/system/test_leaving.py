"""What a client gives up never runs, whichever door it came by, and whoever stays gets the very same bits."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.broker import Broker
from tests.system.http_leavers import ANSWER_BYTES, Array, House, Http1, Leaver, body_of
from tests.system.leavers import LEAVERS
from tests.system.running import MODELS, Client, Daemon, subscribed, until
from tests.system.service import handing_over, listening

MOST_ROWS = 8
BUSY = 3
REQUESTS = "gw/test/v2/models/+/infer"
CONFIG = f"""
gateway: {{id: test}}
http: {{canary_interval_s: 3600, canary_max_age_s: 7200}}
scaling: {{enabled: false}}
models:
  motion: {{path: {MODELS}/motion-int8-onnx, lanes: 1, max_batch_rows: {MOST_ROWS}, run_timeout_s: 600}}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("leaving")
    with contextlib.closing(listening(folder / "http")) as control, Broker("log_type subscribe") as broker:
        before = handing_over({"control": control})
        memory = f"serving.shared_memory.socket={folder}/memory"
        with (
            Daemon(folder, CONFIG, broker.url, memory, before=before) as daemon,
            Client(broker.port) as client,
        ):
            daemon.ready()
            subscribed(broker, REQUESTS)
            yield House(daemon, folder, client)
            assert daemon.stop() == 0


def windows(count: int) -> list[Array]:
    random = np.random.default_rng(11)
    return [random.normal(size=(1, 100, 6)).astype(np.float32) for _ in range(count)]


def alone(house: House, frame: Array) -> bytes:
    """Return what a window gives that nobody shares a batch with."""
    with Http1(house) as asking:
        asking.ask(frame, goes=False)
        (found,) = asking.answers()
        return bytes(found)


def ran(house: House) -> Counter[int]:
    """Return how many batches of how many rows the model has run, as its statistics say."""
    (said,) = json.loads(house.daemon.page("/v2/models/motion/stats")[1])["model_stats"]
    assert said["execution_count"] == sum(each["compute_infer"]["count"] for each in said["batch_stats"])
    return Counter({each["batch_size"]: each["compute_infer"]["count"] for each in said["batch_stats"]})


def gauge(house: House, name: str) -> int:
    page = house.daemon.page("/metrics")[1].decode()
    return int(float(next(line for line in page.splitlines() if line.startswith(name)).rpartition(" ")[2]))


def queued(house: House) -> int:
    """Return how many rows wait."""
    return gauge(house, 'gateway_queue_rows{model="motion"}')


@contextlib.contextmanager
def busy_lane(house: House) -> Iterator[None]:
    """Stop the one lane with all the batches that it takes, and one request more in the queue."""

    def is_full() -> bool:
        return gauge(house, "gateway_mqtt_requests_pending") == BUSY and queued(house) == MOST_ROWS

    (pid,) = house.daemon.lanes("motion")
    os.kill(pid, signal.SIGSTOP)
    try:
        house.client.subscribe("replies/busy")
        for frame in np.zeros((BUSY, MOST_ROWS, 100, 6), np.float32):
            json_bytes, body = body_of(frame)
            where: dict[str, Any] = {"inference-header-content-length": str(json_bytes)}
            house.client.publish(
                REQUESTS.replace("+", "motion"), body, response_topic="replies/busy", **where
            )
        until(lambda: is_full() and is_full(), "the lane is busy")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("leaver", LEAVERS, ids=[each.__name__ for each in LEAVERS])
def test_what_is_given_up_never_runs_and_its_mates_get_the_bits_of_a_lone_run(
    house: House, leaver: Callable[[House], Leaver]
) -> None:
    frames, goes = windows(7), (False, True, True, False, True, True, False)
    expected = [alone(house, frame) for frame, is_gone in zip(frames, goes, strict=True) if not is_gone]
    assert len(set(expected)) == len(expected)
    before = ran(house)
    with leaver(house) as asking:
        with busy_lane(house):
            for frame, is_gone in zip(frames, goes, strict=True):
                asking.ask(frame, goes=is_gone)
            until(lambda: queued(house) == MOST_ROWS + len(frames), "all wait")
            asking.leave()
            until(lambda: queued(house) == MOST_ROWS + len(expected), "only those wait who stayed")
        assert asking.answers() == expected
    # Every batch that ran, by its rows: those that kept the lane busy, and one of those who stayed.
    until(lambda: gauge(house, "gateway_mqtt_requests_pending") == 0)
    assert ran(house) - before == {MOST_ROWS: BUSY, len(expected): 1}
    assert all(len(each) == ANSWER_BYTES for each in expected)
