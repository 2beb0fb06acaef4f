"""A repository that was just begun, and its clock."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.updates.publishing.repository import Repository
from tests.updates.publishing.releases import Hand, begin, reopen


@pytest.fixture(name="clock")
def _clock() -> Hand:
    return Hand()


@pytest.fixture(name="begun", scope="package")
def _begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("begun")
    begin(folder / "repository", Hand())
    return folder


@pytest.fixture(name="repository")
def _repository(begun: Path, tmp_path: Path, clock: Hand) -> Repository:
    for name in ("repository", "repository.keys"):
        shutil.copytree(begun / name, tmp_path / name)
    return reopen(tmp_path / "repository", clock)
