"""Notifications as a service manager hears them, whole, and without a wait for one that does not."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.operations.notifier import Notifier


@pytest.fixture(params=["path", "abstract"])
def heard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """Return a notification socket and how $NOTIFY_SOCKET names it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@gateway-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        sock.settimeout(10)
        yield name, sock


def test_each_message_arrives_whole_and_the_variables_are_gone(heard: tuple[str, socket.socket]) -> None:
    name, sock = heard
    environment = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7", "HOME": "/"}
    manager = Notifier.of(environment, 7)
    assert environment == {"HOME": "/"}
    assert manager.is_there
    assert manager.watchdog_s == 3.0
    manager.extend(1.5)
    manager.ready("fine\nREADY=0")
    manager.status("fine\nREADY=0")  # said already: not sent again
    manager.reloading("on it")
    manager.alive()
    manager.stopping("over")
    said = [sock.recv(4096).decode() for _ in range(5)]
    assert said[:2] == ["EXTEND_TIMEOUT_USEC=1500000", "READY=1\nSTATUS=fine READY=0"]
    reloading, stamp, status = said[2].split("\n")
    assert (reloading, status) == ("RELOADING=1", "STATUS=on it")
    since_s = time.clock_gettime(time.CLOCK_MONOTONIC) - int(stamp.removeprefix("MONOTONIC_USEC=")) / 1e6
    assert 0 <= since_s < 60
    assert said[3:] == ["WATCHDOG=1", "STOPPING=1\nSTATUS=over"]
    assert "NOTIFY_SOCKET" not in os.environ


def test_a_watchdog_that_nobody_set_is_not_fed_and_a_long_status_is_cut(
    heard: tuple[str, socket.socket],
) -> None:
    name, sock = heard
    manager = Notifier.of({"NOTIFY_SOCKET": name}, 7)
    manager.alive()
    manager.status("x" * 10_000)
    assert sock.recv(65_536) == b"STATUS=" + b"x" * 400


def test_a_manager_that_does_not_read_is_not_waited_for(heard: tuple[str, socket.socket]) -> None:
    name, sock = heard
    manager = Notifier.of({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"}, 7)

    # More than any system lets wait: one that waited would never come to the end.
    def feed() -> None:
        for _ in range(20_000):
            manager.alive()

    feeding = threading.Thread(target=feed, daemon=True)
    feeding.start()
    feeding.join(60)
    assert not feeding.is_alive()
    assert sock.recv(100) == b"WATCHDOG=1"


def test_a_manager_that_is_gone_costs_the_message_and_nothing_else(tmp_path: Path) -> None:
    manager = Notifier.of({"NOTIFY_SOCKET": str(tmp_path / "nobody")}, 1)
    manager.ready("nobody hears it")


@pytest.mark.parametrize("path", ["", "vsock:2:3", "relative"])
def test_without_a_manager_nothing_is_said(path: str) -> None:
    manager = Notifier.of({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1000000"}, 1)
    assert not manager.is_there
    assert manager.watchdog_s is None
    manager.ready("nobody hears it")


@pytest.mark.parametrize(
    ("usec", "owner"), [("0", ""), ("-1", ""), ("x", ""), ("", ""), ("1000", "8"), ("²", "")]
)
def test_a_watchdog_that_is_off_or_anothers_is_none(usec: str, owner: str) -> None:
    environment = {"NOTIFY_SOCKET": "/nobody", "WATCHDOG_USEC": usec, "WATCHDOG_PID": owner}
    assert Notifier.of(environment, 7).watchdog_s is None
