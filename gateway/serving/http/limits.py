"""What one client of the HTTP server may cost: connections, bytes, time, frames. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one client may cost.

    Attributes:
        connections: Most connections at a time; more are answered 503 and closed.
        connections_per_address: Most of one address of another machine (of one /64 for IPv6).
        head_bytes: Largest request line and headers, for HTTP/2 as they are after decompression.
        headers: Most headers of one request.
        ahead_bytes: Most bytes of one request's body that wait for the application.
        head_s: Longest time for a request's head to arrive, and for a TLS handshake.
        body_s: Longest time for a request's body to arrive, besides what its size allows; and over
            HTTP/2 for what is left of it once it is answered.
        least_bytes_s: Slowest rate at which bodies must arrive and responses be taken.
        idle_s: Longest silence between two requests; longer than common scrape intervals.
        response_s: Longest silence of the application: until a response begins, and within it.
        taking_s: Longest time for a part of a response to be taken, besides what its size allows.
        grace_s: Longest wait for responses under way, and for the first request of who has just
            connected, when the listener closes.
        linger_s: How long a client that still sends gets to read why it is refused.
        streams: Most requests at a time on one HTTP/2 connection.
        window_bytes: Most bytes of all bodies together that wait on one HTTP/2 connection.
        idle_frames: HTTP/2 frames that carry nothing: so many at once.
        idle_frames_per_s: And so many a second for ever.
        resets: Requests taken back on one HTTP/2 connection: so many at once.
        resets_per_s: And so many a second for ever.
    """

    connections: int = 64
    connections_per_address: int = 64
    head_bytes: int = 16_384
    headers: int = 128
    ahead_bytes: int = 262_144
    head_s: float = 10.0
    body_s: float = 20.0
    least_bytes_s: float = 4096.0
    idle_s: float = 75.0
    response_s: float = 30.0
    taking_s: float = 30.0
    grace_s: float = 0.5
    linger_s: float = 2.0
    streams: int = 128
    window_bytes: int = 1_048_576
    idle_frames: int = 1000
    idle_frames_per_s: float = 500.0
    resets: int = 200
    resets_per_s: float = 50.0
