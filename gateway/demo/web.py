"""A static web server on 127.0.0.1: ``python -m gateway.demo.web FOLDER``, until SIGTERM.

It answers GET and GET with a Range of one stretch, which is all that a repository
of releases needs. One line on standard output says its address.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
_RANGE: Final = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})")
_IDLE_S: Final = 30.0
_PIECE_BYTES: Final = 64 << 10


class RangeHandler(SimpleHTTPRequestHandler):
    """Serves files of one folder, whole or a stretch; it lists no folders."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S

    def do_GET(self) -> None:
        """Send a file, or the part of it that was asked for."""
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        size = path.stat().st_size
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        first, last = (int(asked[1]), min(int(asked[2]), size - 1)) if asked else (0, size - 1)
        if asked and first > last:
            self.send_error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return
        self.send_response(HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Content-Type", "application/octet-stream")
        self.end_headers()
        with path.open("rb") as file:
            file.seek(first)
            left = last - first + 1
            while left:
                piece = file.read(min(_PIECE_BYTES, left))
                if not piece:
                    self.close_connection = True  # the file shrank: what was promised cannot be kept
                    return
                self.wfile.write(piece)
                left -= len(piece)

    def do_HEAD(self) -> None:
        """Refuse: nobody asks."""
        self.send_error(HTTPStatus.NOT_IMPLEMENTED)


class Web(ThreadingHTTPServer):
    """The server; its threads end with the process."""

    daemon_threads = True


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM; return the exit code.

    Args:
        arguments: The folder.
    """
    (folder,) = arguments
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    with Web((HOST, 0), partial(RangeHandler, directory=folder)) as server:
        print(f"http://{HOST}:{server.server_port}", flush=True)  # noqa: T201 - read by the demo
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
