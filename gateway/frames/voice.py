"""Speech probabilities to segments of speech in seconds of the stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gateway.configuration.option import option
from gateway.frames.outputs import single_number
from gateway.frames.prepared import JsonValue, StreamState
from gateway.frames.specs import AudioSpec
from gateway.frames.speech import Phase, Speech, SpeechRules
from gateway.frames.steps import Answers, Finisher, Prediction, Site
from gateway.frames.windows import STARTS

_KNOWN = "voice"


@dataclass(frozen=True, slots=True)
class Voice:
    """Whether there is speech, and the segments of it that ended in this payload; carried along a stream."""

    stateful: ClassVar[bool] = True

    threshold: float = option("Probability from which on there is speech.", 0.5, minimum=0.001, maximum=1)
    release: float = option("Probability below which speech may end.", 0.35, minimum=0, maximum=1)
    min_speech_ms: int = option("Speech shorter than this is dropped.", 200, minimum=0, maximum=60_000)
    min_silence_ms: int = option(
        "Silence shorter than this belongs to the speech around it.", 300, minimum=0, maximum=60_000
    )
    pad_ms: int = option("Added to a segment on both sides.", 30, minimum=0, maximum=10_000)
    output: str = option("Output with the probability; needed if the model has several.", "")

    def bind(self, site: Site) -> Finisher:
        """Bind to the output of one probability, and to the windows' rate."""
        output = single_number(site, self.output)
        before = site.before
        if not isinstance(before, AudioSpec) or before.rate_hz is None:
            raise site.misfit(f"needs sound, cut by the step audio_windows, but the pipeline takes {before}")
        if self.release > self.threshold:
            raise site.misfit(f"release ({self.release:g}) must not be above threshold ({self.threshold:g})")
        rate = before.rate_hz
        rules = SpeechRules(
            self.threshold,
            self.release,
            *(
                round(length_ms * rate / 1000)
                for length_ms in (self.min_speech_ms, self.min_silence_ms, self.pad_ms)
            ),
        )
        hop = before.hop

        def finish(answers: Answers) -> Prediction:
            starts = answers.notes[STARTS]
            assert isinstance(starts, list)
            known, segments, greatest = _recall(answers.state), list[JsonValue](), 0.0
            for start, row in zip(starts, answers.outputs, strict=True):
                probability = float(output.real(output.codes(row)).reshape(-1)[0])
                greatest = max(greatest, probability)
                known, closed = known.heard(probability, (start, start + hop), rules)
                if closed is not None:
                    segments.append(
                        {"start_s": round(closed[0] / rate, 3), "end_s": round(closed[1] / rate, 3)}
                    )
            _keep(known, answers.state)
            return {
                "kind": "voice",
                "speech": known.phase is Phase.SPEAKING,
                "probability": round(greatest, 4),
                "segments": segments,
            }

        return finish


def _recall(state: StreamState) -> Speech:
    kept = state.facts.get(_KNOWN)
    if kept is None:
        return Speech()
    assert isinstance(kept, list)
    phase, *positions = kept
    begun, fading, ended = (position for position in positions if isinstance(position, int))
    return Speech(Phase(phase), begun, fading, ended)


def _keep(known: Speech, state: StreamState) -> None:
    state.facts[_KNOWN] = [known.phase.value, known.begun, known.fading, known.ended]
