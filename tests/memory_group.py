"""A real control group with a real memory limit, for processes that must never be killed for memory."""

from __future__ import annotations

import contextlib
import os
import re
import time
import uuid
from pathlib import Path
from types import TracebackType

_V2 = Path("/sys/fs/cgroup")
_V1 = Path("/sys/fs/cgroup/memory")
_END_LIMIT_S = 10.0


def hindrance() -> str:
    """Say why no memory group can be made here; empty if one can."""
    if os.geteuid() != 0:
        return "memory groups need root"
    if not _is_v2() and not (_V1 / "memory.limit_in_bytes").exists():
        return "this machine has no memory controller"
    return ""


def _is_v2() -> bool:
    with contextlib.suppress(OSError):
        return "memory" in (_V2 / "cgroup.subtree_control").read_text().split()
    return False


class MemoryGroup:
    """A group of its own under the root group; whoever is still in it at the end is killed.

    Attributes:
        limit_bytes: Its limit.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._is_v2 = _is_v2()
        self._folder = (_V2 if self._is_v2 else _V1) / f"gateway-test-{uuid.uuid4().hex[:8]}"

    def __enter__(self) -> MemoryGroup:
        self._folder.mkdir()
        if self._is_v2:
            self._write("memory.max", self.limit_bytes)
            with contextlib.suppress(OSError):
                self._write("memory.swap.max", 0)
        else:
            self._write("memory.limit_in_bytes", self.limit_bytes)
            with contextlib.suppress(OSError):  # absent where swap is not accounted
                self._write("memory.memsw.limit_in_bytes", self.limit_bytes)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end_s = time.monotonic() + _END_LIMIT_S
        while True:
            for pid in (self._folder / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), 9)
            try:
                self._folder.rmdir()
            except OSError:
                if time.monotonic() > end_s:
                    raise
                time.sleep(0.01)
            else:
                return

    def join(self) -> None:
        """Put the calling process into the group: for ``preexec_fn``."""
        self._write("cgroup.procs", os.getpid())

    def add(self, pid: int) -> None:
        """Put a process into the group."""
        self._write("cgroup.procs", pid)

    def used_bytes(self) -> int:
        """Return what cannot be taken back: usage without the files that the kernel drops first."""
        usage = int(self._read("memory.current" if self._is_v2 else "memory.usage_in_bytes"))
        name = "inactive_file" if self._is_v2 else "total_inactive_file"
        found = re.search(rf"^{name} (\d+)$", self._read("memory.stat"), re.MULTILINE)
        return usage - (int(found[1]) if found else 0)

    def oom_kills(self) -> int:
        """Return how many processes of the group were killed for memory."""
        words = self._read("memory.events" if self._is_v2 else "memory.oom_control")
        found = re.search(r"^oom_kill (\d+)$", words, re.MULTILINE)
        assert found, f"the kernel does not count kills: {words}"
        return int(found[1])

    def _read(self, name: str) -> str:
        return (self._folder / name).read_text()

    def _write(self, name: str, value: int) -> None:
        (self._folder / name).write_text(str(value))
