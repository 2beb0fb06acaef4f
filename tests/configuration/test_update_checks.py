"""What keeps updates from working is found before the gateway starts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.configuration.settings import BakeSettings, Settings, UpdateSettings
from gateway.configuration.update_checks import check_updates


def found(updates: UpdateSettings) -> list[tuple[str, bool]]:
    findings = check_updates(replace(Settings(), updates=updates))
    return [(finding.path, finding.is_warning) for finding in findings]


@pytest.fixture
def root(tmp_path: Path) -> str:
    path = tmp_path / "root.json"
    path.write_text(json.dumps({"signed": {"_type": "root"}, "signatures": []}))
    return str(path)


def test_updates_that_are_off_need_nothing() -> None:
    assert found(UpdateSettings()) == []


def test_a_repository_with_its_root_is_sound(root: str) -> None:
    for repository in ("https://models.example/repo", "/srv/models", "http://127.0.0.1:8000"):
        assert found(UpdateSettings(repository=repository, root_file=root)) == []


def test_a_repository_without_a_root_of_trust_is_refused() -> None:
    assert found(UpdateSettings(repository="/srv/models")) == [("updates.root_file", False)]


def test_an_inbox_needs_a_root_of_trust_as_well() -> None:
    assert found(UpdateSettings(inbox_dir="/media/usb")) == [("updates.inbox_dir", False)]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"signed": {"_type": "targets"}}', b"\xff", b"[" * 9000]
)
def test_a_root_file_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "root.json"
    path.write_bytes(content)
    assert found(UpdateSettings(repository="/srv", root_file=str(path))) == [("updates.root_file", False)]


def test_a_root_file_that_is_not_there_is_named() -> None:
    assert found(UpdateSettings(repository="/srv", root_file="/nowhere/root.json")) == [
        ("updates.root_file", False)
    ]


def test_only_addresses_that_can_be_fetched_are_taken(root: str) -> None:
    for repository in ("ftp://models.example", "http://", "mqtt://broker", "http://[::1"):
        assert found(UpdateSettings(repository=repository, root_file=root)) == [("updates.repository", False)]


def test_plain_http_to_another_machine_is_unwise_but_works(root: str) -> None:
    assert found(UpdateSettings(repository="http://models.example", root_file=root)) == [
        ("updates.repository", True)
    ]


def test_a_window_must_name_times_of_day(root: str) -> None:
    settings = UpdateSettings(repository="/srv", root_file=root)
    assert found(replace(settings, window="22:00-04:30")) == []
    assert found(replace(settings, window="22:00-24:30")) == [("updates.window", False)]


def test_a_bake_must_not_be_longer_than_its_longest_time() -> None:
    assert found(UpdateSettings(bake=BakeSettings(seconds=10, max_seconds=5))) == [
        ("updates.bake.seconds", False)
    ]
