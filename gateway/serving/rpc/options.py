"""What gRPC is told of limits: sizes, streams, pings and dead connections. Pure."""

from __future__ import annotations

from typing import Final

from gateway.configuration.serving_settings import ServingSettings

Options = tuple[tuple[str, int], ...]

_STREAMS_OF_A_CONNECTION: Final = 1024
_METADATA_BYTES: Final = 16_384
# A client whose machine was switched off is noticed after the two together.
_PING_EVERY_MS: Final = 60_000
_PING_ANSWERED_MS: Final = 20_000
# Clients may ping this often; two more strikes and they are cut.
_PINGS_APART_MS: Final = 10_000
_STRIKES: Final = 2
_HANDSHAKE_MS: Final = 10_000


def server_options(settings: ServingSettings) -> Options:
    """Return the options of a server."""
    return (
        # Two gateways at one port would each get some of the calls; the second must fail to bind.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.grpc.max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", _METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", 2 * _METADATA_BYTES),
        ("grpc.max_concurrent_streams", _STREAMS_OF_A_CONNECTION),
        ("grpc.max_allowed_incoming_connections", settings.access.connections),
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
        ("grpc.keepalive_time_ms", _PING_EVERY_MS),
        ("grpc.keepalive_timeout_ms", _PING_ANSWERED_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", _PINGS_APART_MS),
        ("grpc.http2.max_ping_strikes", _STRIKES),
    )
