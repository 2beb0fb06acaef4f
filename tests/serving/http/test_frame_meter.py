"""The frame meter: floods are named, honest clients never are, and cuts change nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.serving.http.frame_meter import Bucket, FrameMeter
from gateway.serving.http.limits import HttpLimits

LIMITS = HttpLimits(idle_frames=10, idle_frames_per_s=5.0, resets=4, resets_per_s=2.0, head_bytes=1000)
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PING, WINDOW, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9


def frame(kind: int, size: int = 0, flags: int = 0) -> bytes:
    return size.to_bytes(3, "big") + bytes([kind, flags]) + b"\0\0\0\1" + b"p" * size


@pytest.mark.parametrize(
    ("each", "free"),
    [
        (frame(SETTINGS, 6), 10),
        (frame(PING, 8), 10),
        (frame(PRIORITY, 5), 10),
        (frame(WINDOW, 4), 10),
        (frame(DATA), 10),
        (frame(DATA, 63), 10),
        (frame(0x77, 20), 10),
        (frame(RESET, 4), 4),
    ],
)
def test_so_many_at_once_so_many_a_second_and_then_it_is_a_flood(each: bytes, free: int) -> None:
    meter = FrameMeter(LIMITS, 0.0)
    assert [bool(meter.take(each, 0.0)) for _ in range(free + 1)] == [False] * free + [True]
    waiting = FrameMeter(LIMITS, 0.0)
    assert waiting.take(each * free, 0.0) == ""
    assert waiting.take(each * 2, 1.0) == ""


def test_data_and_requests_are_free() -> None:
    meter = FrameMeter(LIMITS, 0.0)
    for _ in range(1000):
        assert meter.take(frame(HEADERS, 50, 0x4) + frame(DATA, 64) + frame(DATA, 0, 0x1), 0.0) == ""


def test_a_block_of_headers_is_bounded_over_all_its_frames() -> None:
    meter = FrameMeter(LIMITS, 0.0)
    assert meter.take(frame(HEADERS, 900), 0.0) == ""
    assert meter.is_in_block
    assert meter.take(frame(CONTINUATION, 100, 0x4), 0.0) == ""
    assert not meter.is_in_frame
    assert meter.take(frame(HEADERS, 900) + frame(CONTINUATION, 101), 0.0) == "headers"


def test_a_block_of_empty_frames_is_a_flood() -> None:
    meter = FrameMeter(LIMITS, 0.0)
    assert meter.take(frame(HEADERS, 9) + frame(CONTINUATION) * 11, 0.0) == "frames that carry nothing"


def test_a_frame_that_is_too_large_is_refused_before_it_comes() -> None:
    assert FrameMeter(LIMITS, 0.0).take(b"\xff\xff\xff\x00\0\0\0\0\1", 0.0) == "frames larger than allowed"


def test_who_takes_responses_may_open_windows_for_them_for_ever() -> None:
    meter = FrameMeter(LIMITS, 0.0)
    for _ in range(500):
        meter.sent(16_384)
        assert meter.take(frame(WINDOW, 4) * 4, 0.0) == ""


def test_who_takes_back_one_request_for_each_that_is_answered_goes_on_for_ever() -> None:
    meter = FrameMeter(LIMITS, 0.0)
    for _ in range(500):
        meter.answered()
        assert meter.take(frame(RESET, 4), 0.0) == ""


def test_requests_that_had_to_be_refused_count_as_taken_back() -> None:
    meter = FrameMeter(LIMITS, 0.0)
    assert [meter.reset(0.0) for _ in range(5)] == [False] * 4 + [True]


FRAMES = st.builds(
    frame,
    st.sampled_from((DATA, HEADERS, RESET, SETTINGS, PING, WINDOW, CONTINUATION, 0x42)),
    st.integers(0, 300),
    st.sampled_from((0, 1, 4, 5)),
)


@given(st.lists(FRAMES, max_size=40), st.lists(st.integers(0, 5000), max_size=30))
def test_cuts_change_nothing(frames: list[bytes], cuts: list[int]) -> None:
    sent = b"".join(frames)
    whole, cut = FrameMeter(LIMITS, 0.0), FrameMeter(LIMITS, 0.0)
    expected, found = whole.take(sent, 0.0), ""
    ends = [*sorted(min(at, len(sent)) for at in cuts), len(sent)]
    for start, end in zip([0, *ends], ends, strict=False):
        found = found or cut.take(sent[start:end], 0.0)
    assert found == expected
    if not expected:
        assert not cut.is_in_frame or cut.is_in_block


@given(st.binary(max_size=500))
def test_any_bytes_are_read(sent: bytes) -> None:
    FrameMeter(LIMITS, 0.0).take(sent, 0.0)


@given(st.lists(st.floats(0, 3), min_size=1, max_size=80))
def test_a_bucket_never_gives_more_than_its_size_and_its_rate(waits: list[float]) -> None:
    bucket, now_s, taken = Bucket(5, 2.0, 0.0), 0.0, 0
    for wait_s in waits:
        now_s += wait_s
        taken += bucket.take(now_s)
        assert taken <= 5 + 2.0 * now_s + 1e-6
