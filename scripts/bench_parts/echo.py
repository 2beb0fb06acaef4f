"""The broker's own share of latency: receives each frame and answers at once with a result-sized message."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import wire

_ID = re.compile(rb"\x26\x00\x02id\x00(.)")
_PADDING = "x" * 900


def main() -> None:
    """Echo until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    sock = wire.dial(options.port, "echo")
    wire.subscribe(sock, "bench/+/frame")
    print("ready", flush=True)
    packets = wire.Packets()
    while data := sock.recv(1 << 18):
        for body in packets.feed(data):
            found = _ID.search(body[:200])
            if found is None:
                continue
            size = found.group(1)[0]
            frame_id = body[found.end() : found.end() + size].decode()
            answer = f'{{"frame":{{"id":"{frame_id}"}},"padding":"{_PADDING}"}}'
            sock.sendall(wire.publish_packet("gw/echo/results/x/y", answer.encode()))


if __name__ == "__main__":
    main()
