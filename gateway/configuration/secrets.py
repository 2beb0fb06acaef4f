"""Secrets by reference: ``${credential:NAME}``, ``${env:NAME}``, ``${file:PATH}``.

A reference is the whole value, never a part of one; ``$${`` starts a literal
``${``. No message ever holds what a reference led to.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MAX_SECRET_BYTES = 65_536

_REFERENCE = re.compile(r"\$\{([A-Za-z_]*):([^{}]*)\}")
_CREDENTIAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


class SecretMissing(Exception):
    """A reference leads nowhere; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a reference led to.

    Attributes:
        value: The secret.
        warning: What is unsafe about where it lies; empty if nothing.
    """

    value: str
    warning: str = ""


def is_reference(text: str) -> bool:
    """Return whether ``text`` is written as a reference (good or bad)."""
    return text.startswith("${")


def literal(text: str) -> str:
    """Return a text that is no reference, with ``$${`` unescaped."""
    return text[1:] if text.startswith("$${") else text


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where references lead.

    Attributes:
        environment: Environment variables, ``CREDENTIALS_DIRECTORY`` among them.
        folder: Folder against which ``${file:PATH}`` is resolved.
    """

    environment: Mapping[str, str]
    folder: Path

    def resolve(self, reference: str) -> Resolved:
        """Return what ``reference`` leads to.

        Raises:
            SecretMissing: It is not well formed, or leads nowhere.
        """
        match = _REFERENCE.fullmatch(reference)
        kind, name = match.groups() if match is not None else ("", "")
        if kind == "credential":
            return self._credential(name)
        if kind == "env":
            return self._variable(name)
        if kind == "file" and name:
            return _read(self.folder / name, f"file {name!r}")
        raise SecretMissing("write ${credential:NAME}, ${env:NAME} or ${file:PATH} as the whole value")

    def _credential(self, name: str) -> Resolved:
        if not _CREDENTIAL.fullmatch(name):
            raise SecretMissing("a credential's name has letters, digits, _ . and - only")
        folder = self.environment.get("CREDENTIALS_DIRECTORY", "")
        if not folder:
            raise SecretMissing(
                f"credential {name!r}: $CREDENTIALS_DIRECTORY is not set; "
                f"systemd sets it for a unit with LoadCredential={name}:..."
            )
        # systemd guards the folder itself, so the mode of the file says nothing.
        return Resolved(_read(Path(folder) / name, f"credential {name!r}").value)

    def _variable(self, name: str) -> Resolved:
        if not _VARIABLE.fullmatch(name):
            raise SecretMissing("the name of an environment variable has letters, digits and _ only")
        value = self.environment.get(name)
        if not value:
            raise SecretMissing(f"environment variable {name} is {'empty' if value == '' else 'not set'}")
        return Resolved(value)


def _read(path: Path, name: str) -> Resolved:
    """Read a secret from a regular file; one line end at its end is not part of it."""
    try:
        # A FIFO would block the start for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            mode = os.fstat(descriptor).st_mode
            data = os.read(descriptor, MAX_SECRET_BYTES + 1) if stat.S_ISREG(mode) else None
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SecretMissing(f"{name} cannot be read: {reason}") from None
    if data is None:
        raise SecretMissing(f"{name} is not a regular file")
    if len(data) > MAX_SECRET_BYTES:
        raise SecretMissing(f"{name} is larger than {MAX_SECRET_BYTES} bytes")
    try:
        value = data.decode()
    except UnicodeDecodeError:
        raise SecretMissing(f"{name} is not UTF-8") from None
    value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise SecretMissing(f"{name} is empty")
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        return Resolved(value, f"{name} is open to every user (mode {stat.S_IMODE(mode):o}); chmod 600")
    return Resolved(value)
