"""An author of releases: a signed repository in a folder of the demo, and what is published in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.demo.acts import ACTS
from gateway.demo.releases import make_release
from gateway.updates.publishing.assigning import Change
from gateway.updates.publishing.keys import KeyFolders
from gateway.updates.publishing.repository import Repository

GROUP: Final = "default"


class Author:
    """Holds the keys. Its methods block.

    Attributes:
        served: The folder that boards may see.
        root_file: The root of trust that a board gets beforehand.
    """

    def __init__(self, model: str, repository: Repository, folders: Mapping[int, Path]) -> None:
        """Use ``begin``."""
        self._model = model
        self._repository = repository
        self._folders = folders
        self.served = repository.folder
        self.root_file = repository.root_file

    @classmethod
    def begin(cls, folder: Path, model: str, source: Path) -> Author:
        """Make keys, a repository that wishes nothing yet, and the folders of all releases.

        Args:
            folder: Where; made.
            model: Name of the model on the board.
            source: The model's folder.

        Raises:
            GatewayError: It does not work: signing is not installed, or the model is not the shipped one.
        """
        folder.mkdir()
        folders = {
            act.release: make_release(source, model, act.release, folder / f"{model}-{act.release}")
            for act in ACTS
        }
        keys = KeyFolders([folder / "keys"], lambda _: None)
        repository = Repository.create(folder / "repository", keys)
        repository.assign(GROUP, Change())
        repository.publish()
        return cls(model, repository, folders)

    def publish(self, number: int) -> int:
        """Sign a release and assign it to all boards; return the version of the assignment.

        Raises:
            GatewayError: The disk does not take it.
        """
        self._repository.add(self._folders[number])
        assignment = self._repository.assign(GROUP, Change({self._model: number}))
        self._repository.publish()
        return assignment.version
