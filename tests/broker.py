"""A real mosquitto for tests and benches: own process, free port, can be killed and started again."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from pathlib import Path
from types import TracebackType

from tests.ports import free_port

START_LIMIT_S = 20.0
LOG_LEVELS = ("error", "warning", "notice", "information")


def mosquitto_path() -> str:
    """Find the broker's program, which Debian keeps out of a plain user's PATH."""
    found = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if found is None:
        raise RuntimeError("mosquitto is not installed; scripts/test installs it")
    return found


class Broker:
    """One mosquitto; the kernel ends it should the test process die first.

    Args:
        lines: Lines added to its configuration after ``listener``, so listener
            options such as ``cafile`` work here too.
        anonymous: Whether clients without a user name may connect.
    """

    def __init__(self, *lines: str, anonymous: bool = True) -> None:
        self._lines = lines
        self._anonymous = anonymous
        self._process: subprocess.Popen[str] | None = None
        self._follower: threading.Thread | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="broker-")
        self.port = 0
        self.log: deque[str] = deque(maxlen=20_000)

    @property
    def url(self) -> str:
        """Address for ``mqtt.url``, without TLS."""
        return f"mqtt://127.0.0.1:{self.port}"

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._folder.cleanup()

    def start(self) -> None:
        """Start, on the port of last time if there was one, and return once it listens."""
        if self.port:
            self._launch()
            return
        for _ in range(5):
            self.port = free_port()
            try:
                self._launch()
            except RuntimeError:
                continue  # somebody took the port between the probe and the start
            return
        self._launch()

    def kill(self) -> None:
        """End it as a crash would: SIGKILL, no wills, no closing of sessions."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in an orderly way; does nothing when it does not run."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            while process.poll() is None:
                process.send_signal(number)
                # mosquitto forgets a SIGTERM that comes just after it said that it runs.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.5)
            self._drain(process)

    def _drain(self, process: subprocess.Popen[str]) -> None:
        """Read what an ended process left in its log, and close the pipe."""
        if self._follower is not None:
            self._follower.join(START_LIMIT_S)
        if process.stderr is not None:
            process.stderr.close()

    def _launch(self) -> None:
        path = Path(self._folder.name) / "mosquitto.conf"
        # Packets are sent at once: Nagle's delay would stand in every latency measured here.
        # Started by root it would become another user, who cannot read a test's files.
        head = (
            "user root",
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {str(self._anonymous).lower()}",
        )
        tail = (
            "set_tcp_nodelay true",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type notice",
        )
        path.write_text("\n".join((*head, *self._lines, *tail, "log_type information", "")), encoding="utf-8")
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", mosquitto_path(), "-c", str(path)],
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        answered, runs = threading.Event(), threading.Event()
        self._follower = threading.Thread(
            target=self._follow, args=(process, answered, runs), name="broker.log", daemon=True
        )
        self._follower.start()
        answered.wait(START_LIMIT_S)
        if not runs.is_set():
            process.kill()
            process.wait(START_LIMIT_S)
            self._drain(process)
            raise RuntimeError("mosquitto did not start:\n" + "\n".join(self.log))
        self._process = process

    def _follow(
        self, process: subprocess.Popen[str], answered: threading.Event, runs: threading.Event
    ) -> None:
        """Keep the log's end, so that the pipe never fills; a closed log answers too."""
        stream = process.stderr
        while stream is not None and (line := stream.readline()):
            self.log.append(line.rstrip())
            if self.log[-1].endswith(" running"):  # clients may connect at once, and then more is logged
                runs.set()
                answered.set()
        answered.set()
