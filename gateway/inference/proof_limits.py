"""What the process that tries models takes from itself before it opens one.

Memory, processor time, descriptors and file sizes are limited; no core is dumped; it
dies with its parent; it changes no file, starts nothing and has no network. Each
of these holds alone where the kernel lacks another; the proof says which held.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.inference.confine import confine, needs_devices
from gateway.inference.engines.engine import EngineOptions
from gateway.inference.syscall_filter import forbid
from gateway.operations.child_start import die_with_parent
from gateway.operations.gentle import give_way

_CLONE_NEWNET = 0x40000000
_CPU_SPARE_S = 5
_MOST_DESCRIPTORS = 256
_MOST_DESCRIPTORS_OF_DRIVERS = 4096


def confine_child(request: Mapping[str, Any], options: EngineOptions) -> str:
    """Confine this process as ``request`` says; return what holds, in words.

    Args:
        request: ``parent`` (process id), ``timeout_s``, ``memory_bytes``, ``politeness`` (nice value), and
            ``derive`` if one file may be written.
        options: With GPUs, drivers need sockets and devices: then files alone are guarded.
    """
    die_with_parent(request["parent"])
    devices = needs_devices(options.providers, options.delegates)
    # Drivers start threads of their own; a runtime on the processor has those that it was given.
    _limit_time(request, (os.cpu_count() or 1) if devices else options.threads)
    if not devices:  # drivers map far more than they use; there the board's own limits hold
        # Not RLIMIT_AS: runtimes reserve far more address space than they ever touch.
        _limit(resource.RLIMIT_DATA, int(request["memory_bytes"]))
    _limit_files(request, writes=bool(request.get("derive") or options.engine_cache), devices=devices)
    place = request.get("derive")
    writable = [Path(place).parent] if place else []
    if options.engine_cache:
        writable.append(Path(options.engine_cache))
    words = []
    if not devices and ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) == 0:  # root alone may
        words.append("no network")
    words.append(confine(writable=writable, devices=devices, sealed=not devices))
    words.append("syscalls: not filtered (devices)" if devices else forbid())
    return ", ".join(words)


def _give_way(politeness: int) -> None:
    """Leave the processors to what serves.

    Our session is a group of its own to the scheduler where it groups sessions
    (autogroup): then only the group's nice value counts against other sessions.
    """
    give_way(politeness)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(politeness), encoding="ascii")


def _limit_time(request: Mapping[str, Any], threads: int) -> None:
    _give_way(request["politeness"])
    _limit(resource.RLIMIT_CORE, 0)
    # A model that never ends is ended by this, however little of a processor it gets.
    _limit(resource.RLIMIT_CPU, math.ceil(request["timeout_s"]) * threads + _CPU_SPARE_S, spare=1)


def _limit_files(request: Mapping[str, Any], *, writes: bool, devices: bool) -> None:
    _limit(resource.RLIMIT_NOFILE, _MOST_DESCRIPTORS_OF_DRIVERS if devices else _MOST_DESCRIPTORS)
    _limit(resource.RLIMIT_FSIZE, int(request["memory_bytes"]) if writes else 0)


def _limit(kind: int, value: int, spare: int = 0) -> None:
    """Set a limit; with ``spare`` the signal that names it comes before the one that merely kills."""
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    most = value + spare if hard == resource.RLIM_INFINITY else min(value + spare, hard)
    resource.setrlimit(kind, (value, most))
