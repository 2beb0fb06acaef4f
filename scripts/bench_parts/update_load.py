"""The load of the update cases: every answer's version is checked against what it says."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import wire
from load import Load, parse

_VERSION = re.compile(rb'"version":"([^"]+)"')
_LABEL = re.compile(rb'"label":"([^"]*)"')


class UpdateLoad(Load):
    """A run in which each release answers with labels of its own.

    The labels of release N end in ``#N``, the factory model's do not: an answer
    whose version and label disagree would come from a mixture of two releases.
    """

    mixed = 0

    def receive(self, wait_s: float) -> list[int]:
        """Take answers for at most ``wait_s``; return the streams that were answered."""
        if not self.selector.select(max(0.0, wait_s)):
            return []
        answered = []
        data = self.back.recv(1 << 20)
        now_s = time.monotonic()
        for body in self.packets.feed(data):
            known = self.sent.pop(wire.frame_id_of(body), None)
            if known is not None:
                self.samples.append((known[0], now_s - known[0], known[1]))
                self.ages.append(wire.ages_of(body))
                self.mixed += _is_mixed(body)
                answered.append(known[1])
        return answered


def _is_mixed(body: bytes) -> bool:
    version, labels = _VERSION.search(body), _LABEL.findall(body)
    if version is None or not labels:
        return True
    number = version[1].split(b".")[0]
    marks = {label.rpartition(b"#")[2] if b"#" in label else b"" for label in labels}
    return marks != {number} and not (number == b"1" and marks == {b""})


def main() -> None:
    """Run and print."""
    load = UpdateLoad(parse())
    began_s = time.monotonic()
    load.open_loop()
    print(json.dumps({**load.report(began_s), "mixed": load.mixed}))


if __name__ == "__main__":
    main()
