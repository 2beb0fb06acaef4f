"""The daemon's side of the updater child: starts it, asks it, and lets no end of it be more than an error.

A child that dies, hangs, or writes what nobody can read is one ``FetchFailed``;
one that cannot be started is ``StoreFailed``. What it says is believed as far as
it is signed: bytes of manifests and assignments are read here once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, TypeVar

from gateway.errors import FetchFailed, StoreFailed, UpdateRefused
from gateway.mqtt.wait import done_by
from gateway.operations.child_end import last_words, signal_name
from gateway.operations.child_environment import child_environment
from gateway.operations.child_signal import signal_child
from gateway.operations.gentle import GENTLE, gently
from gateway.updates.assignment import Assignment
from gateway.updates.assignment_json import read_assignment
from gateway.updates.manifest import read_manifest
from gateway.updates.release import Release, ReleaseRef, manifest_digest
from gateway.updates.updater_wire import (
    MOST_LINE_BYTES,
    UpdaterOptions,
    line,
    options_words,
    read_error,
    unpacked,
)

# The options are the child's too, which imports no event loop for them.
__all__ = ["Offer", "Refreshed", "TrustFacts", "UpdaterOptions", "UpdaterSession"]

Answer = TypeVar("Answer")

_KILL_WAIT_S: Final = 5.0
_STATUS_WAIT_S: Final = 1.0
# Beyond the child's own deadlines: it is given the chance to say itself what went wrong.
_GRACE_S: Final = 15.0
_MOST_STDERR_BYTES: Final = 16 << 10

# What the child needs of our environment, and nobody else's child does. No secret
# is among it, but for those that a proxy's address holds.
_KEPT_NAMES: Final = frozenset(
    {"SSL_CERT_FILE", "SSL_CERT_DIR", "http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY"}
)
_KEPT_PREFIXES: Final = ("GATEWAY_FAILPOINT",)


@dataclass(frozen=True, slots=True)
class TrustFacts:
    """What is believed since a refresh.

    Attributes:
        versions: Version in force, by role.
        clock: ``ok``, or ``untrusted``.
        expires_unix_s: When each of them expires.
        root_expires_soon: True if it is time to ask for a new root.
    """

    versions: Mapping[str, int]
    clock: str
    expires_unix_s: Mapping[str, int]
    root_expires_soon: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """A signed release that the assignment wants.

    Attributes:
        release: What the manifest says.
        ref: Its number and digest.
        manifest: The signed bytes.
    """

    release: Release
    ref: ReleaseRef
    manifest: bytes


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a look at the repository brought.

    Attributes:
        assignment: The group's; None if there is none.
        releases: What it wants, by model, for those models that were asked about.
        trust: What is believed now.
        refused: By model, why what it wants is not in ``releases``.
        trouble: What went wrong beside, in words: an inbox that could not be used, say.
    """

    assignment: Assignment | None
    releases: Mapping[str, Offer]
    trust: TrustFacts
    refused: Mapping[str, UpdateRefused] = field(default_factory=dict)
    trouble: tuple[str, ...] = ()


class UpdaterSession:
    """One updater child as an asynchronous resource; one thing at a time is asked of it.

    Args:
        options: What it has to know.
        lock_fd: The store's lock, which it inherits; stays the caller's.

    Attributes:
        peak_rss_bytes: The most memory that the child ever had, as it last said.
        pid: Its process; 0 before it is started.
    """

    def __init__(self, options: UpdaterOptions, lock_fd: int) -> None:
        self._options = options
        self._lock_fd = lock_fd
        self._process: asyncio.subprocess.Process | None = None
        self._stderr = bytearray()
        self._listening: asyncio.Task[None] | None = None
        self.peak_rss_bytes = 0
        self.pid = 0

    async def __aenter__(self) -> UpdaterSession:
        """Start the child.

        Raises:
            StoreFailed: It cannot be started.
        """
        try:
            self._process = await asyncio.create_subprocess_exec(
                *gently([sys.executable, "-m", "gateway.updates.updater_child"], GENTLE, own_session=False),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=(self._lock_fd,),
                limit=MOST_LINE_BYTES,
                env=child_environment(_KEPT_NAMES, _KEPT_PREFIXES),
            )
        except OSError as error:
            raise StoreFailed(f"the updater cannot be started: {error.strerror}") from error
        self.pid = self._process.pid
        self._listening = asyncio.ensure_future(self._keep_words(self._process))
        self._say(
            {
                "options": options_words(self._options),
                "lock_fd": self._lock_fd,
                "parent": os.getpid(),
            }
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is None:
            return
        try:
            if kind is None and process.returncode is None:
                await self._part(process)
        finally:
            await self._kill(process)

    async def refresh(self, models: Sequence[str]) -> Refreshed:
        """Look at the repository, and at the inbox if one is ready.

        Args:
            models: Models of which the releases are wanted.

        Raises:
            UpdateRefused: Nothing could be believed, or the child failed; one typed error whatever happened.
            GatewayBug: The child met what it never should.

        Cancel-safe: the child is killed.
        """
        offers: dict[str, Offer] = {}

        def take(words: Mapping[str, Any]) -> None:
            if "offer" in words:
                found = words["offer"]
                offers[str(found["model"])] = _offer(unpacked(found["manifest"]))

        command = {"do": "refresh", "models": list(models)}
        wanted = ("refreshed", self._options.refresh_s)
        return await self._ask(command, wanted, take, lambda words: _refreshed(words, offers))

    async def fetch(self, model: str, number: int, progress: Callable[[int, int], None]) -> ReleaseRef:
        """Bring a release into the store and stage its folder.

        Args:
            model: Whose.
            number: Which.
            progress: Called with the bytes that are there and all bytes, now and then.

        Raises:
            UpdateRefused: It is not signed, does not fit, or does not come; or the child failed.
            GatewayBug: The child met what it never should.

        Cancel-safe: the child is killed; what it wrote stays good.
        """

        def take(words: Mapping[str, Any]) -> None:
            if "progress" in words:
                done_bytes, total_bytes = words["progress"]
                progress(int(done_bytes), int(total_bytes))

        command = {"do": "fetch", "model": model, "number": number}
        wanted = ("fetched", self._options.fetch_s + self._options.refresh_s)
        return await self._ask(command, wanted, take, _ref)

    async def _ask(
        self,
        command: Mapping[str, Any],
        wanted: tuple[str, float],
        take: Callable[[Mapping[str, Any]], None],
        read: Callable[[Mapping[str, Any]], Answer],
    ) -> Answer:
        """Give a command and read what is said under the wanted key, or raise what went wrong."""
        key, limit_s = wanted
        deadline_s = time.monotonic() + limit_s + _GRACE_S
        try:
            self._say(command)
            while True:
                words = await self._hear(deadline_s)
                if "error" in words:
                    raise read_error(words["error"])
                if key in words:
                    return read(words[key])
                take(words)
        except (ValueError, TypeError, KeyError):
            await self._end()
            raise FetchFailed("the updater said what nobody can read", **self._facts()) from None
        except asyncio.CancelledError:
            if self._process is not None:
                await self._kill(self._process)
            raise

    async def _hear(self, deadline_s: float) -> Mapping[str, Any]:
        """Return what the child says next.

        Raises:
            FetchFailed: It died, or says nothing in time.
            ValueError: It is no line of ours.
        """
        process = self._process
        if process is None or process.stdout is None:
            raise FetchFailed("the updater does not run")
        reading = asyncio.ensure_future(process.stdout.readline())
        try:
            if not await done_by(reading, deadline_s):
                await self._end()
                raise FetchFailed("the updater did not answer in time and was ended", **self._facts())
            said = reading.result()
        finally:
            reading.cancel()
        if not said.endswith(b"\n"):
            raise FetchFailed(f"the updater {await self._end()}", **self._facts())
        words = json.loads(said)
        if not isinstance(words, dict):
            raise ValueError(said[:20])
        self.peak_rss_bytes = int(words.get("peak_rss_bytes", self.peak_rss_bytes))
        return words

    def _say(self, words: Mapping[str, Any]) -> None:
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None:
            return  # whoever listens for the answer learns how it ended
        with contextlib.suppress(ConnectionError, RuntimeError):
            process.stdin.write(line(words))

    async def _part(self, process: asyncio.subprocess.Process) -> None:
        """Let the child end by itself; note what it says last."""
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(FetchFailed, ValueError, TypeError):
            while True:
                words = await self._hear(time.monotonic() + _KILL_WAIT_S)
                if "end" in words:
                    self.peak_rss_bytes = int(words["end"]["peak_rss_bytes"])
                    break

    async def _end(self) -> str:
        """See that the child is gone; return how it went, in words."""
        process = self._process
        if process is None:
            return "does not run"
        # Its last words may come before its exit status.
        by_itself = await done_by(asyncio.ensure_future(process.wait()), time.monotonic() + _STATUS_WAIT_S)
        await self._kill(process)
        return _ending(process.returncode, bytes(self._stderr)) if by_itself else "was ended"

    async def _kill(self, process: asyncio.subprocess.Process) -> None:
        signal_child(process, signal.SIGKILL)
        ending = asyncio.ensure_future(process.wait())
        await asyncio.wait({ending}, timeout=_KILL_WAIT_S)
        ending.cancel()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, ending, return_exceptions=True)

    async def _keep_words(self, process: asyncio.subprocess.Process) -> None:
        """Keep the end of what the child writes to standard error."""
        assert process.stderr is not None
        while chunk := await process.stderr.read(4096):
            self._stderr += chunk
            del self._stderr[:-_MOST_STDERR_BYTES]

    def _facts(self) -> dict[str, Any]:
        return {"pid": self.pid}


def _offer(manifest: bytes) -> Offer:
    release = read_manifest(manifest)
    return Offer(release, ReleaseRef(release.number, manifest_digest(manifest)), manifest)


def _refreshed(words: Mapping[str, Any], offers: Mapping[str, Offer]) -> Refreshed:
    found, trust = words["assignment"], words["trust"]
    refused: dict[str, UpdateRefused] = {}
    for model, said in words["refused"].items():
        error = read_error(said)
        if not isinstance(error, UpdateRefused):
            raise error
        refused[model] = error
    return Refreshed(
        None if found is None else read_assignment(unpacked(found)),
        offers,
        TrustFacts(
            {role: int(version) for role, version in trust["versions"].items()},
            str(trust["clock"]),
            {role: int(when) for role, when in trust["expires_unix_s"].items()},
            bool(trust["root_expires_soon"]),
        ),
        refused,
        tuple(str(each) for each in words["trouble"]),
    )


def _ref(words: Mapping[str, Any]) -> ReleaseRef:
    return ReleaseRef(int(words["number"]), str(words["digest"]))


def _ending(code: int | None, stderr: bytes) -> str:
    if code is not None and code < 0:
        how = f"was ended by {signal_name(-code)}"
    else:
        how = f"ended with code {code} and no answer"
    return how + last_words(stderr)
