"""The private keys of an author: PEM files of mode 0600 in folders beside the repository, never inside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.errors import PublishRefused

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, Key

Passphrase = Callable[[str], "bytes | None"]
_SHOWN: Final = 16
_MOST_KEY_BYTES: Final = 16 << 10
_ENCRYPTED: Final = b"BEGIN ENCRYPTED PRIVATE KEY"


class KeyFolders:
    """Where private keys may lie: the first folder takes new ones, the others may be sticks from a drawer."""

    def __init__(self, folders: Sequence[Path], passphrase: Passphrase) -> None:
        """Look at nothing yet.

        Args:
            folders: At least one; they need not exist.
            passphrase: Returns the passphrase for what it is told, None for none; asked once at most.
        """
        self.folders = tuple(folders)
        self._passphrase = passphrase
        self._asked: bytes | None = None
        self._signers: dict[str, CryptoSigner] = {}

    def make(self, role: str, *, encrypted: bool) -> Key:
        """Make a key for a role, write its private half, and return the public one.

        Raises:
            PublishRefused: The extra ``publish`` is not installed, or there is no passphrase.
            OSError: The file cannot be written.
        """
        made = _crypto().generate_ed25519()
        found = made.public_key
        secret = self._secret("a new key") if encrypted else None
        folder = self.folders[0]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_private(folder / _name(role, found.keyid), _pem(made, secret))
        self._signers[found.keyid] = made
        return found

    def place(self, role: str, keyid: str) -> Path | None:
        """Return the file of a role's private key; None if it lies in none of the folders."""
        return next(
            (path for folder in self.folders if (path := folder / _name(role, keyid)).is_file()), None
        )

    def signer(self, role: str, key: Key) -> CryptoSigner | None:
        """Return what signs with a key; None if its private half lies in none of the folders.

        Raises:
            PublishRefused: The file holds no such key, or is encrypted and the passphrase is wrong.
        """
        held = self._signers.get(key.keyid)
        path = self.place(role, key.keyid)
        if held is not None or path is None:
            return held
        signer = _load(path, key, self._secret)
        self._signers[key.keyid] = signer
        return signer

    def has_encrypted(self) -> bool:
        """Say whether some key in these folders is encrypted: new ones shall be, too."""
        return any(
            _ENCRYPTED in path.read_bytes()[:_MOST_KEY_BYTES]
            for folder in self.folders
            if folder.is_dir()
            for path in sorted(folder.glob("*.pem"))
        )

    def _secret(self, what: str) -> bytes:
        if self._asked is None:
            self._asked = self._passphrase(what)
        if not self._asked:
            raise PublishRefused(f"{what}: a passphrase is needed; set GATEWAY_KEY_PASSPHRASE")
        return self._asked


def _name(role: str, keyid: str) -> str:
    return f"{role}-{keyid[:_SHOWN]}.pem"


def _crypto() -> type[CryptoSigner]:
    try:
        import cryptography.hazmat.primitives.serialization  # noqa: F401 - signing needs it
        from securesystemslib.signer import CryptoSigner
    except ImportError as error:
        raise PublishRefused(
            "signing needs the library cryptography: install the gateway with its extra `publish`"
        ) from error
    return CryptoSigner


def _pem(signer: CryptoSigner, secret: bytes | None) -> bytes:
    if secret is None:
        return signer.private_bytes
    from cryptography.hazmat.primitives import serialization

    plain = serialization.load_pem_private_key(signer.private_bytes, None)
    return plain.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(secret),
    )


def _load(path: Path, key: Key, secret: Callable[[str], bytes]) -> CryptoSigner:
    crypto = _crypto()
    from cryptography.hazmat.primitives import serialization
    from securesystemslib.exceptions import KeyMismatchError
    from securesystemslib.signer import SSlibKey

    data = path.read_bytes()[:_MOST_KEY_BYTES]
    password = secret(str(path)) if _ENCRYPTED in data else None
    try:
        private = serialization.load_pem_private_key(data, password)
        if not isinstance(key, SSlibKey):
            raise PublishRefused(f"{path}: the repository's key is of a kind that is not signed with here")
        return crypto(private, key)
    except KeyMismatchError as error:
        raise PublishRefused(f"{path}: this is the key of another repository") from error
    except (ValueError, TypeError) as error:
        raise PublishRefused(f"{path}: it cannot be read; a wrong passphrase, or no private key") from error


def _write_private(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as writer:
        writer.write(data)
        writer.flush()
        os.fsync(fd)
