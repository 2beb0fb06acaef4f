"""A step that a distribution of somebody else registers: its first number says what goes wrong."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import ClassVar

from gateway.configuration.option import option
from gateway.frames.specs import NumbersSpec, ValueSpec
from gateway.frames.steps import Answers, Finisher, Fitted, Journey, Prediction, Site
from gateway.frames.values import Numbers

KILL, HANG, RAISE, NO_MEMORY, SLOW = 9001.0, 9002.0, 9003.0, 9004.0, 9005.0
SLOW_S = float(os.environ.get("TROUBLE_SLOW_S", "0.3"))


@dataclass(frozen=True, slots=True)
class Nonsense:
    """Ends a pipeline with a number that JSON cannot say."""

    stateful: ClassVar[bool] = False

    def bind(self, site: Site) -> Finisher:
        """Fit anywhere."""
        return lambda _answers: {"kind": "value", "values": {"x": float("nan")}}


@dataclass(frozen=True, slots=True)
class Doze:
    """Ends a pipeline after a while in which its lane is busy and no processor is."""

    stateful: ClassVar[bool] = False

    milliseconds: float = option("How long.", 20.0, minimum=0, maximum=10_000)

    def bind(self, site: Site) -> Finisher:
        """Fit anywhere."""

        def doze(_answers: Answers) -> Prediction:
            time.sleep(self.milliseconds / 1e3)
            return {"kind": "value", "values": {"x": 1.0}}

        return doze


@dataclass(frozen=True, slots=True)
class Trouble:
    """Does what the first number asks for; passes every other payload on."""

    takes: ClassVar[tuple[type[ValueSpec], ...]] = (NumbersSpec,)

    def bind(self, spec: NumbersSpec, site: Site) -> Fitted:
        """Fit anywhere."""
        return Fitted(spec, self._make)

    @staticmethod
    def _make(numbers: Numbers, _journey: Journey) -> Numbers:
        first = float(numbers.values[0, 0])
        if first == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        elif first == HANG:
            time.sleep(600)
        elif first == RAISE:
            raise ZeroDivisionError("a bug in a step")
        elif first == NO_MEMORY:
            raise MemoryError
        elif first == SLOW:
            time.sleep(SLOW_S)
        return numbers
