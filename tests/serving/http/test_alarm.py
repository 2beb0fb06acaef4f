"""The alarm: rings once, at the last time that was set, and not when cleared."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.serving.http.alarm import Alarm


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time is ours: waiting moves it on."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.timers = 0

    def time(self) -> float:
        return self.now_s

    def call_at(self, *given: Any, **named: Any) -> asyncio.TimerHandle:  # type: ignore[override]
        self.timers += 1
        return super().call_at(*given, **named)

    def pass_to(self, now_s: float) -> None:
        """Let time pass, timer by timer."""
        while self._scheduled and self._scheduled[0].when() <= now_s:  # type: ignore[attr-defined]
            self.now_s = max(self.now_s, self._scheduled[0].when())  # type: ignore[attr-defined]
            self.run_until_complete(asyncio.sleep(0))
        self.now_s = now_s


MOVES = st.lists(st.tuples(st.floats(0.01, 5), st.none() | st.floats(0.1, 20)), max_size=20)


@given(MOVES)
def test_it_rings_exactly_when_the_last_deadline_passes(moves: list[tuple[float, float | None]]) -> None:
    loop, rung, expected = Clock(), [], []
    try:
        alarm = Alarm(loop, lambda: rung.append(loop.time()))
        deadline_s: float | None = None
        for wait_s, within_s in [*moves, (100.0, None)]:
            end_s = loop.now_s + wait_s
            if deadline_s is not None and deadline_s <= end_s:
                expected.append(deadline_s)
                deadline_s = None
            loop.pass_to(end_s)
            assert rung == expected
            if within_s is None:
                alarm.clear()
                deadline_s = None
            else:
                alarm.within(within_s)
                deadline_s = loop.now_s + within_s
    finally:
        loop.close()


def test_moving_it_away_makes_no_timer() -> None:
    loop = Clock()
    try:
        alarm = Alarm(loop, lambda: None)
        for number in range(1000):
            alarm.within(10.0 + number)
        assert loop.timers == 1
        alarm.drop()
        loop.pass_to(5000.0)
        assert loop.timers == 1
    finally:
        loop.close()
