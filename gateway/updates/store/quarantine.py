"""Releases that failed on this board and are not tried again until the time is up or an operator says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from gateway.errors import ManifestRefused, StoreFailed
from gateway.updates.names import checked_digest, checked_word
from gateway.updates.release import ReleaseRef
from gateway.updates.store.ballast import Ballast
from gateway.updates.store.durable import aside, replace
from gateway.updates.store.layout import Layout
from gateway.updates.store.reading import read_small
from gateway.updates.store.sealed import seal, unseal
from gateway.updates.store.trouble import told

MOST_ENTRIES: Final = 256
MOST_BYTES: Final = 1 << 20
_MOST_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """One release that is not tried again.

    Attributes:
        model: Whose release.
        number: Its release counter.
        digest: Digest of its manifest.
        code: Label of what went wrong.
        reason: The same in words.
        unix_s: When.
    """

    model: str
    number: int
    digest: str
    code: str
    reason: str
    unix_s: int


class Quarantine:
    """The file ``quarantine.json``. One thread at a time."""

    def __init__(
        self, layout: Layout, ballast: Ballast, *, mends: bool, tell: Callable[[str, str], None]
    ) -> None:
        """Take charge.

        Args:
            layout: Where.
            ballast: Given up when an entry does not fit the disk.
            mends: Whether a damaged file may be moved aside.
            tell: Called with the name of the file set aside, and the reason.
        """
        self._layout = layout
        self._ballast = ballast
        self._mends = mends
        self._tell = tell

    def entries(self) -> tuple[Entry, ...]:
        """Return all entries, the oldest first; none if the file is damaged.

        Raises:
            StoreFailed: The disk cannot be read.
        """
        path = self._layout.quarantine
        with told("quarantine"):
            try:
                return decode(read_small(self._layout.root, path, MOST_BYTES))
            except FileNotFoundError:
                return ()
            except StoreFailed as error:
                if self._mends:
                    self._tell(aside(path).name, error.message)
                return ()

    def add(self, entry: Entry) -> None:
        """Add an entry, in the place of an older one of the same release; the oldest of too many go.

        Raises:
            DiskFull: No room, not even the ballast's.
            StoreFailed: The disk did not take it.
        """
        told_briefly = Entry(**{**asdict(entry), "reason": entry.reason[:_MOST_REASON]})
        kept = [each for each in self.entries() if not _same(each, entry.model, entry.number, entry.digest)]
        self._write((*kept, told_briefly)[-MOST_ENTRIES:])

    def find(self, model: str, ref: ReleaseRef, now_unix_s: int, ttl_s: float) -> Entry | None:
        """Return why a release is not tried, if it is not.

        Args:
            model: Whose release.
            ref: Which.
            now_unix_s: The time; before the entry's own it means a wrong clock, and the entry counts.
            ttl_s: How long an entry counts; 0 for ever.

        Raises:
            StoreFailed: The disk cannot be read.
        """
        for each in self.entries():
            if _same(each, model, ref.number, ref.digest) and not 0 < ttl_s <= now_unix_s - each.unix_s:
                return each
        return None

    def clear(self, model: str, number: int) -> bool:
        """Forget what is held against a release; return False if nothing was.

        Raises:
            DiskFull: No room, not even the ballast's.
            StoreFailed: The disk did not take it.
        """
        held = self.entries()
        kept = tuple(each for each in held if (each.model, each.number) != (model, number))
        if len(kept) == len(held):
            return False
        self._write(kept)
        return True

    def _write(self, entries: tuple[Entry, ...]) -> None:
        data = encode(entries)
        with told("quarantine"):
            self._ballast.spend_on(lambda: replace(self._layout.quarantine, data, "quarantine"))


def encode(entries: tuple[Entry, ...]) -> bytes:
    """Return entries as the bytes of the file."""
    return seal({"schema": 1, "entries": [asdict(entry) for entry in entries]})


def decode(data: bytes) -> tuple[Entry, ...]:
    """Return the entries that the bytes of the file hold.

    Raises:
        StoreFailed: They hold none.
    """
    body = unseal(data, "quarantine")
    try:
        return tuple(_entry(each) for each in body["entries"])
    except (KeyError, TypeError, ValueError, ManifestRefused) as error:
        raise StoreFailed(f"quarantine: {error}") from error


def _entry(value: Any) -> Entry:
    entry = Entry(**value)
    checked_word(entry.model, "model")
    checked_digest(entry.digest, "release")
    if not all(type(each) is int for each in (entry.number, entry.unix_s)):
        raise ValueError("a number is none")
    if not all(type(each) is str for each in (entry.code, entry.reason)):
        raise ValueError("a text is none")
    return entry


def _same(entry: Entry, model: str, number: int, digest: str) -> bool:
    return (entry.model, entry.number, entry.digest) == (model, number, digest)
