"""``gateway doctor`` beside the installed service: what systemd tells it, as root and as anybody."""

from __future__ import annotations

import json
from typing import Any

from tests.machine.installed import SERVICE, Installed

DOCTOR = "/opt/gateway/current/bin/gateway"
QUICK = ("doctor", "--json", "--no-models")


def findings(printed: str) -> dict[str, list[dict[str, Any]]]:
    """Return what was found, by check."""
    found: dict[str, list[dict[str, Any]]] = {}
    for each in json.loads(printed)["findings"]:
        found.setdefault(each["check"], []).append(each)
    return found


def test_the_running_service_is_found_well_and_is_not_disturbed(gateway: Installed) -> None:
    before = gateway.state()
    done = gateway.box.run(DOCTOR, *QUICK, check=False)
    found = findings(done.stdout)
    problems = [each for group in found.values() for each in group if each["verdict"] == "problem"]
    assert (done.returncode, problems) == (0, [])
    assert found["service.unit"][0]["what"] == f"{SERVICE} is active (running)"
    assert found["board.systemd"][0]["verdict"] == "ok"
    assert found["service.descriptors"][0]["values"]["limit"] == 16_384
    assert found["broker.round_trip"][0]["values"]["median_ms"] > 0
    assert found["broker.persistence"][0]["values"]["persistent"] is True
    assert gateway.state() == before
    assert gateway.is_ready()


def test_who_may_not_read_the_configuration_is_told_how_to_ask(gateway: Installed) -> None:
    done = gateway.box.run(
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", DOCTOR, *QUICK, check=False
    )
    found = findings(done.stdout)
    (file,) = found["configuration.file"]
    assert file["verdict"] == "warning"
    assert file["mend"] == ["sudo gateway doctor --config /etc/gateway/gateway.yaml"]
    assert found["service.unit"][0]["what"] == f"{SERVICE} is active (running)"


def test_a_service_that_gave_up_is_a_problem_with_the_lines_that_bring_it_back(gateway: Installed) -> None:
    gateway.box.shell(
        f"systemctl kill -s KILL {SERVICE}; systemctl stop {SERVICE} gateway.socket", check=False
    )
    found = findings(gateway.box.run(DOCTOR, *QUICK, "--only", "service", check=False).stdout)
    (unit,) = found["service.unit"]
    assert unit["verdict"] in {"note", "problem"}
    assert any(f"systemctl start {SERVICE}" in line for line in unit["mend"])
