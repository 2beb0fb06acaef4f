"""Which build this is: the one place where the version number stands."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
# When this version was made, Unix seconds: no clock is believed that is before.
BUILT_UNIX_S: Final = 1_795_564_800
