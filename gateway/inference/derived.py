"""Files that a runtime made of a model, kept so that lanes load faster, and never taken for another model's.

Two models with the same graph and other weights look alike to a runtime, so each
file is kept under the digest of the model's very bytes, with all else that it
rests on: the runtime's version, its options, the processor. Beside it lies its own
digest, which is compared with the mapped bytes at every load: what does not match
is deleted where that is possible, and never used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway.errors import LoadFailed
from gateway.inference.engines.engine import EngineOptions
from gateway.inference.machine import machine
from gateway.inference.mapping import MappedFile

_FORMAT = 1
_MADE, _SIDECAR, _NEW = ".made", ".json", ".new-"
_MOST_SIDECAR_BYTES = 4096
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class DerivedKey:
    """What a derived file was made of.

    Attributes:
        sha256: Digest of the model's bytes, in hex.
        rests_on: Digest of all else that it depends on, in hex.
    """

    sha256: str
    rests_on: str


def derived_key(sha256: str, runtime: str, version: str, options: EngineOptions) -> DerivedKey:
    """Return the key of what ``runtime`` makes here of the model with this digest."""
    # Where things are kept says nothing of what they are.
    chosen = {**asdict(options), "derived": "", "engine_cache": ""}
    whole = json.dumps([_FORMAT, runtime, version, machine(), chosen], sort_keys=True)
    return DerivedKey(sha256, hashlib.sha256(whole.encode()).hexdigest())


class DerivedFiles:
    """One folder of derived files. The front end writes; lanes read, and could not write if they tried."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: DerivedKey) -> MappedFile | None:
        """Return the file kept under ``key``, mapped, if it is what it was; the caller closes it.

        A damaged one is deleted, or passed over by who may not delete.
        """
        try:
            wanted = self._digest(key)
            made = MappedFile.open(self._path(key, _MADE))
        except (LoadFailed, OSError, ValueError, KeyError, TypeError):
            self._drop(key)
            return None
        if made.sha256 == wanted:
            return made
        made.close()
        self._drop(key)
        return None

    @contextlib.contextmanager
    def workshop(self) -> Iterator[Path]:
        """Lend an empty folder in which one file can be made; what is left in it is deleted.

        Raises:
            OSError: The folder cannot be written.
        """
        self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix=_NEW, dir=self._folder))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def keep(self, key: DerivedKey, made: Path) -> bool:
        """Take a file out of a workshop; return False if it is none, or the folder cannot be written.

        A power cut leaves it whole, or not there: the digest is written last.
        """
        try:
            file = MappedFile.open(made)
        except LoadFailed:
            return False
        try:
            os.fchmod(fd := os.open(made, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), 0o444)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
            sidecar = made.with_suffix(_SIDECAR)
            with sidecar.open("x", encoding="ascii") as out:
                json.dump({"sha256": file.sha256}, out)
                out.flush()
                os.fsync(out.fileno())
            self._drop(key)
            made.replace(self._path(key, _MADE))
            sidecar.replace(self._path(key, _SIDECAR))
        except OSError:
            return False
        finally:
            file.close()
        return True

    def forget(self, sha256: str) -> int:
        """Delete everything that was made of the model with this digest; return how many files it was."""
        if not _DIGEST.fullmatch(sha256):
            return 0
        count = 0
        for path in self._folder.glob(f"{sha256}-*{_MADE}"):
            with contextlib.suppress(OSError):
                path.with_suffix(_SIDECAR).unlink(missing_ok=True)
                path.unlink()
                count += 1
        return count

    def _digest(self, key: DerivedKey) -> str:
        with self._path(key, _SIDECAR).open("rb") as file:
            return str(json.loads(file.read(_MOST_SIDECAR_BYTES))["sha256"])

    def _drop(self, key: DerivedKey) -> None:
        for ending in (_SIDECAR, _MADE):
            with contextlib.suppress(OSError):
                self._path(key, ending).unlink()

    def _path(self, key: DerivedKey, ending: str) -> Path:
        return self._folder / f"{key.sha256}-{key.rests_on}{ending}"
