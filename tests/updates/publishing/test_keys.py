"""Private keys in files: theirs alone to read, encrypted if wanted, and never taken for others."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from gateway.errors import PublishRefused
from gateway.updates.publishing.keys import KeyFolders
from gateway.updates.publishing.repository import Repository
from tests.updates.publishing.releases import Hand, no_passphrase

SECRET = b"correct horse"


def secret(what: str) -> bytes | None:
    del what
    return SECRET


def test_a_key_is_found_again_and_signs(tmp_path: Path) -> None:
    made = KeyFolders([tmp_path / "keys"], no_passphrase).make("models", encrypted=False)
    again = KeyFolders([tmp_path / "other", tmp_path / "keys"], no_passphrase)
    signer = again.signer("models", made)
    assert signer is not None
    made.verify_signature(signer.sign(b"words"), b"words")
    elsewhere = KeyFolders([tmp_path / "other"], no_passphrase)
    assert elsewhere.signer("models", made) is None
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    (path,) = (tmp_path / "keys").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_encrypted_key_needs_its_passphrase(tmp_path: Path) -> None:
    made = KeyFolders([tmp_path], secret).make("models", encrypted=True)
    (path,) = tmp_path.iterdir()
    assert b"ENCRYPTED" in path.read_bytes()
    assert KeyFolders([tmp_path], secret).signer("models", made) is not None
    with pytest.raises(PublishRefused, match="GATEWAY_KEY_PASSPHRASE"):
        KeyFolders([tmp_path], no_passphrase).signer("models", made)
    with pytest.raises(PublishRefused, match="wrong passphrase"):
        KeyFolders([tmp_path], lambda _: b"wrong").signer("models", made)


def test_a_passphrase_is_asked_for_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def ask(what: str) -> bytes | None:
        asked.append(what)
        return SECRET

    repository = Repository.create(
        tmp_path / "r", KeyFolders([tmp_path / "keys"], ask), encrypted=True, clock=Hand()
    )
    assert len(asked) == 1
    again = KeyFolders([tmp_path / "keys"], ask)
    Repository.open(repository.folder, again, clock=Hand()).rotate("timestamp")
    assert len(asked) == 2
    # Where keys are encrypted, a new one is as well.
    assert all(b"ENCRYPTED" in path.read_bytes() for path in (tmp_path / "keys").iterdir())


def test_a_key_is_never_written_over_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.updates.publishing.keys._name", lambda role, keyid: f"{role[:1]}{keyid[:0]}")
    keys = KeyFolders([tmp_path], no_passphrase)
    keys.make("models", encrypted=False)
    with pytest.raises(FileExistsError):
        keys.make("models", encrypted=False)


@pytest.mark.parametrize(
    "data", [b"", b"junk", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_is_no_key_is_named(tmp_path: Path, data: bytes) -> None:
    made = KeyFolders([tmp_path], no_passphrase).make("models", encrypted=False)
    (path,) = tmp_path.iterdir()
    path.write_bytes(data)
    with pytest.raises(PublishRefused, match=path.name):
        KeyFolders([tmp_path], no_passphrase).signer("models", made)


def test_the_key_of_another_repository_is_not_taken(tmp_path: Path) -> None:
    mine = KeyFolders([tmp_path / "a"], no_passphrase).make("models", encrypted=False)
    KeyFolders([tmp_path / "b"], no_passphrase).make("models", encrypted=False)
    (path,), (other,) = (tmp_path / "a").iterdir(), (tmp_path / "b").iterdir()
    path.write_bytes(other.read_bytes())
    with pytest.raises(PublishRefused, match="another repository"):
        KeyFolders([tmp_path / "a"], no_passphrase).signer("models", mine)


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.serialization", None)
    with pytest.raises(PublishRefused, match="extra `publish`"):
        Repository.create(tmp_path / "r", KeyFolders([tmp_path / "keys"], no_passphrase))
