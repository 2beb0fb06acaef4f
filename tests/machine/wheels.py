"""Wheels without a network: of this tree, of what the test environment has installed, and changed ones."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Iterable
from email import message_from_bytes
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement


def repack_dependencies(wheel: Path) -> None:
    """Make wheels beside the gateway's of everything that it needs, from the files that are installed."""
    folder = wheel.parent
    for name in sorted(_closure(_requirements(wheel))):
        _repack(metadata.distribution(name), folder)


def changed(wheel: Path, folder: Path, version: str, edit: Callable[[str, str], str]) -> Path:
    """Make another version of a wheel.

    Args:
        wheel: The wheel that is copied.
        folder: Where the new one goes.
        version: The new version's number.
        edit: Gets each Python file's name and text, and returns its new text.
    """
    old = wheel.name.split("-")[1]
    target = folder / wheel.name.replace(old, version, 1)
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(target, "w") as made:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("/METADATA"):
                data = re.sub(rb"(?m)^Version: .*$", b"Version: " + version.encode(), data, count=1)
            elif name == "gateway/operations/build.py":
                data = data.replace(f'"{old}"'.encode(), f'"{version}"'.encode())
            if name.endswith(".py"):
                data = edit(name, data.decode()).encode()
            made.writestr(name.replace(f"-{old}.dist-info/", f"-{version}.dist-info/"), data)
    return target


def linked(sources: Iterable[Path], folder: Path) -> None:
    """Show the same wheels in another folder too."""
    for source in sources:
        os.link(source, folder / source.name)


def _requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name)).get_all("Requires-Dist") or []


def _closure(lines: Iterable[str]) -> set[str]:
    """Return the names of the distributions that meet these requirements here, and theirs."""
    found: set[str] = set()
    waiting = list(lines)
    while waiting:
        wanted = Requirement(waiting.pop())
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        if wanted.name not in found:
            found.add(wanted.name)
            waiting += metadata.requires(wanted.name) or []
    return found


def _repack(distribution: metadata.Distribution, folder: Path) -> None:
    lines = (distribution.read_text("WHEEL") or "").splitlines()
    tags = [line.split()[1].split("-") for line in lines if line.startswith("Tag:")]
    # One name holds several tags: the three parts, each joined by dots.
    tag = "-".join(".".join(dict.fromkeys(part)) for part in zip(*tags, strict=True))
    name = re.sub(r"[-_.]+", "_", distribution.metadata["Name"])
    with zipfile.ZipFile(folder / f"{name}-{distribution.version}-{tag}.whl", "w") as made:
        for file in distribution.files or ():
            # Programs and compiled files are made anew by whoever installs it.
            made_anew = file.parts[0] == ".." or file.suffix == ".pyc"
            if not made_anew and file.name not in {"INSTALLER", "REQUESTED"}:
                made.write(str(file.locate()), str(file))
