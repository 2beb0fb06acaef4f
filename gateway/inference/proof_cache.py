"""Proofs remembered on disk, so that a start with known models needs no throw-away process.

A proof is found again only while everything that it rests on is the same: the
model file, the card, its labels and golden samples, the pipelines, the engine's
options, the runtime and this gateway, the machine's instructions. Anything
unreadable in the cache is as good as absent.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from gateway.errors import ConfigError, LoadFailed
from gateway.inference.card import check_digest, file_digest, inside, read_folder
from gateway.inference.engine_cache import is_filled
from gateway.inference.engines.board_facts import board_facts
from gateway.inference.engines.select import choose, distribution
from gateway.inference.loaded import LoadSpec
from gateway.inference.machine import machine
from gateway.inference.proof import DEFAULT_MEMORY_BYTES, Effort, prove
from gateway.inference.proven import Proof
from gateway.inference.structure import external_names
from gateway.model import CARD_FILE, ModelCard, ModelFolder
from gateway.operations.build import VERSION

_FORMAT = 3
_MEMO = "digests.json"
_MOST_PROOFS = 64
_MOST_MEMO_ENTRIES = 1024
_MOST_FILE_BYTES = 4 << 20
# A file system's clock may tick this slowly: a younger file could still change unseen.
_SETTLED_NS = 2_000_000_000


class ProofCache:
    """Proofs and file digests in one folder. Used by one process at a time; safe if by more."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._memo: dict[str, Any] | None = None

    def key(self, spec: LoadSpec) -> str:
        """Return a digest of everything that a proof of ``spec`` rests on.

        Raises:
            LoadFailed: The card or a file that it names cannot be read.
            CardMismatch: The file's digest is not the card's.
        """
        try:
            model = read_folder(spec.folder, spec.file)
        except ConfigError as error:
            raise LoadFailed(str(error), model=spec.name) from error
        check_digest(model, self.digest(model.file))
        runtime = choose(model.card.format, spec.engine)
        whole = {
            "format": _FORMAT,
            "spec": asdict(spec),
            "files": {name: self.digest(path) for name, path in _files(model).items()},
            "runtime": [runtime, _version(distribution(runtime)), _version("numpy"), *_gpu_facts(spec)],
            "gateway": VERSION,
            "python": sys.version,
            "machine": list(machine()),
        }
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()

    def find(self, key: str) -> Proof | None:
        """Return the proof kept under ``key``; None if there is none that can be read."""
        text = self._read(f"{key}.json")
        try:
            held = json.loads(text)
            if held["sha256"] != hashlib.sha256(held["proof"].encode()).hexdigest():
                return None
            return Proof.from_json(held["proof"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def keep(self, key: str, proof: Proof) -> bool:
        """Keep a proof; return False if the folder cannot be written."""
        text = proof.to_json()
        held = json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "proof": text})
        kept = self._write(f"{key}.json", held)
        self._prune()
        return kept

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of a file in hex; read anew only if its facts changed.

        Raises:
            LoadFailed: It cannot be read.
        """
        memo = self._memory()
        name = str(path.resolve())
        before = _stat(path)
        held = memo.get(name)
        if isinstance(held, list) and held[:-1] == before and isinstance(held[-1], str):
            return held[-1]
        digest = file_digest(path)
        after = _stat(path)
        if before == after and time.time_ns() - max(after[-2:]) > _SETTLED_NS:
            memo[name] = [*after, digest]
            while len(memo) > _MOST_MEMO_ENTRIES:
                del memo[next(iter(memo))]
            self._write(_MEMO, json.dumps(memo))
        return digest

    def _memory(self) -> dict[str, Any]:
        if self._memo is None:
            try:
                held = json.loads(self._read(_MEMO))
            except (ValueError, RecursionError):
                held = {}
            self._memo = held if isinstance(held, dict) else {}
        return self._memo

    def _read(self, name: str) -> str:
        try:
            with (self._folder / name).open("rb") as file:
                return file.read(_MOST_FILE_BYTES).decode(errors="replace")
        except OSError:
            return ""

    def _write(self, name: str, text: str) -> bool:
        """Replace a file whole; a power cut leaves the old one, the new one, or none."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd, temporary = tempfile.mkstemp(prefix=".new-", dir=self._folder)
        except OSError:
            return False
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self._folder / name)
        except OSError:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            return False
        return True

    def _prune(self) -> None:
        with contextlib.suppress(OSError):
            proofs = [path for path in self._folder.glob("*.json") if path.name != _MEMO]
            proofs.sort(key=lambda path: path.stat().st_mtime_ns)
            for path in proofs[:-_MOST_PROOFS]:
                path.unlink()


async def prove_once(
    spec: LoadSpec,
    cache: ProofCache,
    *,
    timeout_s: float,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    effort: Effort | None = None,
) -> tuple[Proof, bool]:
    """Return the kept proof of ``spec``, or prove it and keep that; True if a process was needed.

    Raises:
        LoadFailed, CardMismatch, WarmupFailed, PipelineMisfit, OutOfMemory: As ``prove``.

    Cancel-safe: as ``prove``.
    """
    key = await asyncio.to_thread(cache.key, spec)
    proof = await asyncio.to_thread(cache.find, key)
    if proof is not None and await asyncio.to_thread(_is_complete, spec, proof):
        return proof, False
    proof = await prove(spec, timeout_s=timeout_s, memory_bytes=memory_bytes, effort=effort or Effort())
    if await asyncio.to_thread(cache.key, spec) == key:  # else the files changed meanwhile
        await asyncio.to_thread(cache.keep, key, proof)
    return proof, True


def _is_complete(spec: LoadSpec, proof: Proof) -> bool:
    """Say whether what lanes are to load faster from is there too; proving again makes it again."""
    if not is_filled(spec.options.engine_cache):
        return False
    if not spec.options.derived:
        return True
    from gateway.inference.deriving import is_derived

    return is_derived(spec, proof)


def names_on(card: ModelCard) -> tuple[str, ...]:
    """Return the names of all files that a card names, its own and its twins'."""
    samples = [*card.golden, *(sample for twin in card.twins for sample in twin.golden)]
    names = [card.labels, card.file, *(twin.file for twin in card.twins), *(each.file for each in samples)]
    names += [str(sample.expect["outputs"]) for sample in samples if "outputs" in sample.expect]
    return tuple(dict.fromkeys(name for name in names if name))


def _files(model: ModelFolder) -> dict[str, Path]:
    """Return every file that a card names, and the card."""
    card = model.card
    models = [(card.file, card.format), *((twin.file, twin.format) for twin in card.twins)]
    files = {name: inside(model.folder, name, "file") for name in names_on(card)}
    for name, kind in models:
        if kind == "onnx":
            path = inside(model.folder, name, "file")
            files |= {f"{name}: {each}": inside(path.parent, each, "file") for each in external_names(path)}
    return {CARD_FILE: model.folder / CARD_FILE, **files}


def _stat(path: Path) -> list[int]:
    try:
        facts = path.stat()
    except OSError as error:
        raise LoadFailed(f"{path}: {error.strerror or error}") from error
    return [facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]


def _gpu_facts(spec: LoadSpec) -> list[str]:
    """Return what a proof on a GPU rests on besides: it is another one after an update of the board.

    The runtime's version is read beside it: a package for GPUs has another name, and may be laid over ours.
    """
    if not spec.options.exact:
        return []
    board = board_facts()
    return [board.runtime_version, board.tensorrt, board.l4t, str(board.sm), platform.release()]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"
