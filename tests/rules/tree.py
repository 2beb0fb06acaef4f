"""The source tree as the rules see it: files of the repository, parsed modules, calls to the log."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file.

    Attributes:
        path: Path relative to the repository.
        text: What it holds.
        tree: The same, parsed.
    """

    path: Path
    text: str
    tree: ast.Module

    @property
    def docstring(self) -> str:
        """The module's docstring; empty if it has none."""
        return ast.get_docstring(self.tree) or ""


@cache
def sources(*folders: str) -> tuple[Source, ...]:
    """Return every Python file below ``folders``, suffix or not."""
    paths = [path for path in files() if path.parts[0] in folders and is_python(path)]
    return tuple(Source(path, text, ast.parse(text)) for path in paths for text in [read(path)])


@cache
def files() -> tuple[Path, ...]:
    """Return every file of the repository: known to git, or new and not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    return tuple(sorted(Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()))


def read(path: Path) -> str:
    """Return a text file; binary files read as empty."""
    content = (ROOT / path).read_bytes()
    return "" if b"\0" in content else content.decode("utf-8", "replace")


def is_python(path: Path) -> bool:
    """Say whether a file is Python, by suffix or by its first line."""
    if path.suffix:
        return path.suffix == ".py"
    return read(path).partition("\n")[0].endswith("python3")


@dataclass(frozen=True, slots=True)
class EventCall:
    """A place where an event is logged: its name and the fields given by keyword."""

    place: str
    name: str
    fields: frozenset[str]


def event_calls() -> Iterator[EventCall]:
    """Yield every call of ``.event("name", ...)`` in the package."""
    for source in sources("gateway"):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                first = node.args[0] if node.args else None
                if node.func.attr == "event" and isinstance(first, ast.Constant):
                    fields = frozenset(word.arg for word in node.keywords if word.arg is not None)
                    yield EventCall(f"{source.path}:{node.lineno}", str(first.value), fields)
