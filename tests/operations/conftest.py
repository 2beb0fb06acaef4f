"""What several tests of this folder connect to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operations.journald import Journald


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    """Stand where the journal's socket is."""
    journald = Journald(tmp_path / "socket")
    yield journald
    journald.close(remove=False)
