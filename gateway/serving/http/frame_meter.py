"""Counts what the frames of one HTTP/2 client cost and says when they are a flood. Pure.

Looks at frame headers alone, before anything is decoded. Frames that carry nothing (settings,
pings, priorities, window updates, empty or tiny data, unknown ones) draw on one bucket, requests
that are taken back on another; both fill again with time, and with every honest exchange. The
block of a request's headers is bounded over all its frames, so CONTINUATION has no end of its own.

1. More than ``burst + per_s * t`` such frames in ``t`` seconds, without anything earned, are a flood.
2. How the bytes are cut into pieces changes nothing.
3. Nothing is kept of a payload: the memory is constant.
"""

from __future__ import annotations

from typing import Final

from gateway.serving.http.limits import HttpLimits

TOO_LARGE: Final = "frames larger than allowed"
_HEADER_BYTES: Final = 9
_LARGEST_FRAME: Final = 16_384
_TINY_BYTES: Final = 64
_DATA, _HEADERS, _RESET, _PUSH, _CONTINUATION = 0x0, 0x1, 0x3, 0x5, 0x9
_END_STREAM, _END_HEADERS = 0x1, 0x4
# What a response earns: window updates come for its bytes, and one or two frames for its end.
_BYTES_A_FRAME: Final = 1024
_FRAMES_A_RESPONSE: Final = 4.0


class Bucket:
    """So many at once, and so many a second."""

    def __init__(self, most: float, per_s: float, now_s: float) -> None:
        self._most = most
        self._per_s = per_s
        self._level = float(most)
        self._seen_s = now_s

    def take(self, now_s: float) -> bool:
        """Take one, if there is one."""
        self._level = min(self._most, self._level + (now_s - self._seen_s) * self._per_s)
        self._seen_s = now_s
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True

    def earn(self, count: float) -> None:
        """Put some back."""
        self._level = min(self._most, self._level + count)


class FrameMeter:
    """Reads along, behind the client's preface.

    Args:
        limits: What the client may cost.
        now_s: Monotonic seconds.
    """

    def __init__(self, limits: HttpLimits, now_s: float) -> None:
        self._idle = Bucket(limits.idle_frames, limits.idle_frames_per_s, now_s)
        self._resets = Bucket(limits.resets, limits.resets_per_s, now_s)
        self._most_block_bytes = limits.head_bytes
        self._block_bytes = 0
        self._partial = b""
        self._payload_left = 0
        self.is_in_block = False

    @property
    def is_in_frame(self) -> bool:
        """Whether a frame, or the headers of a request, have begun and not ended."""
        return self.is_in_block or self._payload_left > 0 or bool(self._partial)

    def take(self, data: bytes, now_s: float) -> str:
        """Read bytes; return what they are a flood of, or an empty string."""
        at, length = 0, len(data)
        while at < length:
            if self._payload_left:
                skipped = min(self._payload_left, length - at)
                self._payload_left -= skipped
                at += skipped
                continue
            wanted = _HEADER_BYTES - len(self._partial)
            header = self._partial + data[at : at + wanted]
            at += wanted
            if len(header) < _HEADER_BYTES:
                self._partial = header
                return ""
            self._partial = b""
            flood = self._frame(header, now_s)
            if flood:
                return flood
        return ""

    def reset(self, now_s: float) -> bool:
        """Count a request that had to be refused; return whether there are too many."""
        return not self._resets.take(now_s)

    def sent(self, body_bytes: int) -> None:
        """Know that so much of a response's body was sent."""
        self._idle.earn(body_bytes / _BYTES_A_FRAME)

    def answered(self) -> None:
        """Know that a request was answered to its end."""
        self._idle.earn(_FRAMES_A_RESPONSE)
        self._resets.earn(1.0)

    def _frame(self, header: bytes, now_s: float) -> str:
        size, kind, flags = int.from_bytes(header[:3], "big"), header[3], header[4]
        if size > _LARGEST_FRAME:
            return TOO_LARGE
        self._payload_left = size
        if kind in {_HEADERS, _PUSH, _CONTINUATION}:
            return self._block(size, kind, flags, now_s)
        if kind == _RESET:
            return "" if self._resets.take(now_s) else "requests taken back"
        if kind == _DATA and (size >= _TINY_BYTES or (flags & _END_STREAM)):
            return ""
        return "" if self._idle.take(now_s) else "frames that carry nothing"

    def _block(self, size: int, kind: int, flags: int, now_s: float) -> str:
        self._block_bytes = size + (self._block_bytes if kind == _CONTINUATION else 0)
        self.is_in_block = not flags & _END_HEADERS
        if self._block_bytes > self._most_block_bytes:
            return "headers"
        if kind == _CONTINUATION and not self._idle.take(now_s):
            return "frames that carry nothing"
        return ""
