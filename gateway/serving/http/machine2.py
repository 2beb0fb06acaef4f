"""The HTTP/2 library's state machine, as it is set up here, and which of its checks are ours instead.

What makes a request malformed (RFC 9113, 8.1.1) ends that request. The library would end the connection,
and so every other request: its checks of fields and lengths are off, and those of ``request_fields`` and
of the exchange are in their place. A client's farewell (GOAWAY) is told, and ends nothing: the library
would answer no more. Frames, states, windows and compression stay its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from h2.config import H2Configuration
from h2.connection import AllowedStreamIDs, H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream

from gateway.serving.http.limits import HttpLimits

# Most bytes of a table of headers that a client can make us keep for it.
_TABLE_BYTES: Final = 4096


class Machine(H2Connection):
    """One connection's."""

    # Long connections carry many requests; of those that ended a few are enough to remember.
    MAX_CLOSED_STREAMS = 1024

    def _begin_new_stream(self, stream_id: int, allowed_ids: AllowedStreamIDs) -> H2Stream:
        stream = super()._begin_new_stream(stream_id, allowed_ids)
        # The one way to do so: it has no setting. A library without this method checks as it likes.
        stream._initialize_content_length = _know_no_length  # type: ignore[method-assign]  # noqa: SLF001
        return stream

    def _receive_goaway_frame(self, frame: Any) -> tuple[list[Any], list[Event]]:
        event = ConnectionTerminated()
        event.error_code = ErrorCodes.NO_ERROR if frame.error_code == 0 else ErrorCodes.PROTOCOL_ERROR
        return [], [event]

    def settle_table(self) -> None:
        """Keep our table of headers within bounds, and tell the client of its size with the next ones.

        The library would tell every size that ever was, and none at all if the last was set twice. A client
        is owed the smallest and the last (RFC 7541, 4.2), and ends the connection if they do not come.
        """
        encoder = self.encoder
        encoder.header_table_size = min(encoder.header_table_size, _TABLE_BYTES)
        if sizes := encoder.table_size_changes:
            encoder.table_size_changes = sorted({min(sizes), sizes[-1]})
        encoder.header_table.resized = bool(sizes)


def machine_of(limits: HttpLimits) -> Machine:
    """Return a machine that has begun, and has its settings to send."""
    config = H2Configuration(
        client_side=False,
        header_encoding=None,
        validate_inbound_headers=False,
        validate_outbound_headers=False,
    )
    machine = Machine(config)
    machine.decoder.max_header_list_size = limits.head_bytes
    machine.local_settings = Settings(
        client=False,
        initial_values={
            SettingCodes.MAX_CONCURRENT_STREAMS: limits.streams,
            SettingCodes.INITIAL_WINDOW_SIZE: min(limits.ahead_bytes, limits.window_bytes),
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.head_bytes,
        },
    )
    machine.initiate_connection()
    machine.increment_flow_control_window(max(1, limits.window_bytes - 65_535))
    return machine


def _know_no_length(headers: Iterable[Any]) -> None:
    """Stand for the library's reading of ``content-length``, so that it holds no body against one."""
