"""SIGTERM with frames in flight: what can be answered in time is, the rest is counted, nothing stays."""

from __future__ import annotations

from pathlib import Path

from tests.broker import Broker
from tests.plugins.trouble_steps import SLOW
from tests.system.pictures import window
from tests.system.running import Client, Daemon, subscribed, until
from tests.system.slow_watch import CONFIG, PYTHONPATH, TOPIC

FRAMES = 20


def _given_up(daemon: Daemon) -> int:
    """Return how many frames the log says had no result: one line, then the count of its repeats."""
    lines = [e for e in daemon.events if e["event"] == "frame_refused"]
    repeats = [e for e in daemon.events if e["event"] == "repeated" and e["of"] == "frame_refused"]
    assert {e["label"] for e in lines} <= {"unavailable.draining"}
    count: int = sum(e["count"] for e in repeats)
    return len(lines) + count


def test_a_stop_in_the_middle_of_work_is_quick_and_accounts_for_every_frame(
    tmp_path: Path, broker: Broker, client: Client
) -> None:
    client.subscribe("gw/test/results/#")
    with Daemon(tmp_path, CONFIG, broker.url, PYTHONPATH=PYTHONPATH, TROUBLE_SLOW_S="0.5") as daemon:
        daemon.ready()
        subscribed(broker, TOPIC)
        client.publish(TOPIC, window(), id="quick")
        assert client.result()["frame"]["id"] == "quick"
        for number in range(FRAMES):
            client.publish(TOPIC, window(number, first=SLOW), id=f"slow-{number}")
        until(lambda: (s := daemon.sensor("watch")) and s["streams"][0]["frames"] == FRAMES + 1, "all taken")
        assert daemon.stop() == 0
        assert not daemon.left_behind()
        stopped = daemon.wait_event("stopped")
    assert stopped["after_s"] < 5
    given_up = _given_up(daemon)
    assert 0 < given_up < FRAMES  # work went on until the deadline, and only until then
    answered = [client.result()["frame"]["id"] for _ in range(FRAMES - given_up)]
    assert answered == [f"slow-{number}" for number in range(len(answered))]
    client.publish("gw/test/results/end", b"{}")
    assert client.result() == {}  # nothing was both answered and given up
