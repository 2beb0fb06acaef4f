"""Which protocol version to try next: 5 first, 3.1.1 where the broker knows no better."""

from __future__ import annotations

V5 = 5
V311 = 4  # the level that stands in the CONNECT packet

RETRY_V5_EVERY = 10


class VersionChoice:
    """Decides each attempt's version.

    1. A setting of ``5`` or ``3.1.1`` is always obeyed.
    2. ``auto`` tries 5. After a plain refusal of the version, or a connection
       closed or left unanswered before the CONNACK (old brokers do that), the
       next attempt uses 3.1.1.
    3. Only an accepted 3.1.1 is remembered; when it fails as well, the broker
       is at fault and not the version, and the next attempt uses 5 again.
    4. While 3.1.1 is remembered, every tenth attempt tries 5: brokers are upgraded.
    """

    def __init__(self, setting: str) -> None:
        self._fixed = {"5": V5, "3.1.1": V311}.get(setting)
        self._old = False
        self._remembered = False
        self._since = 0

    def next(self) -> int:
        """Return the version for the attempt that starts now."""
        if self._fixed is not None:
            return self._fixed
        if self._remembered:
            self._since += 1
            return V5 if self._since % RETRY_V5_EVERY == 0 else V311
        return V311 if self._old else V5

    def accepted(self, version: int) -> None:
        """Note that the broker accepted a connection with ``version``."""
        if version == V311:
            self._remembered = True
        else:
            self._old = self._remembered = False
            self._since = 0

    def unanswered(self, version: int) -> None:
        """Note that no CONNACK came, or one that refused ``version`` itself."""
        if not self._remembered:
            self._old = version == V5

    @property
    def at_once(self) -> bool:
        """Whether the next attempt should follow without a pause: only the version was wrong."""
        return self._fixed is None and self._old and not self._remembered
