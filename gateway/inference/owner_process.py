"""The GPU owner: one process for every model on the GPU, with lanes as threads.

Started by ``gateway.inference.owner_life`` as ``python -m
gateway.inference.owner_process CONTROL``. A CUDA context is large and cannot be
shared between processes on a Jetson, so there is one; and what ends it ends every
lane: after a sticky error nothing in this process works any more, so it goes at
once, says why, and tells the lanes that were not at fault.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import socket
import sys
import threading
from typing import Final

from gateway.inference.confine import confine
from gateway.inference.owner_words import (
    DESCRIPTORS,
    EXIT_HUNG,
    EXIT_STICKY,
    MOST_BYTES,
    MOST_WORDS,
    pack,
    unpack,
)
from gateway.inference.wire import Head
from gateway.operations.child_start import (
    die_with_parent,
    leave_signals_to_the_parent,
    offer_to_the_oom_killer,
)

_TELL_EVERY_S: Final = 0.5


def main(argv: list[str]) -> None:
    """Carry out what the front end asks for until it closes the socket; does not return."""
    leave_signals_to_the_parent()  # it drains, then closes us
    die_with_parent(os.getppid())
    offer_to_the_oom_killer()
    control = socket.socket(fileno=int(argv[1]))
    confined = confine(devices=True)  # threads inherit it: there is none but this one yet
    Owner(control, confined).obey()
    os._exit(0)  # threads may be inside calls that nothing interrupts


class Owner:
    """The lanes of this process, and its line to the front end."""

    def __init__(self, control: socket.socket, confined: str) -> None:
        """Wait for orders.

        Args:
            control: To the front end.
            confined: What keeps this process from changing files.
        """
        from gateway.inference.engines.progress import listen
        from gateway.inference.owner_lane import House, OwnerLane
        from gateway.inference.shared_models import SharedModels
        from gateway.inference.worker_loop import COLLECT_AFTER

        self._control = control
        self._speaking = threading.Lock()
        self._ending = threading.Lock()
        self._lanes: dict[int, OwnerLane] = {}
        self._house = House(SharedModels(), threading.Lock(), self._say, self._fall, confined)
        listen(self._hear)
        gc.set_threshold(COLLECT_AFTER)

    def obey(self) -> None:
        """Carry out orders until the front end closes the socket."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        while True:
            if poll.poll(_TELL_EVERY_S * 1e3 if self._tell_progress() else None):
                packet, fds, _, _ = socket.recv_fds(
                    self._control, MOST_BYTES, DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
                )
                if not packet:
                    return
                self._carry_out(unpack(packet), tuple(fds))

    def _carry_out(self, head: Head, fds: tuple[int, ...]) -> None:
        number = head["n"]
        if head["t"] == "lane":
            self._open(head, fds)
        elif (lane := self._lanes.get(number)) is None:
            return
        elif head["t"] == "leave":
            lane.leave()
        elif head["t"] == "end":
            self._end(number, f"a lane of model {lane.name} hangs, and none ends alone", EXIT_HUNG)

    def _open(self, head: Head, fds: tuple[int, ...]) -> None:
        from gateway.inference.loaded import LoadSpec
        from gateway.inference.owner_lane import OwnerLane

        lane = OwnerLane(head["n"], LoadSpec.from_json(head["spec"]), fds, self._house)
        self._lanes[lane.number] = lane
        lane.start()

    def _tell_progress(self) -> bool:
        """Tell how far each load is; return whether there is any."""
        some = False
        for lane in tuple(self._lanes.values()):
            if (loading := lane.loading) is not None:
                stage, seconds = loading
                some = True
                self._say({"t": "progress", "n": lane.number, "what": stage, "s": seconds})
        return some

    def _hear(self, words: str) -> None:
        """Pass on what an engine tells while it is built: it is of the one lane that has the turn."""
        for lane in tuple(self._lanes.values()):
            if lane.is_building:
                lane.enter(words)
                seconds = (lane.loading or ("", 0.0))[1]
                self._say({"t": "progress", "n": lane.number, "what": words[:MOST_WORDS], "s": seconds})

    def _say(self, head: Head) -> None:
        """Tell the front end something; what it does not read in time is lost, but no lane waits for it."""
        if head["t"] == "ended":
            self._lanes.pop(head["n"], None)
        with self._speaking, contextlib.suppress(OSError):
            flags = socket.MSG_DONTWAIT if head["t"] == "progress" else 0
            self._control.send(pack(head), flags)

    def _fall(self, culprit: int, why: str) -> None:
        self._end(culprit, why, EXIT_STICKY)

    def _end(self, culprit: int, why: str, code: int) -> None:
        """End the process: tell the lanes that are not at fault, say why, and go."""
        self._ending.acquire()  # never given back: whoever comes second waits for the end
        for lane in tuple(self._lanes.values()):
            if lane.number != culprit:
                lane.channel.spare()
        why = why[:MOST_WORDS]
        if self._speaking.acquire(timeout=_TELL_EVERY_S):
            with contextlib.suppress(OSError):
                self._control.send(pack({"t": "fatal", "n": culprit, "why": why}), socket.MSG_DONTWAIT)
        with contextlib.suppress(OSError):
            os.write(2, f"{why}\n".encode())
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv)
