"""Where speech begins and ends, from one probability a window: hysteresis and least lengths.

A pure state machine on positions in samples; what it knows between calls is a
``Speech`` value. Rules:

1. Speech may begin in a window with at least the ``on`` probability, and is
   confirmed once it lasted ``min_speech``; what is shorter never was.
2. It ends where a run of windows below ``off`` began, once that run lasted
   ``min_silence``; a shorter run belongs to the speech.
3. Probabilities from ``off`` up to ``on`` change nothing but end a run below ``off``
   only if they reach ``on``.
4. Segments are padded on both sides, and neither overlap nor begin before 0.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace


class Phase(str, enum.Enum):
    """What is being heard.

    Attributes:
        SILENT: No speech.
        RISING: Perhaps speech, too short yet.
        SPEAKING: Confirmed speech.
    """

    SILENT = "silent"
    RISING = "rising"
    SPEAKING = "speaking"


@dataclass(frozen=True, slots=True)
class SpeechRules:
    """Thresholds, and lengths in samples.

    Attributes:
        on: Probability that begins speech.
        off: Probability below which silence may begin; at most ``on``.
        min_speech: Shorter speech is dropped.
        min_silence: Shorter silence is bridged.
        pad: Added on both sides of a segment.
    """

    on: float
    off: float
    min_speech: int
    min_silence: int
    pad: int


@dataclass(frozen=True, slots=True)
class Speech:
    """What is known between two windows.

    Attributes:
        phase: What is being heard.
        begun: First sample of the speech, unless silent.
        fading: First sample of the run below ``off``; -1 if there is none.
        ended: End of the last segment given, pad included.
    """

    phase: Phase = Phase.SILENT
    begun: int = 0
    fading: int = -1
    ended: int = 0

    def heard(
        self, probability: float, window: tuple[int, int], rules: SpeechRules
    ) -> tuple[Speech, tuple[int, int] | None]:
        """Return what is known after one more window, and the segment that it closed, if any.

        Args:
            probability: Of speech, 0 to 1.
            window: First sample of the window, and the sample after its last.
            rules: Thresholds and lengths.
        """
        begin, end = window
        known = self
        if probability >= rules.on:
            known = replace(known, fading=-1)
            if known.phase is Phase.SILENT:
                known = replace(known, phase=Phase.RISING, begun=begin)
        elif probability < rules.off and known.phase is not Phase.SILENT and known.fading < 0:
            known = replace(known, fading=begin)
        lasted = (known.fading if known.fading >= 0 else end) - known.begun
        if known.phase is Phase.RISING and lasted >= rules.min_speech:
            known = replace(known, phase=Phase.SPEAKING)
        if known.fading < 0 or end - known.fading < rules.min_silence:
            return known, None
        if known.phase is Phase.RISING:
            return Speech(ended=known.ended), None
        first = max(known.ended, known.begun - rules.pad)
        last = min(known.fading + rules.pad, end)
        return Speech(ended=last), (first, last)
