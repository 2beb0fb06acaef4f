"""Where speech begins and ends: the rules, on drawn probabilities."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.frames.speech import Phase, Speech, SpeechRules

WINDOW = 10
RULES = SpeechRules(on=0.5, off=0.3, min_speech=20, min_silence=30, pad=5)

rules = st.builds(
    lambda marks, least, silence, pad: SpeechRules(max(marks), min(marks), least, silence, pad),
    st.tuples(st.sampled_from([0.2, 0.4, 0.6]), st.sampled_from([0.2, 0.4, 0.6])),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(0, 30),
)
sounds = st.lists(st.sampled_from([0.0, 0.3, 0.5, 0.9]), max_size=60)


def hear(probabilities: list[float], how: SpeechRules) -> tuple[Speech, list[tuple[int, int]]]:
    known, segments = Speech(), []
    for index, probability in enumerate(probabilities):
        known, closed = known.heard(probability, (index * WINDOW, (index + 1) * WINDOW), how)
        if closed is not None:
            segments.append(closed)
    return known, segments


def test_a_word_is_padded_on_both_sides() -> None:
    known, segments = hear([0, 0.9, 0.9, 0.9, 0, 0, 0], RULES)
    assert segments == [(5, 45)]
    assert known == Speech(ended=45)


def test_a_click_is_no_speech() -> None:
    assert hear([0, 0.9, 0, 0, 0, 0], RULES) == (Speech(), [])


def test_a_short_pause_belongs_to_the_speech_and_a_long_one_divides_it() -> None:
    assert hear([0.9, 0.9, 0, 0, 0.9, 0, 0, 0], RULES)[1] == [(0, 55)]
    assert hear([0.9, 0.9, 0, 0, 0, 0.9, 0.9, 0, 0, 0], RULES)[1] == [(0, 25), (45, 75)]


def test_between_the_marks_speech_goes_on_but_does_not_begin() -> None:
    assert hear([0.4] * 20, RULES) == (Speech(), [])
    known, segments = hear([0.9, 0.9] + [0.4] * 20, RULES)
    assert (known.phase, segments) == (Phase.SPEAKING, [])


def test_speech_that_has_not_ended_is_no_segment_yet() -> None:
    known, segments = hear([0.9] * 5, RULES)
    assert (known.phase, known.begun, segments) == (Phase.SPEAKING, 0, [])


@given(sounds, rules)
def test_segments_are_in_order_apart_and_within_what_was_heard(sound: list[float], how: SpeechRules) -> None:
    _, segments = hear(sound, how)
    ends = [end for segment in segments for end in segment]
    assert ends == sorted(ends)
    assert all(0 <= begin < end <= len(sound) * WINDOW for begin, end in segments)


@given(sounds, rules)
def test_every_segment_began_loud_and_is_no_shorter_than_the_least(
    sound: list[float], how: SpeechRules
) -> None:
    for begin, end in hear(sound, how)[1]:
        loud = [at for at, one in enumerate(sound) if one >= how.on and begin - WINDOW < at * WINDOW < end]
        assert loud
        assert end - begin >= how.min_speech
        assert sound[loud[0]] >= how.on


@given(sounds, rules)
def test_long_loud_stretches_are_never_lost(sound: list[float], how: SpeechRules) -> None:
    whole = [*sound, *[0.9] * (how.min_speech // WINDOW + 1), *[0.0] * (how.min_silence // WINDOW + 1)]
    known, segments = hear(whole, how)
    assert known.phase is Phase.SILENT
    assert segments
    assert segments[-1][1] >= (len(sound) + how.min_speech // WINDOW + 1) * WINDOW


@given(sounds, rules)
def test_silence_closes_everything(sound: list[float], how: SpeechRules) -> None:
    known, _ = hear([*sound, *[0.0] * 7], how)
    assert known.phase is Phase.SILENT
