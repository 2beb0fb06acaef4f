"""An author of releases beside a running daemon: a signed repository, shipped models, a doorbell."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.inference.card import read_folder
from gateway.updates.assignment import Assignment
from gateway.updates.manifest import manifest_bytes
from gateway.updates.packing.contents import blob_of, file_names
from gateway.updates.publishing.assigning import Change
from gateway.updates.publishing.keys import KeyFolders
from gateway.updates.publishing.repository import Repository
from gateway.updates.release import Release, ReleaseFile
from tests.system.running import MODELS, Client

GROUP = "default"


class Author:
    """Makes and publishes releases; what it says is signed with real keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repository_folder = folder / "repo"
        keys = KeyFolders([folder / "keys"], lambda _: None)
        self.repository = Repository.create(self.repository_folder, keys)

    @property
    def root_file(self) -> Path:
        """The root of trust that boards get."""
        return self.repository.root_file

    def settings(self, **more: Any) -> str:
        """Return the ``updates`` section of a board that follows this author, as YAML."""
        section: dict[str, Any] = {
            "repository": str(self.repository_folder),
            "root_file": str(self.root_file),
            "group": GROUP,
            "store_dir": str(self.folder / "store"),
            "poll_interval_s": 600,
            "reserve_bytes": 0,
            "bake": {"seconds": 1, "requests": 5},
        }
        bake = {**section["bake"], **more.pop("bake", {})}
        return "updates: " + json.dumps({**section, **more, "bake": bake})

    def release(self, source: str, model: str, number: int, *edits: tuple[str, str], **facts: Any) -> Path:
        """Make a release of a shipped model under another name, with words of its card replaced."""
        folder = self.folder / f"{model}-{number}"
        shutil.copytree(MODELS / source, folder)
        card = folder / "card.yaml"
        text = card.read_text().replace("version: 1.0.0", f"version: {number}.0.0", 1)
        for old, new in edits:
            assert old in text, old
            text = text.replace(old, new, 1)
        card.write_text(text)
        return self.packed(folder, model, number, **facts)

    def packed(self, folder: Path, model: str, number: int, **facts: Any) -> Path:
        """Write the manifest of a folder as it is: nothing is tried, as an author in a hurry would."""
        found = read_folder(folder)
        files = tuple(ReleaseFile(name, blob_of(folder / name)) for name in file_names(found))
        release = Release(model, number, found.card.version, found.card.format, files)
        (folder / "manifest.json").write_bytes(manifest_bytes(replace(release, **facts)))
        return folder

    def publish(
        self, *folders: Path, sets: tuple[tuple[str, ...], ...] | None = None, **wish: Any
    ) -> Assignment:
        """Add releases, assign the newest of each model, and sign."""
        numbers: dict[str, int | None] = {}
        for folder in folders:
            release = self.repository.add(folder)
            numbers[release.model] = release.number
        assignment = self.repository.assign(GROUP, Change(numbers, sets=sets, **wish))
        self.repository.publish()
        return assignment

    def assign_again(self, model: str, number: int, **wish: Any) -> Assignment:
        """Assign a release that was added before, and sign."""
        assignment = self.repository.assign(GROUP, Change({model: number}, **wish))
        self.repository.publish()
        return assignment

    def push(self, client: Client, *folders: Path, **wish: Any) -> Assignment:
        """Publish and ring."""
        assignment = self.publish(*folders, **wish)
        self.ring(client, f"r{assignment.version}")
        return assignment

    def ring(self, client: Client, request_id: str = "r") -> None:
        """Tell boards that there is news."""
        said = json.dumps({"schema": 1, "request_id": request_id})
        client.publish(f"gw/group/{GROUP}/models/desired", said, retain=True)


def card_digest(folder: Path) -> str:
    """Make the card of a folder name the digest that its model file has now."""
    card = folder / "card.yaml"
    lines = card.read_text().splitlines()
    file = next(line.split(": ", 1)[1] for line in lines if line.startswith("file: "))
    digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    lines = [f"sha256: {digest}" if line.startswith("sha256: ") else line for line in lines]
    card.write_text("\n".join(lines) + "\n")
    return digest
