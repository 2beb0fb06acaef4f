"""Makes the releases of the demo's author out of the classifier's folder: a good one and three bad ones."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final

from gateway.demo.acts import BETTER, DEADLY, MIXED_UP, SLOW, label_of
from gateway.errors import LoadFailed
from gateway.inference.card import read_folder
from gateway.model import CARD_FILE
from gateway.updates.manifest import manifest_bytes
from gateway.updates.packing.contents import blob_of, file_names
from gateway.updates.release import Release, ReleaseFile

MANIFEST_FILE: Final = "manifest.json"
# What the demo's camera sees, in words that people use; the old words stand in the golden samples as well.
FRIENDLIER: Final[Mapping[str, str]] = {
    "tabby": "tabby cat",
    "tiger cat": "striped cat",
    "Egyptian cat": "spotted cat",
    "espresso": "cup of espresso",
    "cup": "coffee cup",
    "crash helmet": "space helmet",
}
_RESIZE: Final = "  - resize: {fit: crop, fraction: 0.875}\n"
_MIXED_UP: Final = "  - colour: {order: bgr}\n"
# Enlarged with the slowest filter first, for nothing: the model sees the same, with fifteen times the work.
# Less would not stand out on a machine that is busy with other things.
_WASTE: Final = "  - resize: {width: 3072, height: 3072, fit: crop, method: lanczos}\n"
_CRASH: Final = "crash.tflite"


def make_release(source: Path, model: str, number: int, folder: Path) -> Path:
    """Write a release folder, and its manifest without trying anything, as an author in a hurry would.

    Args:
        source: The classifier's folder.
        model: Its name on the board.
        number: Which of the demo's releases.
        folder: Folder to make.

    Returns:
        The folder.

    Raises:
        LoadFailed: The source is not the model that the demo knows.
        ConfigError: Its card is wrong.
    """
    try:
        shutil.copytree(source, folder)
        card = folder / CARD_FILE
        card.write_text(_changed(card.read_text(encoding="utf-8"), number, folder), encoding="utf-8")
    except OSError as error:
        raise LoadFailed(f"{error.filename or source}: {error.strerror or error}") from error
    found = read_folder(folder)
    files = tuple(ReleaseFile(name, blob_of(folder / name)) for name in file_names(found))
    release = Release(model, number, found.card.version, found.card.format, files)
    (folder / MANIFEST_FILE).write_bytes(manifest_bytes(release))
    return folder


def _changed(card: str, number: int, folder: Path) -> str:
    """Return the card of a release, its other files changed to match."""
    card = _replaced(card, f"version: {label_of(0)}\n", f"version: {label_of(number)}\n")
    # Whoever mends one thing keeps what was good: all but the first build on it.
    labels = folder / "labels.txt"
    words = labels.read_text(encoding="utf-8").splitlines()
    labels.write_text("".join(f"{FRIENDLIER.get(word, word)}\n" for word in words), encoding="utf-8")
    card = friendlier(card)
    if number == BETTER:
        return card
    if number == MIXED_UP:
        return _replaced(card, _RESIZE, _RESIZE + _MIXED_UP)
    if number == SLOW:
        return _replaced(card, _RESIZE, _WASTE + _RESIZE)
    assert number == DEADLY
    broken = resources.files("gateway.demo").joinpath("data", _CRASH).read_bytes()
    found = read_folder(folder)
    found.file.write_bytes(broken)
    return _replaced(card, found.card.sha256, hashlib.sha256(broken).hexdigest())


def friendlier(card: str) -> str:
    """Return a card whose golden samples expect the friendlier names."""
    names = "|".join(map(re.escape, FRIENDLIER))
    # A whole name in a list of names, or after "label:"; never a word of a sentence.
    pattern = rf"(?<=label: )({names})(?=,)|(?<=[\[ ])({names})(?=[],])"
    return "\n".join(
        line if line.lstrip().startswith("#") else re.sub(pattern, lambda found: FRIENDLIER[found[0]], line)
        for line in card.split("\n")
    )


def _replaced(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise LoadFailed(f"the card is not the one that the demo knows: it lacks {old.strip()!r}")
    return text.replace(old, new)
