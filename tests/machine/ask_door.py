"""Asks the status door in the box, a connection for each request without a pause, until a file is gone.

Run by the box's Python: ``ask_door.py PORT FILE``. Prints how often it asked, and all that was not answered.
"""

from __future__ import annotations

import http.client
import sys
from pathlib import Path


def main() -> None:
    """Ask and tell."""
    port, flag = int(sys.argv[1]), Path(sys.argv[2])
    asked, lost = 0, []
    while flag.exists():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            if (answer.status, answer.read()) != (200, b"ok\n"):
                lost.append(str(answer.status))
        except (OSError, http.client.HTTPException) as error:
            lost.append(repr(error))
        connection.close()
        asked += 1
    sys.stdout.write(f"{asked} {lost}\n")


if __name__ == "__main__":
    main()
