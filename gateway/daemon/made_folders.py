"""The gateway's own copies of drop-in models: each a folder with a card, which nobody else writes into.

What lies in the users' folder may be overwritten in place at any moment, and whoever
maps such a file then ends by a signal. So each model is copied, and what was
copied is what is read, proven and served; the copy goes when nothing serves from it.
A copy is whole or not there: it is made beside and renamed into its place.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from gateway.daemon.dropped import Dropped, Facts, facts_of
from gateway.errors import ConfigError, LoadFailed, NotReady
from gateway.inference.card import file_digest, inside, read_folder
from gateway.inference.card_text import card_text, missing_on
from gateway.inference.made_card import LABELS_FILE, MOST_FILE_BYTES, card_of_file, lawful_name
from gateway.inference.proof_cache import names_on
from gateway.inference.structure import external_names
from gateway.model import CARD_FILE
from gateway.operations.build import VERSION

_KEPT: Final = "kept.json"
_NEW: Final = ".new-"
_FORMAT: Final = 1
_MOST_KEPT_BYTES: Final = 1 << 20
_LEFT_FREE_BYTES: Final = 64 << 20
_CHUNK_BYTES: Final = 8 << 20
_FICLONE: Final = 0x40049409  # the same on x86 and arm
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Made:
    """A model that was copied.

    Attributes:
        folder: Where it lies, with its card.
        missing: Keys that a person should add to the card, if it was made of the file alone.
        open_sizes: Whether the file leaves sizes open with which it could be tried again.
    """

    folder: Path
    missing: tuple[str, ...] = ()
    open_sizes: bool = False


class MadeFolders:
    """One folder of copies, for the models of one users' folder. Everything here blocks.

    Attributes:
        companions: What each model file needed beside it, and what was seen of that when it was copied.
    """

    def __init__(self, root: Path) -> None:
        self.companions: dict[Path, dict[str, Facts]] = {}
        self._root = root

    def make(self, dropped: Dropped, size: int = 0) -> Made:
        """Return a copy of a model; one of the very same files is taken again.

        Args:
            dropped: The model.
            size: Size with which it is tried where its file leaves sizes open; 0 for the least, or for what
                held before.

        Raises:
            LoadFailed: It is no model, or a file of it is missing or is no plain file.
            CardMismatch: Its card contradicts itself.
            NotReady: It changed meanwhile, or there is no room for it here: try again later.
        """
        kept = self._find(dropped) if not size else None
        if kept is not None:
            return kept
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = Path(tempfile.mkdtemp(prefix=_NEW, dir=self._root))
        except OSError as error:
            raise NotReady(f"{self._root}: {error.strerror}: copies of models cannot be kept") from error
        try:
            made = self._fill(new, dropped, size)
            return replace(made, folder=self._keep(new, dropped))
        except OSError as error:
            if error.errno in _FULL or error.filename is None or str(error.filename).startswith(str(new)):
                raise NotReady(f"{dropped.path.name}: cannot be copied: {error.strerror}") from error
            raise LoadFailed(f"{error.filename}: {error.strerror}") from error
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def discard(self, folder: Path) -> None:
        """Delete a copy that nothing serves from any more."""
        if folder.parent == self._root:
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self, keep: frozenset[Path]) -> None:
        """Delete every other copy, and what was left half made."""
        with contextlib.suppress(OSError):
            for path in [*self._root.iterdir()]:
                if path not in keep:
                    shutil.rmtree(path, ignore_errors=True)

    def _find(self, dropped: Dropped) -> Made | None:
        """Return a copy of the same files that is undamaged; None if there is none."""
        for path in sorted(self._root.glob(f"{dropped.name}-*")):
            kept = _read_kept(path)
            if kept.get("name") != dropped.name or kept.get("own") != _plain(dropped):
                continue
            beside: Mapping[str, Any] = kept.get("companions", {})
            at = dropped.file.parent if dropped.file else dropped.path
            if any(_listed(facts_of(at / name)) != facts for name, facts in beside.items()):
                continue
            if not _holds(path, kept["files"]):
                continue
            try:
                card = read_folder(path).card
            except (LoadFailed, ConfigError):
                continue
            if dropped.file is not None:
                self.companions[dropped.file] = {name: facts_of(at / name) for name in beside}
            return Made(path, missing_on(card) if card.made else ())
        return None

    def _fill(self, new: Path, dropped: Dropped, size: int) -> Made:
        """Copy everything into a new folder, with a card."""
        if dropped.file is None:
            return self._fill_from_card(new, dropped.path)
        # Whatever the file is called, a card can name the copy.
        copy = new / f"{lawful_name(dropped.file.stem)}{dropped.file.suffix.lower()}"
        _copy(dropped.file, copy)
        beside = self.companions[dropped.file] = {}
        for name in _weights(copy, copy.suffix[1:], dropped.file):
            beside[name] = facts_of(dropped.file.parent / name)
            _copy_beside(dropped.file.parent, new, name)
        made = card_of_file(copy, dropped.name, size)
        if made.labels:
            with (new / LABELS_FILE).open("x", encoding="utf-8") as file:
                file.writelines(f"{label}\n" for label in made.labels)
        with (new / CARD_FILE).open("x", encoding="utf-8") as file:
            file.write(card_text(made.card, made.notes))
        return Made(new, made.missing, made.open_sizes)

    def _fill_from_card(self, new: Path, folder: Path) -> Made:
        try:
            card = read_folder(folder).card
        except ConfigError as error:
            raise LoadFailed(str(error)) from error
        for name in (CARD_FILE, *names_on(card)):
            source, target = inside(folder, name, "file"), new / name
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(source, target)
        models = ((card.file, card.format), *((twin.file, twin.format) for twin in card.twins))
        for name, model_format in models:
            beside = Path(name).parent
            for each in _weights(new / name, model_format, folder / name):
                if not (new / beside / each).exists():
                    _copy_beside(folder / beside, new / beside, each)
        return Made(new)

    def _keep(self, new: Path, dropped: Dropped) -> Path:
        """Rename a filled folder into its place, which its content names."""
        paths = [path for path in sorted(new.rglob("*")) if path.is_file()]
        files = {str(path.relative_to(new)): file_digest(path) for path in paths}
        key = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]
        place = self._root / f"{dropped.name}-{key}"
        companions = self.companions.get(dropped.file, {}) if dropped.file else {}
        kept = {
            "format": _FORMAT,
            "gateway": VERSION,
            "name": dropped.name,
            "own": _plain(dropped),
            "companions": {name: _listed(facts) for name, facts in companions.items()},
            "files": files,
        }
        (new / _KEPT).write_text(json.dumps(kept), encoding="utf-8")
        if _holds(place, files):
            (new / _KEPT).replace(place / _KEPT)
        else:
            shutil.rmtree(place, ignore_errors=True)
            new.rename(place)
        return place


def _read_kept(path: Path) -> dict[str, Any]:
    try:
        with (path / _KEPT).open("rb") as file:
            kept = json.loads(file.read(_MOST_KEPT_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    usable = isinstance(kept, dict) and kept.get("format") == _FORMAT and kept.get("gateway") == VERSION
    return kept if usable else {}


def _holds(folder: Path, files: Mapping[str, str]) -> bool:
    """Return whether a copy is what it was: files by name, with their digests."""
    try:
        return all(file_digest(folder / name) == digest for name, digest in files.items())
    except LoadFailed:
        return False


def _plain(dropped: Dropped) -> list[Any]:
    """Return what was seen of a model's own files, as JSON has it."""
    return [[name, _listed(facts)] for name, facts in dropped.own]


def _listed(facts: Facts) -> list[int] | None:
    return None if facts is None else list(facts)


def _weights(copy: Path, model_format: str, source: Path) -> Iterator[str]:
    """Yield the files beside a model that hold its weights; the copy alone is read.

    Raises:
        LoadFailed: It is no ONNX model, or names a file that it must not.
    """
    if model_format != "onnx":
        return
    try:
        yield from external_names(copy)
    except LoadFailed as error:
        raise LoadFailed(error.message.replace(str(copy), source.name)) from error


def _copy_beside(folder: Path, new: Path, name: str) -> None:
    """Copy a file of weights.

    Raises:
        LoadFailed: It is not there, or it or its folder is a link.
    """
    source = folder / name
    if source.parent != folder and source.parent.is_symlink():
        raise LoadFailed(f"{name}: its folder is a symbolic link: put the folder itself beside the model")
    if facts_of(source) is None:
        raise LoadFailed(f"the model keeps weights in {name}, which is not there: put it beside the model")
    (new / name).parent.mkdir(parents=True, exist_ok=True)
    _copy(source, new / name)


def _copy(source: Path, target: Path) -> None:
    """Copy a plain file, or share its blocks where the file system can.

    Raises:
        LoadFailed: It is no plain file, or larger than any model file.
        NotReady: It changed meanwhile, or there is no room.
        OSError: It cannot be read or written.
    """
    try:
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = "is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise LoadFailed(f"{source.name}: {why}") from error
    with os.fdopen(fd, "rb") as reading:
        before = os.fstat(fd)
        if not stat.S_ISREG(before.st_mode):
            raise LoadFailed(f"{source.name}: is no regular file")
        if before.st_size > MOST_FILE_BYTES and source.suffix.lower() in {".onnx", ".tflite"}:
            raise LoadFailed(f"{source.name}: has {before.st_size} bytes, more than any model file can")
        if shutil.disk_usage(target.parent).free < before.st_size + _LEFT_FREE_BYTES:
            raise NotReady(f"{source.name}: no room on the disk to copy its {before.st_size} bytes")
        with target.open("xb") as writing:
            _move_bytes(reading.fileno(), writing.fileno(), before.st_size)
        after = os.fstat(fd)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise NotReady(f"{source.name}: changed while it was copied")


def _move_bytes(reading: int, writing: int, size: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.ioctl(writing, _FICLONE, reading)
        return
    at = 0
    while at < size:
        count = os.sendfile(writing, reading, at, min(_CHUNK_BYTES, size - at))
        if count == 0:
            return  # it was cut meanwhile, which its facts say
        at += count
