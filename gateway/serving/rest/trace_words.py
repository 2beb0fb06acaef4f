"""The trace settings of a server that traces nothing, in the protocol's words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.errors import Malformed, NotSupported

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


def check_trace(name: str, values: Sequence[object]) -> None:
    """See that a setting stays as it is.

    Args:
        name: The setting.
        values: What it is to be; none asks for what is set for the whole server.

    Raises:
        Malformed: There is no such setting.
        NotSupported: It would be another than now. As nothing is traced, a rate or a count would not be kept.
    """
    if name not in TRACE:
        raise Malformed(f"{name[:80]!a} is no setting: {', '.join(TRACE)} are")
    if list(values) not in ([], [TRACE[name]]):
        raise NotSupported(f"{name} stays {TRACE[name]!r}: requests are not traced, whatever is set")
