"""The broker, the client and the author of the system tests, and a house full of victims."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks.house import House
from tests.system.author import Author
from tests.system.conftest import author, broker, client, frames

__all__ = ["author", "broker", "client", "frames", "house"]


@pytest.fixture
def house(tmp_path: Path, author: Author) -> House:
    return House(tmp_path, author)
