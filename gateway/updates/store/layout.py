"""Where everything lies in the model store: paths from checked names, and nothing done with them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.configuration.settings import Settings
from gateway.errors import ManifestRefused
from gateway.updates.names import checked_digest, checked_word

MANIFEST_FILE: Final = "manifest.json"
TEMPORARY: Final = ".tmp-"
GOING: Final = ".tmp-gc-"
_STATE: Final = ".json"
_FLOOR: Final = ".floor"
_PART: Final = ".part"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one store.

    Attributes:
        root: Its folder, with symbolic links resolved.
    """

    root: Path

    @property
    def lock(self) -> Path:
        """The file whose lock makes a process the writer."""
        return self.root / "LOCK"

    @property
    def trust(self) -> Path:
        """The folder of the updater's trust; the store makes it and looks no further."""
        return self.root / "trust"

    @property
    def blobs(self) -> Path:
        """The folder of complete blobs."""
        return self.root / "blobs"

    @property
    def partial(self) -> Path:
        """The folder of blobs that are still coming."""
        return self.root / "partial"

    @property
    def releases(self) -> Path:
        """The folder of releases, a folder each for every model."""
        return self.root / "releases"

    @property
    def state(self) -> Path:
        """The folder of the records."""
        return self.root / "state"

    @property
    def current(self) -> Path:
        """The folder of links for people."""
        return self.root / "current"

    @property
    def ballast(self) -> Path:
        """The file that is given up when a record does not fit the disk."""
        return self.state / ".reserve"

    @property
    def pause(self) -> Path:
        """The file that stands for the order to take nothing new."""
        return self.state / ".paused"

    @property
    def quarantine(self) -> Path:
        """The file of releases that are not tried again."""
        return self.root / "quarantine.json"

    @property
    def audit(self) -> Path:
        """The newest file of the audit log."""
        return self.root / "audit.jsonl"

    def folders(self) -> Mapping[Path, int]:
        """Return the store's own folders, the root first, with their modes."""
        return {
            self.root: 0o750,
            self.trust: 0o700,
            self.blobs: 0o750,
            self.partial: 0o700,
            self.releases: 0o750,
            self.state: 0o700,
            self.current: 0o750,
        }

    def blob(self, sha256: str) -> Path:
        """Return where a complete blob lies.

        Raises:
            ManifestRefused: ``sha256`` is no digest.
        """
        return self.blobs / checked_digest(sha256, "blob")

    def part(self, sha256: str) -> Path:
        """Return where a blob's chunks are gathered.

        Raises:
            ManifestRefused: ``sha256`` is no digest.
        """
        return self.partial / (checked_digest(sha256, "blob") + _PART)

    def model(self, model: str) -> Path:
        """Return the folder of a model's releases.

        Raises:
            ManifestRefused: ``model`` is no name.
        """
        return self.releases / checked_word(model, "model")

    def release(self, model: str, number: int) -> Path:
        """Return the folder of one release.

        Raises:
            ManifestRefused: ``model`` is no name, or ``number`` no release counter.
        """
        if number < 1:
            raise ManifestRefused(f"release: {number} is no release counter: they begin at 1")
        return self.model(model) / str(number)

    def record(self, model: str) -> Path:
        """Return the file of a model's record.

        Raises:
            ManifestRefused: ``model`` is no name.
        """
        return self.state / (checked_word(model, "model") + _STATE)

    def floor(self, model: str) -> Path:
        """Return the file of the second copy of a model's floor.

        Raises:
            ManifestRefused: ``model`` is no name.
        """
        return self.state / (checked_word(model, "model") + _FLOOR)

    def link(self, model: str) -> Path:
        """Return the link that shows people a model's active release.

        Raises:
            ManifestRefused: ``model`` is no name.
        """
        return self.current / checked_word(model, "model")


def model_of(name: str) -> str | None:
    """Return the model whose record or floor a file name in ``state/`` is for; None if it is neither."""
    for suffix in (_STATE, _FLOOR):
        if name.endswith(suffix):
            try:
                return checked_word(name[: -len(suffix)], "model")
            except ManifestRefused:
                return None
    return None


def digest_of_part(name: str) -> str | None:
    """Return the blob that a file name in ``partial/`` is for; None if it is for none."""
    try:
        return checked_digest(name[: -len(_PART)], "blob") if name.endswith(_PART) else None
    except ManifestRefused:
        return None


def number_of(name: str) -> int | None:
    """Return the release counter that names a folder; None if the name is no such number."""
    return int(name) if name.isascii() and name.isdecimal() and name[0] != "0" and len(name) < 20 else None


def store_folder(settings: Settings, environ: Mapping[str, str]) -> Path:
    """Return the folder of the model store of a gateway with these settings.

    Args:
        settings: ``updates.store_dir`` wins.
        environ: Else ``STATE_DIRECTORY``, as systemd sets it (the first, if it names several); else ``HOME``.
    """
    if settings.updates.store_dir:
        return Path(settings.updates.store_dir)
    state = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if state:
        return Path(state) / "models"
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    return home / ".local" / "state" / "gateway" / "models"
