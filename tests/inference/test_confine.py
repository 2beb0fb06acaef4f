"""What a confined process can no longer do, and what it still can; each in a process of its own."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.inference.confine import needs_devices

KERNEL = ctypes.CDLL(None).syscall(444, None, 0, 1)
needs_landlock = pytest.mark.skipif(KERNEL < 1, reason="this kernel has no Landlock")

TRIES = """
import json, os, socket, subprocess, sys, threading
from pathlib import Path
from gateway.inference.confine import confine
from gateway.inference.syscall_filter import forbid

at, how = Path(sys.argv[1]), sys.argv[2]
held = (at / "held").open("a")
listener = socket.create_server(("127.0.0.1", 0))
said = []
if how != "free":
    said.append(confine(writable=[at / "open"] if how == "one" else [], sealed=how in ("sealed", "all")))
if how == "all":
    said.append(forbid())

def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

tries = {
    "read": lambda: (at / "file").read_text(),
    "write": lambda: (at / "file").write_text("x"),
    "append": lambda: (at / "file").open("a"),
    "truncate": lambda: os.truncate(at / "file", 1),
    "create": lambda: (at / "new").touch(),
    "unlink": lambda: (at / "gone").unlink(),
    "link": lambda: os.link(at / "file", at / "linked"),
    "rename": lambda: (at / "linked" if (at / "linked").exists() else at / "file").rename(at / "moved"),
    "folder": lambda: (at / "made").mkdir(),
    "open_folder": lambda: (at / "open" / "new").touch(),
    "held": lambda: (held.write("y"), held.flush()),
    "null": lambda: Path("/dev/null").write_text("x"),
    "memory": lambda: os.close(os.memfd_create("m")),
    "run": lambda: subprocess.run(["true"], check=True),
    "fork": fork,
    "connect": lambda: socket.create_connection(listener.getsockname()).close(),
    "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
    "signal_parent": lambda: os.kill(os.getppid(), 0),
    "signal_self": lambda: os.kill(os.getpid(), 0),
}
could = []

def work():
    for name, attempt in tries.items():
        try:
            attempt()
        except OSError:
            continue
        could.append(name)

thread = threading.Thread(target=work)
thread.start()
thread.join()
print(json.dumps([could, said]))
"""

HARMLESS = {"read", "held", "null", "memory", "signal_self"}
FILES = {"write", "append", "truncate", "create", "unlink", "rename", "link", "folder", "open_folder"}
OTHERS = {"run", "fork", "connect", "udp", "signal_parent"}


def tried(at: Path, how: str) -> tuple[set[str], list[str]]:
    (at / "open").mkdir()
    for name in ("file", "gone"):
        (at / name).write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", TRIES, str(at), how], check=True, capture_output=True, text=True
    )
    could, said = json.loads(done.stdout)
    return set(could), said


def test_a_free_process_can_do_all_of_it(tmp_path: Path) -> None:
    could, _ = tried(tmp_path, "free")
    assert could == HARMLESS | FILES | OTHERS


@needs_landlock
def test_a_worker_changes_no_file_and_signals_nobody_else(tmp_path: Path) -> None:
    could, said = tried(tmp_path, "worker")
    signals = {"signal_parent"} if KERNEL < 6 else set()
    assert could == HARMLESS | (OTHERS - {"signal_parent"}) | signals
    assert said == [f"landlock {KERNEL}"]
    assert (tmp_path / "file").read_text() == "old"


@needs_landlock
def test_what_is_made_writable_is_writable_and_nothing_else(tmp_path: Path) -> None:
    could, _ = tried(tmp_path, "one")
    assert could & FILES == {"open_folder"}


@needs_landlock
def test_a_sealed_process_starts_no_program_and_speaks_no_tcp(tmp_path: Path) -> None:
    could, _ = tried(tmp_path, "sealed")
    assert not could & (FILES | {"run"})
    assert KERNEL < 4 or "connect" not in could


def test_a_filtered_process_neither_forks_nor_opens_sockets(tmp_path: Path) -> None:
    could, said = tried(tmp_path, "all")
    if said[1] != "syscalls filtered":
        pytest.skip(said[1])
    assert not could & OTHERS
    assert could >= HARMLESS


def test_only_drivers_need_devices() -> None:
    assert not needs_devices(("CPUExecutionProvider",), ("xnnpack",))
    assert not needs_devices((), ())
    assert needs_devices(("CUDAExecutionProvider", "CPUExecutionProvider"), ())
    assert needs_devices((), ("xnnpack", "libgpu.so"))


OFF = """
import ctypes, os
from gateway.inference import confine
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
# A filter that knows no Landlock, as an old kernel: the call ends with ENOSYS.
import struct
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (6, 0, 0, 0x50000 | 38), (6, 0, 0, 0x7FFF0000)]
program = b"".join(struct.pack("=HBBI", *s) for s in steps)
held = ctypes.create_string_buffer(program, len(program))
assert ctypes.CDLL(None).prctl(22, 2, struct.pack("@HP", len(steps), ctypes.addressof(held)), 0, 0) == 0
print(confine.confine())
"""


def test_a_kernel_without_landlock_is_said_to_have_none() -> None:
    done = subprocess.run([sys.executable, "-c", OFF], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == f"landlock: off ({os.strerror(38)})"
