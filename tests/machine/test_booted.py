"""The gateway as a service of a booted systemd: started, watched, reloaded, restarted, stopped."""

from __future__ import annotations

import json
import re
from typing import Final

from tests.machine.installed import SERVICE, SOCKETS, Installed

UNITS: Final = "/usr/local/lib/systemd/system"

UNITS_SOURCE: Final = "/srv/gateway/deploy/systemd"
TESTS: Final = "/srv/gateway/tests/machine"
INSTALLED_PYTHON: Final = "/opt/gateway/current/bin/python"
# Seconds instead of half a minute; only for tests that hang something, because a loaded machine is slow too.
IMPATIENT: Final = "[Service]\nWatchdogSec=3\n"


def test_it_installs_from_scratch_and_is_ready(gateway: Installed) -> None:
    assert "version" in gateway.first_said
    assert "serves" in gateway.first_said
    state = gateway.state()
    assert (state["ActiveState"], state["SubState"]) == ("active", "running")
    assert re.search(r"\b3 models\b", state["StatusText"]), state
    for unit in (SERVICE, *SOCKETS):
        assert gateway.box.run("systemctl", "is-enabled", unit).stdout.strip() == "enabled"
    assert gateway.box.run("gateway", "version").stdout.startswith("gateway ")


def test_its_units_are_clean_to_systemd_and_hardly_exposed(gateway: Installed) -> None:
    names = ("gateway", "gateway-control", "gateway-diagnostics")
    units = [
        unit
        for unit in gateway.box.shell(f"ls {UNITS}").split()
        if unit.partition(".")[0].strip("@") in names
    ]
    paths = [f"{UNITS}/{unit.replace('@', '@x')}" for unit in units if not unit.endswith(".d")]
    assert len(paths) == 8
    done = gateway.box.run("systemd-analyze", "verify", "--man=no", "--recursive-errors=one", *paths)
    assert done.stdout == ""
    for unit in (SERVICE, "gateway@x.service"):
        judged = gateway.box.run("systemd-analyze", "security", "--no-pager", "--threshold=20", unit)
        assert re.search(r"Overall exposure level for .*: [01]\.\d OK", judged.stdout)


def test_within_its_walls_is_all_that_models_need_and_no_more(gateway: Installed) -> None:
    gateway.drop_in(f"[Service]\nExecStartPre={INSTALLED_PYTHON} {TESTS}/look_around.py\n")
    cursor = gateway.cursor()
    gateway.box.run("systemctl", "restart", SERVICE)
    messages = [str(entry["MESSAGE"]) for entry in gateway.events(cursor)]
    (line,) = [message for message in messages if message.startswith("LOOKED")]
    inside = json.loads(line.removeprefix("LOOKED"))
    program = "from gateway.inference.confine import confine; print(confine(sealed=True))"
    outside = gateway.box.run(INSTALLED_PYTHON, "-c", program).stdout.strip()
    assert inside == {
        "nice": 5,
        "memfd": True,
        "mlock": 0,
        "autogroup": True,
        "oom": True,
        "cpuinfo": True,
        "meminfo": True,
        "sys": True,
        "closed to writing": [
            *("/opt/gateway", "/etc", "/etc/gateway", "/usr", "/var", "/var/lib"),
            *("/sys", "/run", "/srv/gateway"),
        ],
        "open to writing": ["/var/lib/gateway", "/var/cache/gateway", "/run/gateway"],
        "root": False,
        "home": True,
        "namespaces": False,
        "written and run": False,
        "devices": [],
        "landlock": outside,
        "filter": "syscalls filtered",
    }


def test_its_journal_entries_have_fields(gateway: Installed) -> None:
    entry = [e for e in gateway.events() if e.get("GATEWAY_EVENT") == "ready"][-1]
    assert entry["_SYSTEMD_UNIT"] == SERVICE
    assert entry["SYSLOG_IDENTIFIER"] == "gateway"
    assert entry["_PID"] == gateway.state()["MainPID"]
    assert entry["PRIORITY"] == "6"
    assert (entry["GATEWAY_MODELS"], entry["GATEWAY_PIPELINES"]) == ("3", "3")
    assert json.loads(entry["GATEWAY_JSON"])["models"] == 3
    # By which journalctl finds them.
    found = gateway.box.run(
        "journalctl", "-q", "-o", "cat", "GATEWAY_EVENT=engine_chosen", "GATEWAY_MODEL=motion"
    )
    assert {line.partition(" ")[0] for line in found.stdout.splitlines()} == {"engine_chosen"}


def test_a_reload_takes_a_changed_configuration_and_refuses_a_wrong_one(gateway: Installed) -> None:
    box, pid = gateway.box, gateway.state()["MainPID"]
    cursor = gateway.cursor()
    box.run("sed", "-i", "s/^    model: motion$/&\\n    ttl_ms: 900/", "/etc/gateway/gateway.yaml")
    box.run("systemctl", "reload", SERVICE)
    gateway.until(lambda: _happened(gateway, cursor, "config_reloaded"), "the reload")
    cursor = gateway.cursor()
    box.shell("echo 'nonsense: 1' >>/etc/gateway/gateway.yaml")
    box.run("systemctl", "reload", SERVICE, check=False)
    gateway.until(lambda: _happened(gateway, cursor, "config_refused"), "the refusal")
    (refusal,) = [e for e in gateway.events(cursor) if e.get("GATEWAY_EVENT") == "config_refused"]
    assert refusal["PRIORITY"] == "3"  # as an error, for journalctl -p err
    gateway.until(lambda: gateway.state()["SubState"] == "running", "the end of the reload")
    assert gateway.state()["MainPID"] == pid
    assert gateway.is_ready()


def test_a_hang_of_the_event_loop_ends_in_a_restart(gateway: Installed) -> None:
    gateway.drop_in(IMPATIENT)
    gateway.box.run("systemctl", "restart", SERVICE)
    before, cursor = gateway.state(), gateway.cursor()
    gateway.box.run("kill", "-STOP", before["MainPID"])
    gateway.until(lambda: _restarted(gateway, before), "the restart")
    assert _said(gateway, cursor, "Watchdog timeout")
    gateway.until(gateway.is_ready, "ready again")


def test_a_hang_of_every_lane_ends_in_a_restart(gateway: Installed) -> None:
    gateway.drop_in(IMPATIENT)
    gateway.box.run("systemctl", "restart", SERVICE)
    before, lanes, cursor = gateway.state(), gateway.lanes(), gateway.cursor()
    assert len(lanes) >= 3
    gateway.box.run("kill", "-STOP", *lanes)
    gateway.until(lambda: _restarted(gateway, before), "the restart")
    assert _said(gateway, cursor, "Watchdog timeout")
    gateway.until(gateway.is_ready, "ready again")
    assert not set(lanes) & set(gateway.lanes())


def test_a_lane_that_dies_stops_nothing(gateway: Installed) -> None:
    before, lanes = gateway.state(), gateway.lanes()
    gateway.box.run("kill", "-KILL", lanes[0])
    gateway.until(
        lambda: len(gateway.lanes()) == len(lanes) and lanes[0] not in gateway.lanes(), "a new lane"
    )
    after = gateway.state()
    assert (after["MainPID"], after["NRestarts"]) == (before["MainPID"], before["NRestarts"])


def test_a_crash_loop_ends_at_the_limit_and_leaves_diagnostics(gateway: Installed) -> None:
    box = gateway.box
    before, cursor = box.shell("ls /var/lib/gateway/diagnostics").split(), gateway.cursor()
    gateway.drop_in("[Service]\nExecStart=\nExecStart=/bin/sh -c 'kill -9 $$$$'\n")
    box.run("systemctl", "restart", SERVICE, check=False)
    gateway.until(lambda: gateway.state()["ActiveState"] == "failed", "the limit")
    assert _said(gateway, cursor, "Start request repeated too quickly")
    gateway.until(
        lambda: len(box.shell("ls /var/lib/gateway/diagnostics").split()) > len(before), "diagnostics"
    )
    (made,) = set(box.shell("ls /var/lib/gateway/diagnostics").split()) - set(before)
    folder = f"/var/lib/gateway/diagnostics/{made}"
    assert "Scheduled restart job" in box.shell(f"cat {folder}/journal.txt")
    assert "MemAvailable" in box.shell(f"cat {folder}/memory.txt")
    assert int(box.shell(f"du -sk {folder}").split()[0]) < 4096
    assert box.show("gateway-diagnostics.service", "Result", "ExecMainStatus") == {
        "Result": "success",
        "ExecMainStatus": "0",
    }


def test_a_wrong_configuration_is_not_started_again_and_again(gateway: Installed) -> None:
    gateway.box.shell("echo 'nonsense: 1' >>/etc/gateway/gateway.yaml")
    gateway.box.run("systemctl", "stop", *SOCKETS, SERVICE)
    assert gateway.box.run("systemctl", "start", SERVICE, check=False).returncode != 0
    state = gateway.state()
    assert (state["ActiveState"], state["NRestarts"]) == ("failed", "0")


def test_a_secret_comes_as_a_credential_and_is_used(gateway: Installed) -> None:
    box, secret = gateway.box, "/etc/gateway/credentials/mqtt-password"
    listener = "listener 1884 127.0.0.1\nallow_anonymous false\npassword_file /etc/mosquitto/passwords\n"
    box.write("/etc/mosquitto/conf.d/0-secret.conf", f"per_listener_settings true\n{listener}")
    box.run("mosquitto_passwd", "-b", "-c", "/etc/mosquitto/passwords", "gateway", "only for this test")
    box.shell("chown mosquitto /etc/mosquitto/passwords; systemctl restart mosquitto")
    box.write(secret, "only for this test", 0o600)
    box.shell(f"cp {UNITS_SOURCE}/drop-ins/credentials.conf /etc/systemd/system/{SERVICE}.d/more.conf")
    for key, value in (("url", "mqtt://127.0.0.1:1884"), ("username", "gateway")):
        box.run("sed", "-i", f"s#^  {key}: .*#  {key}: {value}#", "/etc/gateway/gateway.yaml")
    password = "s#^  password: .*#  password: ${credential:mqtt-password}#"
    box.run("sed", "-i", password, "/etc/gateway/gateway.yaml")
    box.shell(f"systemctl daemon-reload; systemctl restart {SERVICE}")
    gateway.until(gateway.is_ready, "connected with the password")
    assert box.run("runuser", "-u", "gateway", "--", "cat", secret, check=False).returncode != 0
    box.shell(f"rm /etc/mosquitto/conf.d/0-secret.conf /etc/mosquitto/passwords {secret}")
    box.run("systemctl", "restart", "mosquitto")


def test_no_connection_is_lost_across_restarts(gateway: Installed) -> None:
    box, before = gateway.box, gateway.state()
    ask = f"{INSTALLED_PYTHON} {TESTS}/ask_door.py 8080 /run/log/asking"
    box.shell(f"touch /run/log/asking; {ask} >/run/log/asked 2>&1 &")
    for _ in range(3):
        box.run("systemctl", "restart", SERVICE)
    box.run("rm", "/run/log/asking")
    gateway.until(lambda: box.shell("cat /run/log/asked").endswith("\n"), "the last answer")
    asked, _, lost = box.shell("cat /run/log/asked").strip().partition(" ")
    assert lost == "[]"
    assert int(asked) > 20
    assert gateway.state()["MainPID"] != before["MainPID"]


def test_the_first_connection_starts_it(gateway: Installed) -> None:
    box = gateway.box
    box.run("systemctl", "stop", SERVICE)
    assert gateway.state()["ActiveState"] == "inactive"
    done = box.run("curl", "-s", "-m", "60", "http://127.0.0.1:8080/healthz")
    assert done.stdout == "ok\n"
    assert gateway.state()["ActiveState"] in {"active", "activating"}


def test_it_stops_in_time_and_in_order(gateway: Installed) -> None:
    cursor = gateway.cursor()
    gateway.box.run("systemctl", "stop", *SOCKETS, SERVICE)
    state = gateway.state()
    # Result would be "timeout" after TimeoutStopSec=5, and signals would be in the journal.
    assert (state["ActiveState"], state["Result"]) == ("inactive", "success")
    assert not _said(gateway, cursor, "SIGKILL")
    assert not _said(gateway, cursor, "timed out")
    assert _happened(gateway, cursor, "stopped")
    assert gateway.box.shell("pgrep -u gateway || true") == ""


def _said(gateway: Installed, since: str, words: str) -> bool:
    return any(words in str(entry["MESSAGE"]) for entry in gateway.events(since))


def _happened(gateway: Installed, since: str, event: str) -> bool:
    return any(entry.get("GATEWAY_EVENT") == event for entry in gateway.events(since))


def _restarted(gateway: Installed, before: dict[str, str]) -> bool:
    now = gateway.state()
    fresh = now["MainPID"] not in {"0", before["MainPID"]}
    return fresh and int(now["NRestarts"]) > int(before["NRestarts"]) and now["SubState"] == "running"
