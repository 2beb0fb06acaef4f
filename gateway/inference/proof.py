"""Loading a model for the first time in a throw-away process, whose end hurts nobody.

A damaged model file can end the process that loads it by a signal, eat its
memory or never return. ``prove`` starts ``gateway.inference.proof_child``, hands
it the ``LoadSpec`` and waits for one verdict; whatever else happens becomes one
typed error with the stage in which it happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.error_words import from_wire
from gateway.errors import (
    CardMismatch,
    EngineFailed,
    GatewayError,
    LoadFailed,
    OutOfMemory,
    PipelineMisfit,
    ValidationFailed,
    WarmupFailed,
)
from gateway.inference.body import KEPT_PREFIXES
from gateway.inference.loaded import LoadSpec
from gateway.inference.proven import Proof, ProofBudgets, beyond
from gateway.operations.child_end import last_words, signal_name
from gateway.operations.child_environment import child_environment
from gateway.operations.child_signal import signal_child
from gateway.operations.gentle import GENTLE, PATIENCE, gently

_POLITE: Final = 10  # a nice value: what serves goes first, and lanes have one too
DEFAULT_MEMORY_BYTES = 2 << 30
_MOST_VERDICT_BYTES = 4 << 20
_MOST_STDERR_BYTES = 64 << 10
_KILL_WAIT_S = 5.0
_PROGRESS = b'{"progress":'
_MOST_PROGRESS = 200  # characters

_STAGE_ERRORS: Mapping[str, type[EngineFailed]] = {
    "start": LoadFailed,
    "structure": LoadFailed,
    "load": LoadFailed,
    "warm_up": WarmupFailed,
    "dry_run": WarmupFailed,
    "golden": WarmupFailed,
    "derive": LoadFailed,
}
STAGES: Final = frozenset({*_STAGE_ERRORS, "budget"})


def _unheard(_words: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Effort:
    """How a model is tried.

    Attributes:
        budgets: What it may cost; None for anything.
        gently: True to leave the processors to what serves, and to give ``PATIENCE`` times as long for that.
        heard: Told, in the event loop, what an engine that takes long to build says of its progress.
    """

    budgets: ProofBudgets | None = None
    gently: bool = False
    heard: Callable[[str], None] = _unheard


_USUAL = Effort()


async def prove(
    spec: LoadSpec,
    *,
    timeout_s: float,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    effort: Effort = _USUAL,
) -> Proof:
    """Load, check, warm up, dry-run and measure a model in a process of its own.

    The stages are start, structure, load, warm_up, dry_run, golden, derive and
    budget; every error carries the one in which it happened (``stage``).

    Args:
        timeout_s: Longest time for everything together, on the wall and of each processor.
        memory_bytes: Most writable private memory that the process may map.
        effort: What it may cost, how politely it is tried, and who hears how far it is.

    Raises:
        LoadFailed: The card or file cannot be read or loaded, or the process died of it.
        CardMismatch: The file is not what the card says.
        WarmupFailed: The first runs or a golden sample failed, or the process died of them.
        PipelineMisfit: A pipeline cannot work on this model.
        OutOfMemory: ``memory_bytes`` was not enough.
        ValidationFailed: It works, and costs more than ``budgets``.

    Cancel-safe: the process is killed and waited for, with all that it started.
    """
    request = {
        "spec": spec.to_json(),
        "timeout_s": timeout_s,
        "memory_bytes": memory_bytes,
        "parent": os.getpid(),
        "politeness": GENTLE if effort.gently else _POLITE,
    }
    heard = effort.heard
    if not spec.options.derived:
        proof = await _try_out(spec, request, heard)
    else:
        from gateway.inference.deriving import derived_by

        proof = await derived_by(lambda place: _try_out(spec, {**request, "derive": place}, heard), spec)
    if effort.budgets and (wrong := beyond(proof, effort.budgets)):
        message = f"model {spec.name}: budget: {'; '.join(wrong)}"
        raise ValidationFailed(message, model=spec.name, stage="budget")
    return proof


async def _try_out(spec: LoadSpec, request: Mapping[str, Any], heard: Callable[[str], None]) -> Proof:
    timeout_s: float = request["timeout_s"] * (PATIENCE if request["politeness"] == GENTLE else 1)
    command = [sys.executable, "-m", "gateway.inference.proof_child"]
    if request["politeness"] == GENTLE:
        command = gently(command, GENTLE, own_session=True)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(),
            start_new_session=True,
        )
    except OSError as error:
        message = f"model {spec.name}: the process that tries it cannot be started: {error}"
        raise OutOfMemory(message, model=spec.name, stage="start") from error
    words = bytearray()
    said = _Said(heard)
    talk = asyncio.ensure_future(_converse(process, json.dumps(request).encode(), (said, words)))
    try:
        # Not wait_for: before Python 3.12 it swallows a cancellation that comes with the result.
        await asyncio.wait({talk}, timeout=timeout_s)
        late = not talk.done()
    finally:
        signal_child(process, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what it started, where nothing kept it from that
        await asyncio.wait({talk}, timeout=_KILL_WAIT_S)
        talk.cancel()
        await asyncio.gather(talk, return_exceptions=True)
    return _judge(
        spec, said.verdict(), _Ending(process.returncode, bytes(words), timeout_s if late else None)
    )


async def _converse(
    process: asyncio.subprocess.Process, request: bytes, heard: tuple[_Said, bytearray]
) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with contextlib.suppress(ConnectionError):  # it died before it read: its exit status says why
        process.stdin.write(request)
        await process.stdin.drain()
        process.stdin.close()
    await asyncio.gather(
        heard[0].listen(process.stdout),
        _collect(process.stderr, heard[1], _MOST_STDERR_BYTES),
    )
    await process.wait()


async def _collect(stream: asyncio.StreamReader, into: bytearray, most_bytes: int) -> None:
    """Read to the end, keeping no more than the first ``most_bytes``."""
    while chunk := await stream.read(65_536):
        into += chunk[: most_bytes - len(into)]


class _Said:
    """What the child says: its stages and verdict are kept, its progress is passed on as it comes."""

    def __init__(self, heard: Callable[[str], None]) -> None:
        self._heard = heard
        self._kept = bytearray()
        self._rest = b""

    async def listen(self, stream: asyncio.StreamReader) -> None:
        """Read to the end, keeping no more than a verdict may have."""
        while chunk := await stream.read(65_536):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                if line.startswith(_PROGRESS):
                    self._pass_on(line)
                else:
                    self._keep(line + b"\n")
            self._rest = self._rest[:_MOST_VERDICT_BYTES]

    def verdict(self) -> bytes:
        """Return the lines that were kept."""
        return bytes(self._kept) + self._rest

    def _keep(self, line: bytes) -> None:
        self._kept += line[: _MOST_VERDICT_BYTES - len(self._kept)]

    def _pass_on(self, line: bytes) -> None:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            self._heard(str(json.loads(line)["progress"])[:_MOST_PROGRESS])


@dataclass(frozen=True, slots=True)
class _Ending:
    """How the child ended: exit code, its standard error, and the time limit if that ended it."""

    code: int | None
    stderr: bytes
    timeout_s: float | None

    def words(self) -> str:
        """Return the end in words."""
        if self.timeout_s is not None:
            how = f"took longer than {self.timeout_s:g} s"
        elif self.code is not None and self.code < 0:
            how = f"was ended by {signal_name(-self.code)}"
        else:
            how = f"ended with code {self.code} and no verdict"
        return how + last_words(self.stderr, _tells)


def _judge(spec: LoadSpec, lines: bytes, ending: _Ending) -> Proof:
    """Return the proof that the child printed, or raise what happened instead."""
    stage = "start"
    for line in lines.splitlines():
        try:
            said = json.loads(line)
            if "stage" in said:
                stage = said["stage"]
            elif "proof" in said:
                return Proof.from_json(json.dumps(said["proof"]))
            elif "error" in said:
                raise _rebuilt(spec, said["error"])
        except (ValueError, TypeError, KeyError):
            break
    kind = _STAGE_ERRORS.get(stage, LoadFailed)
    message = f"model {spec.name}: {stage}: the process that tried it {ending.words()}"
    raise kind(message, model=spec.name, stage=stage)


def _rebuilt(spec: LoadSpec, error: Mapping[str, Any]) -> GatewayError:
    label, message = str(error["label"]), str(error["message"])
    if label == PipelineMisfit.label:
        return from_wire(label, message)
    named = message if spec.name in message else f"model {spec.name}: {message}"
    for kind in (LoadFailed, CardMismatch, WarmupFailed, OutOfMemory):
        if kind.label == label:
            return kind(named, model=spec.name, stage=str(error["stage"]))
    return from_wire(label, named)


def _environment() -> dict[str, str]:
    return child_environment(prefixes=KEPT_PREFIXES)


def _tells(line: str) -> bool:
    """Tell words about a failure from the runtime's chatter."""
    return bool(line.strip()) and not line.startswith(("INFO:", "WARNING: All log messages"))
