"""From version to version on a booted machine: upgrades, rollbacks, instances, and back to nothing."""

from __future__ import annotations

from tests.machine.installed import Installed


def test_installing_the_same_again_changes_and_restarts_nothing(gateway: Installed) -> None:
    before = gateway.state()
    said = gateway.install("now").stdout
    assert "what runs here" in said
    assert "would run" not in said
    assert gateway.state()["MainPID"] == before["MainPID"]


def test_a_version_that_does_not_become_ready_is_taken_back(gateway: Installed) -> None:
    before = gateway.box.run("gateway", "version").stdout
    done = gateway.install("bad", check=False)
    assert done.returncode == 4, done.stdout
    assert "serves again" in done.stdout
    assert gateway.box.run("gateway", "version").stdout == before
    gateway.until(gateway.is_ready, "ready with the old version")


def test_an_upgrade_serves_keeps_a_changed_configuration_and_can_be_taken_back(gateway: Installed) -> None:
    box = gateway.box
    before, configuration = box.run("gateway", "version").stdout, box.shell("cat /etc/gateway/gateway.yaml")
    assert gateway.install("next").returncode == 0
    assert box.run("gateway", "version").stdout == "gateway 98.0\n"
    gateway.until(gateway.is_ready, "ready with the new version")
    assert box.shell("cat /etc/gateway/gateway.yaml") == configuration
    assert len(box.shell("ls /opt/gateway/venvs").split()) == 2  # the one that never got ready is gone
    # From what is installed: a board has no checkout.
    box.run("/opt/gateway/current/share/gateway/scripts/install", "--rollback")
    assert box.run("gateway", "version").stdout == before
    gateway.until(gateway.is_ready, "ready with the old version again")


def test_several_gateways_live_side_by_side(gateway: Installed) -> None:
    box = gateway.box
    box.run("/opt/gateway/current/share/gateway/scripts/install", "--instance", "line2", "--port", "8081")
    door = "http://127.0.0.1:8081"
    gateway.until(lambda: gateway.is_ready(door), "the second ready")
    assert gateway.is_ready()
    for grpc in (8001, 8002):
        box.run("/bin/bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{grpc}")
    assert gateway.page("/healthz", "/run/gateway@line2/http")[0] == 200
    one, two = gateway.state()["MainPID"], box.show("gateway@line2.service", "MainPID")["MainPID"]
    assert one != two
    for folder in ("/var/lib/gateway@line2", "/var/cache/gateway@line2", "/run/gateway@line2"):
        assert box.exists(folder), folder
    assert box.exists("/run/gateway@line2/control")
    box.run("systemctl", "stop", "gateway@line2.socket", "gateway-control@line2.socket", "gateway@line2")
    assert gateway.is_ready()
    assert gateway.state()["MainPID"] == one


def test_uninstalling_leaves_nothing(gateway: Installed) -> None:
    box = gateway.box
    installed = gateway.files() - gateway.files_before
    assert len(installed) > 1000
    said = box.run("/opt/gateway/current/share/gateway/scripts/install", "--uninstall").stdout
    assert "is removed" in said
    # What systemd and the broker made for themselves meanwhile.
    others = {"/run/systemd/incoming", "/run/systemd/unit-root", "/var/lib/mosquitto/mosquitto.db"}
    assert gateway.files() - gateway.files_before - others == set()
    assert gateway.files_before - gateway.files() == set()
    assert box.run("getent", "passwd", "gateway", check=False).returncode == 2
    assert box.run("getent", "group", "gateway", check=False).returncode == 2
    for listed in (("list-units", "--all"), ("list-unit-files",)):
        said = box.run("systemctl", *listed, "--no-legend", "--plain", "gateway*", check=False).stdout
        assert said == ""
    assert box.run("systemctl", "is-active", "mosquitto").stdout == "active\n"
