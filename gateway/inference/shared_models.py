"""Models of one process that several lanes run at once: loaded by the first, closed after the last.

What makes two loads the same is the file, not its name: a folder whose files were
replaced meanwhile is another model, and its lanes get their own.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.inference.loaded import LoadSpec, give_back

if TYPE_CHECKING:
    from gateway.inference.opening import OpenedModel

# Sessions of ONNX Runtime may be run by several threads at once; interpreters may not.
_SHAREABLE: Final = frozenset({"onnxruntime"})
_OWN_TO_A_LANE: Final = ("name", "pipelines", "limits")


@dataclass(slots=True, eq=False)
class SharedModel:
    """One model that lanes share, or wait to share.

    Attributes:
        users: Lanes that run it or wait for it.
    """

    users: int = 0
    _opened: OpenedModel | None = None

    def get(self) -> OpenedModel | None:
        """Return the loaded model; None until it has been loaded and has run."""
        return self._opened

    def keep(self, opened: OpenedModel) -> bool:
        """Let other lanes run it too; return False if its runtime cannot, and it stays the caller's."""
        if opened.engine.facts.runtime not in _SHAREABLE:
            return False
        self._opened = opened
        return True


@dataclass(slots=True)
class SharedModels:
    """Every model of this process that lanes share. Safe to use from any thread."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _models: dict[str, SharedModel] = field(default_factory=dict)

    @contextlib.contextmanager
    def joined(self, key: str) -> Iterator[SharedModel]:
        """Take part in a model as long as the block lasts; whoever leaves last closes it."""
        with self._lock:
            model = self._models.setdefault(key, SharedModel())
            model.users += 1
        try:
            yield model
        finally:
            with self._lock:
                model.users -= 1
                if not model.users:
                    del self._models[key]
            if not model.users and (opened := model.get()) is not None:
                close_opened(opened)


def close_opened(opened: OpenedModel) -> None:
    """Free a loaded model and its mappings, and give its memory back to the system."""
    opened.engine.close()
    for file in (opened.source, *opened.weights):
        file.close()
    give_back()


def model_key(spec: LoadSpec) -> str:
    """Return what two loads have in common exactly if they may share: what is loaded, and how."""
    chosen = {name: value for name, value in asdict(spec).items() if name not in _OWN_TO_A_LANE}
    return json.dumps([chosen, _marks(Path(spec.folder))], sort_keys=True)


def _marks(folder: Path) -> list[list[str | int]]:
    """Return what tells the files of a folder from others that may take their places."""
    marks: list[list[str | int]] = []
    with contextlib.suppress(OSError):  # what cannot be read is found out by the load
        for path in sorted(folder.rglob("*")):
            facts = path.lstat()
            marks.append([str(path), facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns])
    return marks
