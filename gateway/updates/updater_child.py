"""The updater child: a process that exists only while there is work; started by ``gateway.updates.updater``.

Reads lines of JSON on standard input: the options, then commands. Writes answers
on standard output; whatever else prints goes to standard error. It dies with its
parent, and ends when standard input does. What it holds of memory is not the
daemon's, and does not grow with the models.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import resource
import sys
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from gateway.errors import FetchFailed, GatewayBug, GatewayError, StoreFailed
from gateway.operations.child_start import die_with_parent, leave_signals_to_the_parent, take_stdout
from gateway.operations.gentle import GENTLE
from gateway.operations.kernel_bytes import kernel_bytes
from gateway.updates.updater_wire import error_words, line, packed, read_options

if TYPE_CHECKING:
    from gateway.updates.release import ReleaseRef
    from gateway.updates.updater_work import Look, UpdaterWork

_TELL_EVERY_S: Final = 0.25


def main() -> int:
    """Do what standard input says until it ends; return the exit code."""
    leave_signals_to_the_parent()
    answers = os.fdopen(take_stdout(), "wb", buffering=0)
    settings = json.loads(sys.stdin.buffer.readline())
    _confine(int(settings["parent"]))
    desk = _Desk(sys.stdin.buffer)
    try:
        work = _open(settings, desk.stop)
    except GatewayError as error:
        _say(answers, {"error": error_words(error)})
        return 1
    threading.Thread(target=desk.read, name="commands", daemon=True).start()
    while (command := desk.next()) is not None:
        _say(answers, _obey(work, command, answers))
    _say(answers, {"end": {"peak_rss_bytes": peak_rss_bytes()}})
    return 0


class _Desk:
    """Commands as they come: one thread reads them, the main thread does them.

    Attributes:
        stop: Set when nobody gives commands any more: what is being done shall end.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._waiting: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()
        self.stop = threading.Event()

    def read(self) -> None:
        """Read to the end, or to what is no command; that stops what is being done."""
        with contextlib.suppress(ValueError, OSError):
            while said := self._stream.readline():
                self._waiting.put(json.loads(said))
        self.stop.set()
        self._waiting.put(None)

    def next(self) -> Mapping[str, Any] | None:
        """Wait for a command; None at the end, whatever still waits."""
        command = self._waiting.get()
        return None if self.stop.is_set() else command


def _open(settings: Mapping[str, Any], stop: threading.Event) -> UpdaterWork:
    from gateway.updates.store.store import Store
    from gateway.updates.updater_work import UpdaterWork

    options = read_options(settings["options"])
    store = Store.open(
        options.store_dir,
        quota_bytes=options.quota_bytes,
        reserve_bytes=options.reserve_bytes,
        lock_fd=int(settings["lock_fd"]),
    )
    return UpdaterWork(options, store, stop)


def _obey(work: UpdaterWork, command: Mapping[str, Any], answers: BinaryIO) -> Mapping[str, Any]:
    """Do one command; return the answer."""
    try:
        if command["do"] == "refresh":
            return _told_look(work.refresh(list(command["models"])), answers)
        told = _Progress(answers)
        return _told_ref(work.fetch(str(command["model"]), int(command["number"]), told))
    except GatewayError as error:
        return {"error": error_words(error), "peak_rss_bytes": peak_rss_bytes()}
    except MemoryError:
        return {"error": error_words(FetchFailed("not enough memory")), "peak_rss_bytes": peak_rss_bytes()}
    except OSError as error:
        return {"error": error_words(StoreFailed(f"{error.filename or 'store'}: {error.strerror}"))}
    except Exception as error:  # noqa: BLE001 - the edge of this process
        return {"error": error_words(GatewayBug(f"updater: {type(error).__name__}: {error}"))}


def _told_look(look: Look, answers: BinaryIO) -> Mapping[str, Any]:
    """Tell of each manifest in a line of its own; return the rest."""
    for model, manifest in look.manifests.items():
        _say(answers, {"offer": {"model": model, "manifest": packed(manifest)}})
    report = look.report
    return {
        "refreshed": {
            "assignment": None if look.assignment is None else packed(look.assignment),
            "refused": {model: error_words(error) for model, error in look.refused.items()},
            "trouble": list(look.trouble),
            "trust": {
                "versions": dict(report.versions),
                "clock": report.clock,
                "expires_unix_s": dict(report.expires_unix_s),
                "root_expires_soon": report.root_expires_soon,
            },
        },
        "peak_rss_bytes": peak_rss_bytes(),
    }


def _told_ref(ref: ReleaseRef) -> Mapping[str, Any]:
    return {"fetched": {"number": ref.number, "digest": ref.digest}, "peak_rss_bytes": peak_rss_bytes()}


class _Progress:
    """Tells how far a fetch is, not too often."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers = answers
        self._told_s = 0.0

    def __call__(self, done_bytes: int, total_bytes: int) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s >= _TELL_EVERY_S or done_bytes == total_bytes:
            self._told_s = now_s
            _say(self._answers, {"progress": [done_bytes, total_bytes]})


def _confine(parent: int) -> None:
    die_with_parent(parent)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the broker's password
    with contextlib.suppress(OSError):
        os.nice(GENTLE)  # if the parent had no shell to begin with that


def _say(answers: BinaryIO, words: Mapping[str, Any]) -> None:
    rest = memoryview(line(words))
    while rest:
        rest = rest[answers.write(rest) :]


def peak_rss_bytes() -> int:
    """Return the most memory that this process ever had; 0 if the system does not say."""
    with contextlib.suppress(OSError):
        return kernel_bytes("/proc/self/status", "VmHWM")
    return 0


if __name__ == "__main__":
    sys.exit(main())
