"""The daemon under a service manager, which is the test: told, watched, handed sockets, restarted."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker import Broker
from tests.system.running import LIMIT_S, MODELS, Daemon
from tests.system.service import Systemd, environment_of, handing_over, listening

CONFIG = f"""
gateway: {{id: test}}
models:
  motion: {{path: {MODELS}/motion-int8, run_timeout_s: 60}}
inference: {{crash_limit: 2}}
pipelines:
  moves: {{model: motion}}
"""
WATCHDOG_S = 2.0


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Systemd]:
    manager = Systemd(tmp_path)
    yield manager
    manager.close()


def service(tmp_path: Path, broker: Broker, manager: Systemd, watchdog_s: float = WATCHDOG_S) -> Daemon:
    """Return a daemon that talks to the manager."""
    usec = str(int(watchdog_s * 1e6))
    return Daemon(tmp_path, CONFIG, broker.url, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC=usec)


def test_it_is_ready_when_its_models_answer_and_says_what_it_does(
    tmp_path: Path, broker: Broker, manager: Systemd
) -> None:
    with service(tmp_path, broker, manager) as daemon:
        said = manager.until(lambda said: "READY" in said)
        assert said["STATUS"].startswith(("Ready: 1 models serving", "Ready (broker): 1 models serving"))
        before = manager.heard[:-1]
        assert int(before[0]["EXTEND_TIMEOUT_USEC"]) > 0
        assert any(said.get("STATUS", "").startswith("Starting: 0 of 1 models") for said in before)
        assert not any("WATCHDOG" in said for said in before)
        (lane,) = daemon.lanes("motion")
        private = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS"}
        assert not environment_of(lane) & private
        manager.until(lambda said: "WATCHDOG" in said)
        assert daemon.stop() == 0
        manager.until(lambda said: "STOPPING" in said)
        assert manager.next(0.1) is None


def test_a_reload_is_told_with_its_outcome(tmp_path: Path, broker: Broker, manager: Systemd) -> None:
    with service(tmp_path, broker, manager) as daemon:
        manager.until(lambda said: "READY" in said)
        daemon.config.write_text("nonsense: 1\n")
        daemon.process.send_signal(signal.SIGHUP)
        assert int(manager.until(lambda said: "RELOADING" in said)["MONOTONIC_USEC"]) > 0
        assert "reload was refused: " in manager.until(lambda said: "READY" in said)["STATUS"]
        daemon.config.write_text(CONFIG)
        daemon.process.send_signal(signal.SIGHUP)
        manager.until(lambda said: "RELOADING" in said)
        assert "refused" not in manager.until(lambda said: "READY" in said)["STATUS"]
        assert daemon.stop() == 0


def test_a_hang_of_every_lane_ends_the_feeding(tmp_path: Path, broker: Broker, manager: Systemd) -> None:
    with service(tmp_path, broker, manager) as daemon:
        manager.until(lambda said: "WATCHDOG" in said)
        (lane,) = daemon.lanes("motion")
        os.kill(lane, signal.SIGSTOP)
        daemon.wait_event("watchdog_not_fed", models=["motion"])
        # What was sent before, then silence: systemd would have ended it by now.
        assert manager.silent_from_now_on(2 * WATCHDOG_S)
        assert daemon.process.poll() is None
        os.kill(lane, signal.SIGCONT)
        manager.until(lambda said: "WATCHDOG" in said)
        assert daemon.stop() == 0


def test_a_hang_of_the_loop_ends_the_feeding(tmp_path: Path, broker: Broker, manager: Systemd) -> None:
    with service(tmp_path, broker, manager) as daemon:
        manager.until(lambda said: "WATCHDOG" in said)
        os.kill(daemon.process.pid, signal.SIGSTOP)
        assert manager.silent_from_now_on(2 * WATCHDOG_S)
        os.kill(daemon.process.pid, signal.SIGCONT)
        # The models' answers got old as well: only when they answered again it is fed.
        manager.until(lambda said: "WATCHDOG" in said)
        assert daemon.stop() == 0


def test_a_model_that_cannot_serve_does_not_end_the_feeding(
    tmp_path: Path, broker: Broker, manager: Systemd
) -> None:
    with service(tmp_path, broker, manager, 6.0) as daemon:  # a machine may stop for a while
        manager.until(lambda said: "WATCHDOG" in said)
        for _ in range(40):
            for lane in daemon.lanes("motion"):
                os.kill(lane, signal.SIGKILL)
            manager.until(lambda said: "WATCHDOG" in said)
            if daemon.status()["models"][0]["state"] == "out-of-service":
                break
        else:
            pytest.fail("the model was never given up")
        for _ in range(3):
            manager.until(lambda said: "WATCHDOG" in said)
        assert not any(event["event"] == "watchdog_not_fed" for event in daemon.events)
        assert daemon.stop() == 0


def test_sockets_are_taken_over_and_no_connection_is_lost_over_a_restart(
    tmp_path: Path, broker: Broker
) -> None:
    with listening() as http_socket, listening(tmp_path / "control") as control, listening() as odd:
        sockets = {"http": http_socket, "control": control, "odd": odd}
        asked: list[str] = []
        over = threading.Event()
        asking = threading.Thread(target=ask, args=(http_socket.getsockname()[1], over, asked))
        for turn in range(3):
            with Daemon(tmp_path, CONFIG, broker.url, before=handing_over(sockets)) as daemon:
                daemon.ready()
                if turn == 0:
                    asking.start()
                refused = daemon.wait_event("socket_refused")
                assert (refused["name"], refused["fd"]) == ("odd", 5)
                daemon.wait_event("http_listening", address=str(tmp_path / "control"), handed_over=True)
                assert control_page(tmp_path / "control", "/readyz").startswith(b"HTTP/1.1 200")
                assert daemon.stop() == 0
                if turn == 1:
                    over.set()
        asking.join(LIMIT_S)
        assert set(asked) == {"200"}


def ask(port: int, over: threading.Event, asked: list[str]) -> None:
    """Ask for a page again and again, a connection for each, and note each answer or loss."""
    while not over.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
        try:
            connection.request("GET", "/healthz")
            asked.append(str(connection.getresponse().status))
        except (OSError, http.client.HTTPException) as error:
            asked.append(repr(error))
        finally:
            connection.close()


def control_page(path: Path, page: str) -> bytes:
    """Return what the control socket answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(LIMIT_S)
        sock.connect(str(path))
        sock.sendall(f"GET {page} HTTP/1.1\r\nHost: control\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: sock.recv(65_536), b""))
