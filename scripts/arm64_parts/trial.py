"""Runs inside the emulated machine: installs the gateway, presses on its memory, and says what it saw.

Only the standard library, for nothing else is there yet. Each line that begins with ``@@`` is one JSON
object: ``{"check": ..., "held": ..., "seen": ...}``; the rest is talk.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

_INSTALL = ["/srv/gateway/scripts/install", "--wheels", "/srv/wheels", "--python", "/usr/bin/python3.11"]
_UNIT = "gateway.service"
_PYTHON = "/opt/gateway/current/bin/python"
_LIMIT_S = 600.0
_DEMO_S = 30

# The emulated core is no board: what is a hang there is an ordinary load here.
_MODELS = ("efficientnet-lite0", "motion", "silero-vad")
_SLOW = " ".join(
    [f"--set models.{name}.load_timeout_s=1800 --set models.{name}.run_timeout_s=300" for name in _MODELS]
    + ["--set http.canary_max_age_s=1800"]
)
_DROP_IN = f"""\
[Service]
ExecStart=
ExecStart=/opt/gateway/current/bin/gateway run -c /etc/gateway/gateway.yaml {_SLOW}
WatchdogSec=600
TimeoutStartSec=2400
"""

# Whether the locks of the process that tries models hold on this kernel.
_LOCKS = """
import os, socket, json
from gateway.inference.confine import confine
from gateway.inference.syscall_filter import forbid
said = [confine(sealed=True), forbid()]
def tried(what):
    try:
        what()
    except OSError as error:
        return error.strerror
    return "worked"
tries = {"write": lambda: open("/run/other", "w"), "fork": os.fork, "socket": socket.socket,
         "kill": lambda: os.kill(1, 0), "own": lambda: os.kill(os.getpid(), 0),
         "read": lambda: open("/etc/hostname")}
print(json.dumps({"said": said, **{name: tried(what) for name, what in tries.items()}}))
"""


def tell(check: str, held: bool, seen: Any) -> bool:
    """Print a finding; return whether it held."""
    print(
        "@@ " + json.dumps({"check": check, "held": held, "seen": seen, "s": round(time.monotonic(), 1)}),
        flush=True,
    )
    return held


def run(*command: str, limit_s: float = _LIMIT_S) -> subprocess.CompletedProcess[str]:
    """Run a command; its output comes back as text."""
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=limit_s)


def show(name: str) -> str:
    """Return a property of the gateway's unit."""
    return run("systemctl", "show", _UNIT, "-p", name, "--value").stdout.strip()


def ready() -> bool:
    """Say whether the gateway answers that it is ready."""
    try:
        with urllib.request.urlopen("http://127.0.0.1:8080/readyz", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def until(holds: Callable[[], bool], limit_s: float = 180.0) -> bool:
    """Wait until something holds; say whether it came about."""
    end_s = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.5)
    return True


def group() -> Path:
    """Return the control group of the unit."""
    return Path("/sys/fs/cgroup" + show("ControlGroup"))


def events() -> dict[str, int]:
    """Return what the kernel counted of the unit's memory."""
    lines = (group() / "memory.events").read_text().splitlines()
    return {name: int(count) for name, count in (line.split() for line in lines)}


def anonymous_bytes() -> int:
    """Return what of the unit's memory no file backs: without swap the kernel cannot take it back."""
    found = re.search(r"(?m)^anon (\d+)", (group() / "memory.stat").read_text())
    return int(found[1]) if found else 0


def status_kib(pid: str, name: str) -> int:
    """Return a size out of a process's status; 0 if it has gone."""
    try:
        found = re.search(rf"(?m)^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def machine() -> None:
    """What this machine is."""
    part = re.findall(r"(?m)^CPU part\s*: (\S+)", Path("/proc/cpuinfo").read_text())
    kind = run("stat", "-f", "-c", "%T", "/sys/fs/cgroup").stdout.strip()
    first = Path("/proc/1/comm").read_text().strip()
    seen = {
        "kernel": os.uname().release,
        "machine": os.uname().machine,
        "part": part,
        "cgroup": kind,
        "init": first,
    }
    good = (
        os.uname().machine == "aarch64"
        and set(part) == {"0xd07"}
        and kind == "cgroup2fs"
        and first == "systemd"
    )
    tell("an arm64 machine with the Nano's core, systemd first, cgroup v2", good, seen)


def install() -> bool:
    """Install as a user would, from wheels."""
    began_s = time.monotonic()
    run("systemctl", "start", "mosquitto")
    slow = Path("/etc/systemd/system/gateway.service.d/slow.conf")
    slow.parent.mkdir(parents=True, exist_ok=True)
    slow.write_text(_DROP_IN, encoding="utf-8")
    done = run(*_INSTALL, "--extras", "demo", "--mosquitto", limit_s=2700)
    seen = {"rc": done.returncode, "s": round(time.monotonic() - began_s, 1)}
    good = done.returncode == 0 and until(ready, 1800)
    if not good:
        print(
            done.stdout[-3000:],
            done.stderr[-3000:],
            run("journalctl", "-n", "80", "-u", "gateway*", "-u", "mosquitto", "--no-pager").stdout,
            sep="\n",
        )
    return tell(
        "the installer installs it and it becomes ready", good, {**seen, "status": show("StatusText")}
    )


def locks() -> None:
    """The locks on the process that tries models: calls have other numbers on arm64."""
    done = run(_PYTHON, "-c", _LOCKS)
    seen = json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr[-500:]}
    refused = all(seen.get(name, "worked") != "worked" for name in ("write", "fork", "socket", "kill"))
    allowed = seen.get("own") == seen.get("read") == "worked"
    tell(
        "Landlock and the filter on system calls hold, and no more than they should",
        refused and allowed,
        seen,
    )


def pinned() -> None:
    """Models are locked in memory: the unit lifts the limit, and this kernel lets it."""
    pids = (group() / "cgroup.procs").read_text().split()
    locked = {pid: status_kib(pid, "VmLck") for pid in pids}
    limit = re.search(r"(?m)^Max locked memory\s+(\S+)", Path(f"/proc/{show('MainPID')}/limits").read_text())
    seen = {"limit": limit[1] if limit else "", "VmLck_KiB": locked}
    tell(
        "models are locked in memory, without a limit",
        seen["limit"] == "unlimited" and any(locked.values()),
        seen,
    )


def limit(name: str, value: str) -> None:
    """Set a limit of the running unit."""
    run("systemctl", "set-property", "--runtime", _UNIT, f"{name}={value}")


def high() -> None:
    """Above MemoryHigh the kernel takes back and slows down, and the gateway goes on."""
    before, used = events(), int((group() / "memory.current").read_text())
    limit("MemoryHigh", str(max(anonymous_bytes(), int(used * 0.95))))
    until(lambda: events()["high"] > before["high"], 60)
    pressure = (
        (group() / "memory.pressure").read_text().splitlines()
        if (group() / "memory.pressure").exists()
        else []
    )
    good = events()["high"] > before["high"] and ready() and show("NRestarts") == "0"
    tell(
        "above MemoryHigh it is slowed down and goes on",
        good,
        {"before": before, "after": events(), "psi": pressure},
    )
    limit("MemoryHigh", "infinity")


def most() -> None:
    """At MemoryMax the kernel ends a lane, not the gateway; the unit goes on and gets it back."""
    before, main = events(), show("MainPID")
    limit("MemoryMax", str(int(anonymous_bytes() * 0.9)))
    killed = until(lambda: events()["oom_kill"] > before["oom_kill"], 60)
    limit("MemoryMax", "infinity")
    back = until(ready, 120)
    seen = {
        "before": before,
        "after": events(),
        "main": [main, show("MainPID")],
        "restarts": show("NRestarts"),
    }
    good = killed and back and show("MainPID") == main and show("NRestarts") == "0"
    tell(
        "at MemoryMax the kernel ends a lane, and the unit goes on",
        good and show("Result") == "success",
        seen,
    )


def demo() -> None:
    """The demo, with a broker of its own in it."""
    run("systemctl", "stop", _UNIT, "gateway.socket", "gateway-control.socket")
    # An emulated core is twenty times slower than what the shipped limits are for.
    config = Path("/srv/gateway/config/slow.yaml")
    text = config.with_name("gateway.yaml").read_text()
    config.write_text(re.sub(r"(?m)^( +)(path: .*/models/.*)$", r"\1\2\n\1load_timeout_s: 900", text))
    done = run(_PYTHON, "-m", "gateway.demo", "--seconds", str(_DEMO_S), "--json", "--config", str(config))
    try:
        seen = json.loads(done.stdout)
    except ValueError:
        seen = {"said": done.stdout[-1000:], "error": done.stderr[-2000:]}
    tell("the demo runs and ends well", done.returncode == 0, {"rc": done.returncode, "summary": seen})


def remove() -> None:
    """Take it off again."""
    Path("/etc/systemd/system/gateway.service.d/slow.conf").unlink(missing_ok=True)
    done = run("/srv/gateway/scripts/install", "--uninstall")
    left = [path for path in ("/opt/gateway", "/etc/gateway", "/var/lib/gateway") if Path(path).exists()]
    for folder in ("/etc/systemd/system", "/usr/local/lib", "/usr/local/bin", "/etc/mosquitto"):
        left += [str(path) for path in Path(folder).rglob("gateway*")]
    tell(
        "uninstalling leaves nothing",
        done.returncode == 0 and not left,
        {"rc": done.returncode, "left": left},
    )


def main() -> None:
    """Run all; what one check breaks must not hide the next."""
    machine()
    if not install():
        return
    for check in (locks, pinned, high, most, demo, remove):
        try:
            check()
        except Exception as error:  # noqa: BLE001 - the edge of the trial: a finding, not an end
            tell(check.__doc__ or check.__name__, False, repr(error))
    print("@@ " + json.dumps({"end": True}), flush=True)


if __name__ == "__main__":
    main()
