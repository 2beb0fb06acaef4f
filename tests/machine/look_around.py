"""Looks around from inside the unit's walls: is there what models need, and nothing else?

Run by ``ExecStartPre=`` with the installed interpreter; prints one line of JSON for the journal.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gateway.inference.confine import confine
from gateway.inference.syscall_filter import forbid

_NEW_NAMESPACE = 0x10000000
_WALLS = ("/opt/gateway", "/etc", "/etc/gateway", "/usr", "/var", "/var/lib", "/sys", "/run", "/srv/gateway")


def refused(act: Callable[[], object]) -> bool:
    """Do it and say whether the system would not have it."""
    try:
        act()
    except OSError:
        return True
    return False


def write(path: Path, text: str = "x") -> None:
    """Write a file; one that was not there goes again."""
    there = path.exists()
    path.write_text(text)
    if not there:
        path.unlink()


def give_way(politeness: str) -> None:
    """Lower our group of the scheduler: the kernel takes one such wish in 100 ms, whoever else has one."""
    end_s = time.monotonic() + 10.0
    while True:
        try:
            write(Path("/proc/self/autogroup"), politeness)
        except BlockingIOError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.05)
        else:
            return


def main() -> None:
    """Look and tell."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.setpriority(os.PRIO_PROCESS, 0, 5)
    own = [os.environ[name] for name in ("STATE_DIRECTORY", "CACHE_DIRECTORY", "RUNTIME_DIRECTORY")]
    process = Path("/proc/self")
    told: dict[str, object] = {
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "memfd": os.memfd_create("x") > 0,
        "mlock": libc.mlock(ctypes.create_string_buffer(4096), 4096),
        "autogroup": not refused(lambda: give_way("5")),
        "oom": not refused(lambda: write(process / "oom_score_adj", "500")),
        "cpuinfo": "processor" in Path("/proc/cpuinfo").read_text(),
        "meminfo": "MemAvailable" in Path("/proc/meminfo").read_text(),
        "sys": Path("/sys/class").is_dir(),
        "closed to writing": [wall for wall in _WALLS if refused(lambda: write(Path(wall) / "x"))],  # noqa: B023
        "open to writing": [place for place in own if not refused(lambda: write(Path(place) / "x"))],  # noqa: B023
        "root": os.getuid() == 0,
        "home": refused(lambda: next(Path("/root").iterdir())),
        "namespaces": libc.unshare(_NEW_NAMESPACE) == 0,
        "written and run": not refused(lambda: mmap.mmap(-1, 4096, prot=7)),
        "devices": [
            p.name for p in Path("/dev").iterdir() if p.name.startswith(("vd", "kmsg", "mem", "loop"))
        ],
    }
    told["landlock"], told["filter"] = confine(sealed=True), forbid()
    sys.stdout.write("LOOKED" + json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
