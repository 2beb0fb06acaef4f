"""The trace settings of a server that traces nothing, in the protocol's words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# As they are set; the level is told as a list.
TRACE: Final[Mapping[str, object]] = {
    "trace_file": "",
    "trace_level": "OFF",
    "trace_rate": "1000",
    "trace_count": "-1",
    "log_frequency": "0",
    "trace_mode": "triton",
}
TRACE_TOLD: Final[Mapping[str, object]] = {**TRACE, "trace_level": ["OFF"]}
