"""What a service manager gives the daemon besides orders: credentials, a journal, little time to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker import Broker
from tests.operations.journald import Journald
from tests.plugins.trouble_steps import HANG
from tests.system.pictures import window
from tests.system.running import Client, Daemon, subscribed, until
from tests.system.service import Systemd, handing_over, listening
from tests.system.slow_watch import CONFIG as SLOW_CONFIG
from tests.system.slow_watch import PYTHONPATH, TOPIC
from tests.system.test_service import CONFIG, control_page

PASSWORD = "open-sesame"
# As a service starts: standard error is journald's, which listens where it always does.
_UNDER_JOURNALD = """
mount -t tmpfs none /run && mkdir -p /run/systemd/journal &&
mount --bind "$1" /run/systemd/journal && shift &&
export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) && exec "$@"
"""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Systemd]:
    manager = Systemd(tmp_path)
    yield manager
    manager.close()


def with_password(tmp_path: Path, broker: Broker, manager: Systemd) -> Daemon:
    """Return a daemon whose password systemd puts into a folder."""
    config = CONFIG + "mqtt: {username: gateway, password: '${credential:mqtt-password}'}\n"
    (tmp_path / "credentials").mkdir(exist_ok=True)
    folder = str(tmp_path / "credentials")
    return Daemon(tmp_path, config, broker.url, CREDENTIALS_DIRECTORY=folder, NOTIFY_SOCKET=manager.path)


def test_a_password_is_taken_from_the_credentials_and_told_to_the_broker_alone(
    tmp_path: Path, manager: Systemd
) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "gateway", PASSWORD], check=True)
    with Broker(f"password_file {passwords}", anonymous=False) as broker:
        daemon = with_password(tmp_path, broker, manager)
        (tmp_path / "credentials" / "mqtt-password").write_text(f"{PASSWORD}\n")
        with daemon:
            daemon.wait_event("mqtt_state", state="online")
            daemon.ready()
            assert PASSWORD not in json.dumps([daemon.events, daemon.status()])
            (lane,) = daemon.lanes("motion")
            for pid in (lane, daemon.process.pid):
                assert PASSWORD.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
            assert daemon.stop() == 0


def test_a_credential_that_is_not_there_is_named_to_the_service_manager(
    tmp_path: Path, broker: Broker, manager: Systemd
) -> None:
    with with_password(tmp_path, broker, manager) as daemon:
        assert daemon.process.wait(60) == 78
        assert "credential 'mqtt-password'" in manager.until(lambda said: "STOPPING" in said)["STATUS"]


def test_a_stop_takes_less_than_five_seconds_although_a_lane_hangs(
    tmp_path: Path, broker: Broker, client: Client, manager: Systemd
) -> None:
    with Daemon(
        tmp_path, SLOW_CONFIG, broker.url, PYTHONPATH=PYTHONPATH, NOTIFY_SOCKET=manager.path
    ) as daemon:
        daemon.ready()
        subscribed(broker, TOPIC)
        for number in range(3):
            client.publish(TOPIC, window(number, first=HANG), id=f"hang-{number}")
        until(lambda: (s := daemon.sensor("watch")) and s["streams"][0]["frames"] == 3, "all taken")
        assert daemon.stop() == 0
        assert not daemon.left_behind()
        assert daemon.wait_event("stopped")["after_s"] < 5
        assert manager.until(lambda said: "STOPPING" in said)["STATUS"] == "Stopping: SIGTERM"


def test_with_http_off_a_handed_over_port_is_let_go_and_the_control_socket_serves(
    tmp_path: Path, broker: Broker
) -> None:
    with listening() as http_socket, listening(tmp_path / "control") as control:
        before = handing_over({"http": http_socket, "control": control})
        with Daemon(tmp_path, CONFIG, broker.url, "http.enabled=false", before=before) as daemon:
            daemon.ready()
            assert control_page(tmp_path / "control", "/readyz").startswith(b"HTTP/1.1 200")
            assert [e["address"] for e in daemon.events if e["event"] == "http_listening"] == [
                str(tmp_path / "control")
            ]
            inode = os.fstat(http_socket.fileno()).st_ino
            held = {str(fd.readlink()) for fd in Path(f"/proc/{daemon.process.pid}/fd").iterdir()}
            assert f"socket:[{inode}]" not in held
            assert f"socket:[{os.fstat(control.fileno()).st_ino}]" in held
            assert daemon.stop() == 0
        assert (tmp_path / "control").is_socket()  # the service manager's, not ours to remove


def test_a_path_is_listened_at_by_one_gateway_and_by_the_next_after_a_crash(
    tmp_path: Path, broker: Broker
) -> None:
    path, place = tmp_path / "door", f"http.listen=unix:{tmp_path}/door"
    (tmp_path / "two").mkdir()
    with Daemon(tmp_path, CONFIG, broker.url, place) as first:
        first.ready()
        assert control_page(path, "/readyz").startswith(b"HTTP/1.1 200")
        with Daemon(tmp_path / "two", CONFIG, broker.url, place, "gateway.id=two") as second:
            assert second.process.wait(60) == 1
            assert "somebody listens there already" in str(second.wait_event("task_failed")["error"])
        assert control_page(path, "/readyz").startswith(b"HTTP/1.1 200")
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
    assert path.is_socket()
    with Daemon(tmp_path, CONFIG, broker.url, place) as third:
        third.ready()
        assert control_page(path, "/readyz").startswith(b"HTTP/1.1 200")
        assert third.stop() == 0
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace of its own needs root")
def test_where_standard_error_is_the_journal_s_entries_with_fields_are_written(
    tmp_path: Path, broker: Broker
) -> None:
    (tmp_path / "journal").mkdir()
    journald = Journald(tmp_path / "journal" / "socket")
    before = ["unshare", "-m", "sh", "-c", _UNDER_JOURNALD, "sh", str(tmp_path / "journal"), sys.executable]
    with Daemon(tmp_path, CONFIG, broker.url, "log.format=auto", before=(before, ())) as daemon:
        entries = [journald.next()]
        while entries[-1]["GATEWAY_EVENT"] != b"ready":
            entries.append(journald.next())
        assert entries[0]["GATEWAY_EVENT"] == b"starting"
        assert int(entries[0]["GATEWAY_PID"]) == daemon.process.pid
        assert entries[-1]["MESSAGE"].startswith(b"ready after_s=")
        assert entries[-1]["GATEWAY_MODELS"] == b"1"
        assert all(json.loads(entry["GATEWAY_JSON"])["level"] for entry in entries)
        # journald goes away: what is logged now is on standard error, marked for it.
        journald.close()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(60) == 0
    # The connection for requests may still have been coming up.
    assert "stopping" in daemon.marked
    assert daemon.marked[-1] == "stopped"
    assert daemon.marked == [event["event"] for event in daemon.events]
