"""Addresses: each kind opens its source, and what is none is told so without its password."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.errors import FetchRefused
from gateway.updates.transport.folder import FolderSource
from gateway.updates.transport.http import HttpSource
from gateway.updates.transport.open_source import open_source


def test_every_kind_of_address_opens_its_source(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "x").write_bytes(b"1")
    for address in (str(tmp_path / "a b"), f"file://{tmp_path}/a%20b", f"file://localhost{tmp_path}/a%20b"):
        source = open_source(address, 1)
        assert isinstance(source, FolderSource)
        assert source.read("x", 1, time.monotonic() + 20) == b"1"
    web = open_source("https://models.example/repo", 1)
    assert isinstance(web, HttpSource)
    web.close()


@pytest.mark.parametrize(
    "address", ["ftp://ann:secret@host/x", "file://host/x", "mqtt://ann:secret@host", "file:///x?y"]
)
def test_another_address_is_refused_and_shows_no_password(address: str) -> None:
    with pytest.raises(FetchRefused) as caught:
        open_source(address, 1)
    assert "secret" not in caught.value.message
