"""The gateway as it was installed in a box: its units, its files, and what it says of itself."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from tests.machine.box import LIMIT_S, Box

SERVICE: Final = "gateway.service"
SOCKETS: Final = ("gateway.socket", "gateway-control.socket")
INSTALL: Final = "/srv/gateway/scripts/install"
PYTHON: Final = "/opt/python/bin/python3"
_DROP_IN: Final = "/etc/systemd/system/gateway.service.d/test.conf"
_SETTLED: Final = "/run/log/settled"  # beside the journal, which is not looked at for what was left behind
_SHORT: Final = "[Service]\nRestartSec=100ms\nTimeoutStopSec=5\n"
_SHORTER: Final = {
    "  canary_interval_s: .*": "  canary_interval_s: 1",
    "  canary_max_age_s: .*": "  canary_max_age_s: 3",
    "  reconnect_max_s: .*": "  reconnect_max_s: 1",
}


def python_root() -> Path:
    """Return the folder of the interpreter that runs the tests: the box installs with the same."""
    return Path(sys.base_prefix)


class Installed:
    """The gateway in a box."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.first_said = ""
        self.files_before: frozenset[str] = frozenset()

    def install(self, wheels: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the installer from a folder of wheels."""
        return self.box.run(
            INSTALL, "--wheels", f"/srv/wheels/{wheels}", "--python", PYTHON, *words, check=check, limit_s=300
        )

    def settle(self) -> None:
        """Bring it to the state in which every test finds it; installs it if it is not there."""
        if not self.box.exists("/opt/gateway/current"):
            self._begin()
        box, drop_ins = self.box, f"/etc/systemd/system/{SERVICE}.d"
        # Of several units is-active is content with one.
        active = " && ".join(f"systemctl -q is-active {unit}" for unit in (SERVICE, *SOCKETS, "mosquitto"))
        same = f"cmp -s {_SETTLED}/gateway.yaml /etc/gateway/gateway.yaml && [ $(ls {drop_ins}) = test.conf ]"
        if box.run("sh", "-c", f"{same} && {active}", check=False).returncode != 0:
            box.shell(
                f"mkdir -p {drop_ins}; rm -f {drop_ins}/*; cp {_SETTLED}/test.conf {_DROP_IN};"
                f"cp -p {_SETTLED}/gateway.yaml /etc/gateway/; systemctl daemon-reload;"
                "systemctl reset-failed;"
                f"systemctl start mosquitto {' '.join(SOCKETS)}; systemctl restart {SERVICE}"
            )
        self.until(self.is_ready, "ready")

    def _begin(self) -> None:
        box = self.box
        # A shared Python finds its library where it was built, which a service does not see.
        box.shell("echo /opt/python/lib >/etc/ld.so.conf.d/000-python.conf; ldconfig")
        box.shell("systemctl start mosquitto")
        self.files_before = self.files()
        self.first_said = self.install("now", "--mosquitto").stdout
        text = (box.root / "etc/gateway/gateway.yaml").read_text()
        script = "; ".join(f"s/^{old}/{new}/" for old, new in _SHORTER.items())
        box.run("sed", "-i", "-E", script, "/etc/gateway/gateway.yaml")
        assert (box.root / "etc/gateway/gateway.yaml").read_text() != text
        box.shell(f"mkdir -p {_SETTLED}; cp -p /etc/gateway/gateway.yaml {_SETTLED}")
        box.write(f"{_SETTLED}/test.conf", _SHORT)

    def files(self) -> frozenset[str]:
        """Return every path of the box that an installation could leave behind, running or not."""
        passed = ("/run/log", "/run/systemd/journal", "/run/systemd/propagate", "/run/udev", "/opt/python")
        prune = " -o ".join(f"-path {path}" for path in passed)
        places = "/etc /opt /usr /var/lib /var/cache /var/spool /run /home"
        said = self.box.shell(f"find {places} \\( {prune} \\) -prune -o -print")
        # Copies that the tools for accounts keep, and their lock.
        accounts = {"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/.pwd.lock"}
        return frozenset(said.splitlines()) - accounts

    def drop_in(self, text: str, name: str = "more.conf") -> None:
        """Add to the service's unit."""
        self.box.write(f"/etc/systemd/system/gateway.service.d/{name}", text)
        self.box.run("systemctl", "daemon-reload")

    def state(self) -> dict[str, str]:
        """Return what systemd says of the service."""
        names = ("ActiveState", "SubState", "StatusText", "MainPID", "NRestarts", "Result")
        return self.box.show(SERVICE, *names)

    def page(self, path: str, door: str = "http://127.0.0.1:8080") -> tuple[int, str]:
        """Return status and body of a page of the HTTP door; 0 if nobody answers."""
        place = ["--unix-socket", door, f"http://gateway{path}"] if door.startswith("/") else [door + path]
        done = self.box.run("curl", "-s", "-m", "10", "-w", "\n%{http_code}", *place, check=False)
        body, _, code = done.stdout.rpartition("\n")
        return int(code or 0), body

    def is_ready(self, door: str = "http://127.0.0.1:8080") -> bool:
        """Say whether it answers everything, broker included."""
        status, body = self.page("/readyz", door)
        return status == 200 and not json.loads(body)["degraded"]

    def lanes(self) -> list[str]:
        """Return the process ids of its workers, as its box counts them."""
        pid = self.state()["MainPID"]
        found = self.box.run("pgrep", "-P", pid, "-f", "gateway.inference.worker", check=False)
        return found.stdout.split()

    def events(self, since: str = "") -> list[dict[str, Any]]:
        """Return the service's entries in the journal, oldest first, after a cursor if one is given."""
        after = [f"--after-cursor={since}"] if since else []
        said = self.box.run("journalctl", "-u", SERVICE, "-o", "json", "--no-pager", "-q", *after).stdout
        return [json.loads(line) for line in said.splitlines() if line.startswith("{")]

    def cursor(self) -> str:
        """Return where the journal ends now."""
        return str(self.events()[-1]["__CURSOR"])

    def until(self, holds: Any, what: str) -> None:
        """Wait until something holds; fails with what systemd and the journal say."""
        end_s = time.monotonic() + LIMIT_S
        while not holds():
            if time.monotonic() > end_s:
                said = self.box.shell(f"systemctl status --no-pager -n 60 {SERVICE}", check=False)
                raise AssertionError(f"{what} did not come about within {LIMIT_S} s:\n{said}")
            time.sleep(0.05)
