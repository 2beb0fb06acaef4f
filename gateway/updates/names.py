"""Names that may become file names or topic levels: what a release, a group and a device may be called.

One narrow alphabet for all of them, so that no name can lead out of a folder,
be taken for an option, or look like another on some file system.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import ManifestRefused

_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
# Names that Windows reserves: a release is packed on laptops too.
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
MOST_LEVELS: Final = 2


def checked_word(word: object, what: str) -> str:
    """Return ``word`` if it can name a model, a group or a device.

    Raises:
        ManifestRefused: It cannot.
    """
    if not isinstance(word, str) or not _WORD.fullmatch(word) or word.endswith("."):
        raise ManifestRefused(
            f"{what}: {str(word)[:80]!a} is no name: letters, digits, dot, underscore and hyphen, "
            "at most 63, the first a letter or digit, the last no dot"
        )
    if _RESERVED.fullmatch(word):
        raise ManifestRefused(f"{what}: {word!a} is reserved on some systems")
    return word


def checked_path(path: object, what: str) -> str:
    """Return ``path`` if it names a file of a release: one name, or a folder's and a file's.

    Raises:
        ManifestRefused: It does not.
    """
    if not isinstance(path, str) or path.count("/") >= MOST_LEVELS:
        raise ManifestRefused(f"{what}: {str(path)[:80]!a} is no file of a release: NAME or FOLDER/NAME")
    for word in path.split("/"):
        checked_word(word, what)
    return path


def checked_digest(digest: object, what: str) -> str:
    """Return ``digest`` if it is a SHA-256 in lower-case hex.

    Raises:
        ManifestRefused: It is not.
    """
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ManifestRefused(f"{what}: {str(digest)[:80]!a} is no SHA-256 in lower-case hex")
    return digest
