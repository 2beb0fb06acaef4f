"""A machine of its own that systemd boots: a container on a throw-away layer over this machine's files.

Everything that is mounted and everything that runs lies in namespaces of one process, which the kernel
ends with the tests: should these be killed, empty folders are left behind and no more. The box has no
network but its own loopback; several run side by side.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

LIMIT_S: Final = float(os.environ.get("TEST_LIMIT_S", "180"))
NEEDS: Final = ("root", "systemd-nspawn", "unshare", "nsenter", "mount")
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What the container forbids, and a machine of its own would not.
_UNKNOWN: Final = "landlock_create_ruleset landlock_add_rule landlock_restrict_self @memlock"
_HIERARCHIES: Final = (Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"))

# The machine's own units and daemons are none of the box's business.
_MASKED: Final = (
    "apt-daily.timer apt-daily-upgrade.timer console-getty.service dpkg-db-backup.timer e2scrub_all.timer "
    "e2scrub_reap.service fstrim.timer getty.target logrotate.timer man-db.timer remote-fs.target "
    "systemd-logind.service systemd-networkd.service systemd-resolved.service systemd-timesyncd.service "
    "systemd-tmpfiles-clean.timer systemd-update-utmp.service systemd-user-sessions.service"
)
_PREPARE: Final = f"""
set -e
for hierarchy in $CGROUPS; do echo $$ >"$hierarchy/cgroup.procs"; done
mount -t tmpfs -o mode=755,size=6g box "$BOX"
mkdir "$BOX/up" "$BOX/work" "$BOX/root"
mount -t overlay box -o "lowerdir=/,upperdir=$BOX/up,workdir=$BOX/work" "$BOX/root"
cd "$BOX/root"
rm -rf etc/systemd/system var/log/journal etc/gateway opt/gateway var/lib/gateway
mkdir -p etc/systemd/system etc/systemd/journald.conf.d
for unit in {_MASKED}; do ln -s /dev/null "etc/systemd/system/$unit"; done
rm -f etc/machine-id
echo "$MACHINE" >etc/machine-id
printf '[Journal]\\nStorage=volatile\\nRateLimitBurst=0\\n' >etc/systemd/journald.conf.d/box.conf
exec "$@"
"""


def missing() -> list[str]:
    """Return what this machine lacks for a box."""
    lacking = [] if os.geteuid() == 0 else ["root"]
    return lacking + [need for need in NEEDS[1:] if shutil.which(need, path=_PATH) is None]


def _child(pid: int) -> int:
    """Return a process's first child.

    Raises:
        OSError, IndexError: There is no such process, or it has none.
    """
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


class Box:
    """One booted machine; a context manager.

    Args:
        binds: Folders of this machine that the box sees, unchangeable, by their paths in the box.
    """

    def __init__(self, binds: Mapping[str, Path]) -> None:
        self._binds = dict(binds)
        self._process: subprocess.Popen[bytes] | None = None
        self._init = 0

    def __enter__(self) -> Box:
        self._folder = Path(tempfile.mkdtemp(prefix="box.", dir="/var/tmp"))
        try:
            self._boot()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError, IndexError):
                os.kill(_child(process.pid), signal.SIGTERM)  # which the container takes for a power button
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for group in self._groups():
            for folder, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):  # the last processes of a killed box are still ending
                    Path(folder).rmdir()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def root(self) -> Path:
        """The box's files as this machine sees them; absolute links in it lead out of it."""
        return Path(f"/proc/{self._init}/root")

    def run(
        self, *command: str, check: bool = True, limit_s: float = LIMIT_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the box, as root; standard output and error come as one text.

        Raises:
            AssertionError: It failed, and ``check`` is set; the message has what it said.
        """
        enter = ["nsenter", "-t", str(self._init), "-m", "-u", "-i", "-n", "-p", "-C", "--root", "--wd", "--"]
        done = subprocess.run(
            [*enter, *command],
            check=False,
            timeout=limit_s,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": _PATH, "HOME": "/root", "LC_ALL": "C.UTF-8"},
        )
        if check:
            assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done

    def shell(self, script: str, *, check: bool = True, limit_s: float = LIMIT_S) -> str:
        """Run a shell script in the box and return what it said."""
        return self.run("/bin/sh", "-c", script, check=check, limit_s=limit_s).stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the box."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)

    def exists(self, path: str) -> bool:
        """Say whether there is something in the box at this path."""
        return self.run("test", "-e", path, check=False).returncode == 0

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Return properties of a unit."""
        said = self.run("systemctl", "show", unit, "-p", ",".join(names)).stdout
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    def _boot(self) -> None:
        binds = [f"--bind-ro={source}:{target}" for target, source in self._binds.items()]
        groups = self._groups()
        for group in groups:
            group.mkdir()
        nspawn = ["systemd-nspawn", "-q", "-D", f"{self._folder}/root", "-b", "--register=no", "--keep-unit"]
        nspawn += ["--private-network", "--console=pipe", "--link-journal=no", "--resolv-conf=off"]
        nspawn += [
            "--timezone=off",
            f"--system-call-filter={_UNKNOWN}",
            *binds,
            "systemd.unit=multi-user.target",
        ]
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]
        command += ["--pid", "--fork", "--kill-child", "--mount-proc"]
        environment = {"PATH": _PATH, "BOX": str(self._folder), "MACHINE": uuid.uuid4().hex}
        environment["CGROUPS"] = " ".join(map(str, groups))
        console = Path(tempfile.gettempdir()) / f"{self._folder.name}.console"
        with console.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "sh", "-c", _PREPARE, "sh", *nspawn],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        try:
            self._find_init(console)
        finally:
            console.unlink()
        self.run("systemctl", "is-system-running", "--wait", check=False)

    def _find_init(self, console: Path) -> None:
        """Find the box's first process, once it takes commands."""
        assert self._process is not None
        end_s = time.monotonic() + LIMIT_S
        while time.monotonic() < end_s:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError, IndexError):
                self._init = _child(_child(self._process.pid))  # the container's of the namespaces' first
                if (self.root / "run/systemd/private").exists():
                    return
            time.sleep(0.02)
        raise AssertionError("the box did not boot:\n" + console.read_text(errors="replace"))

    def _groups(self) -> list[Path]:
        """Return its own control groups: the box must not mix with what runs beside it."""
        if Path("/sys/fs/cgroup/cgroup.controllers").exists():
            return [Path("/sys/fs/cgroup") / self._folder.name]
        return [path / self._folder.name for path in _HIERARCHIES if path.is_dir()]
