"""What lies in the folder for drop-in models: which files and folders are models, and which cannot be.

Only names and sizes are looked at here, no file is opened. Whatever was looked at
has a signature; what has the same one again is as it was.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.inference.made_card import FORMATS, lawful_name
from gateway.model import CARD_FILE

# Inode, size, and when it was last changed; None for what is not there.
Facts = tuple[int, int, int, int] | None
Signature = tuple[tuple[str, Facts], ...]

_MOST_ENTRIES: Final = 4096
_MOST_FILES: Final = 512
_MOST_DEEP: Final = 3
_NOT_YET: Final = (
    *("~", ".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", ".filepart", ".swp", ".aria2"),
)
_TO_ONNX: Final = "export it to .onnx"
# Models of other kinds, and what to do with them.
_OTHERS: Final[Mapping[str, str]] = {
    **dict.fromkeys((".pt", ".pth", ".torchscript", ".safetensors"), _TO_ONNX),
    **dict.fromkeys((".pb", ".h5", ".keras", ".savedmodel"), "convert it to .tflite or .onnx"),
    **dict.fromkeys(
        (".engine", ".plan", ".trt"),
        "engines are built on each board from the .onnx file: put that here",
    ),
    **dict.fromkeys((".mlmodel", ".caffemodel", ".gguf", ".xml", ".pkl", ".joblib"), _TO_ONNX),
    ".zip": "unpack it into a folder of its own",
    ".tar": "unpack it into a folder of its own",
    ".gz": "unpack it into a folder of its own",
}


@dataclass(frozen=True, slots=True)
class Dropped:
    """One model that lies in the folder.

    Attributes:
        name: What it is served as.
        path: What its owner put there: a model file, or a folder.
        file: The model file; None for a folder with a card, which says it.
        signature: What was seen of its files.
    """

    name: str
    path: Path
    file: Path | None
    signature: Signature

    @property
    def own(self) -> Signature:
        """What was seen of its own files; without those that a model file needs beside it."""
        return self.signature[:1] if self.file == self.path else self.signature


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that cannot be a model here.

    Attributes:
        path: What lies there.
        reason: Why not, in words.
        advice: What to do.
    """

    path: Path
    reason: str
    advice: str


@dataclass(frozen=True, slots=True)
class Look:
    """One look into the folder.

    Attributes:
        found: Models by name.
        refused: What cannot be one.
    """

    found: Mapping[str, Dropped]
    refused: tuple[Refusal, ...]


def look(folder: Path, companions: Mapping[Path, Iterable[str]]) -> Look:
    """Return what lies in a folder now.

    Args:
        folder: The folder for drop-in models.
        companions: Files that model files are known to need beside them, by model file.

    Raises:
        OSError: The folder is not there, or cannot be read.
    """
    found: dict[str, Dropped] = {}
    refused: list[Refusal] = []
    with os.scandir(folder) as entries:
        names = sorted(
            (entry for _, entry in zip(range(_MOST_ENTRIES), entries, strict=False) if _is_meant(entry.name)),
            # A folder goes before a file of the same name: it says more.
            key=lambda entry: (not entry.is_dir(follow_symlinks=False), entry.name),
        )
    for entry in names:
        path = Path(entry.path)
        seen = _folder(path) if entry.is_dir(follow_symlinks=False) else _file(path, companions)
        if isinstance(seen, Refusal):
            refused.append(seen)
        elif seen is not None and seen.name in found:
            other = found[seen.name].path.name
            why = f"would be served as {seen.name}, as {other} is"
            refused.append(Refusal(path, why, "rename one of them"))
        elif seen is not None:
            found[seen.name] = seen
    return Look(found, tuple(refused))


def facts_of(path: Path) -> Facts:
    """Return what tells that a file was changed; None if it is not there."""
    try:
        facts = path.lstat()
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _is_meant(name: str) -> bool:
    """Leave out what is hidden, or what somebody is still bringing here."""
    return not name.startswith((".", "~", "#")) and not name.lower().endswith(_NOT_YET)


def _file(path: Path, companions: Mapping[Path, Iterable[str]]) -> Dropped | Refusal | None:
    suffix = path.suffix.lower()
    if suffix in _OTHERS:
        return Refusal(path, f"{suffix} files are not served", _OTHERS[suffix])
    if suffix not in FORMATS:
        return None
    try:
        kind = path.lstat().st_mode
    except OSError:
        return None  # gone again
    if stat.S_ISLNK(kind):
        advice = "copy the file itself: a change behind a link would not be noticed"
        return Refusal(path, "is a symbolic link", advice)
    if not stat.S_ISREG(kind):
        return Refusal(path, "is no regular file", "put a model file here")
    beside = sorted(companions.get(path, ()))
    signature = ((path.name, facts_of(path)), *((name, facts_of(path.parent / name)) for name in beside))
    return Dropped(lawful_name(path.stem), path, path, signature)


def _folder(path: Path) -> Dropped | Refusal | None:
    files = _files_below(path)
    if len(files) > _MOST_FILES:
        return Refusal(path, f"holds more than {_MOST_FILES} files", "leave only the model's own files in it")
    signature = tuple((str(each.relative_to(path)), facts_of(each)) for each in files)
    if path / CARD_FILE in files:
        return Dropped(lawful_name(path.name), path, None, signature)
    models = [each for each in files if each.suffix.lower() in FORMATS and each.parent == path]
    if len(models) > 1:
        names = ", ".join(each.name for each in models[:4])
        return Refusal(path, f"holds {names} and no {CARD_FILE}", f"write a {CARD_FILE} that names one")
    if not models:
        return None
    return Dropped(lawful_name(path.name), path, models[0], signature)


def _files_below(path: Path) -> list[Path]:
    """Return what lies in a folder and those inside it, in order; a few more than allowed at most."""
    found: list[Path] = []
    left = [(path, 0)]
    while left and len(found) <= _MOST_FILES:
        folder, depth = left.pop()
        try:
            with os.scandir(folder) as entries:
                seen = [entry for entry in entries if _is_meant(entry.name)]
        except OSError:
            continue
        found += [Path(entry.path) for entry in seen if not entry.is_dir(follow_symlinks=False)]
        if depth < _MOST_DEEP:
            left += [(Path(entry.path), depth + 1) for entry in seen if entry.is_dir(follow_symlinks=False)]
    return sorted(found)
